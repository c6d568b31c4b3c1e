// Requests that two servers could read in two ways: each is refused, and nothing behind it is taken for a request.

#include "test_server.h"

#include <gtest/gtest.h>

namespace penstock::http {
namespace {

struct row {
  const char* name;
  std::string request;
  int status;
};

const std::string behind = "GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n";

std::string head(std::string_view lines) { return "POST /x HTTP/1.1\r\nHost: t\r\n" + std::string(lines) + "\r\n"; }
std::string chunks(std::string_view text, const std::string& lines = "") {
  return head("Transfer-Encoding: chunked\r\n" + lines) + std::string(text);
}

TEST(smuggling, what_is_ambiguous_is_refused) {
  const row rows[] = {
      {"length and chunks", head("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n", 400},
      {"chunks and length", head("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n") + "0\r\n\r\n", 400},
      {"two lengths", head("Content-Length: 4\r\nContent-Length: 4\r\n") + "body", 400},
      {"two other lengths", head("Content-Length: 4\r\ncontent-length: 0\r\n") + "body", 400},
      {"a list of lengths", head("Content-Length: 4, 4\r\n") + "body", 400},
      {"a signed length", head("Content-Length: +4\r\n") + "body", 400},
      {"a negative length", head("Content-Length: -1\r\n"), 400},
      {"a hexadecimal length", head("Content-Length: 0x4\r\n") + "body", 400},
      {"an empty length", head("Content-Length: \r\n") + "body", 400},
      {"a length beyond 64 bits", head("Content-Length: 18446744073709551620\r\n") + "body", 400},
      {"a blank before the colon", head("Content-Length : 4\r\n") + "body", 400},
      {"a tab before the colon", head("Transfer-Encoding\t: chunked\r\n") + "0\r\n\r\n", 400},
      {"a folded field", head("X: a\r\n Content-Length: 4\r\n") + "body", 400},
      {"a folded coding", head("Transfer-Encoding:\r\n chunked\r\n") + "0\r\n\r\n", 400},
      {"a field before any name", "POST /x HTTP/1.1\r\n Host: t\r\n\r\n", 400},
      {"lines that end with LF", "POST /x HTTP/1.1\nHost: t\n\n", 400},
      {"one line that ends with LF", head("X: a\nContent-Length: 4\r\n") + "body", 400},
      {"a bare CR in a value", head("X: a\rContent-Length: 4\r\n") + "body", 400},
      {"NUL in a value", head(std::string("X: a\0b\r\n", 8)), 400},
      {"NUL in a name", head(std::string("X\0Y: a\r\n", 8)), 400},
      {"NUL in the target", std::string("GET /x\0y HTTP/1.1\r\nHost: t\r\n\r\n", 30), 400},
      {"a field without a name", head(": 4\r\n"), 400},
      {"a line without a colon", head("Content-Length\r\n"), 400},
      {"coding spelt with a vertical tab",
       head("Transfer-Encoding: \x0b"
            "chunked\r\n"),
       400},
      {"a coding that is not chunked", head("Transfer-Encoding: gzip, chunked\r\n"), 501},
      {"a coding alone", head("Transfer-Encoding: gzip\r\n"), 400},
      {"the coding that is none", head("Transfer-Encoding: identity\r\n"), 400},
      {"chunked in the middle", head("Transfer-Encoding: chunked, gzip\r\n"), 400},
      {"chunked twice", head("Transfer-Encoding: chunked, chunked\r\n") + "0\r\n\r\n", 400},
      {"two fields of codings", chunks("0\r\n\r\n", "Transfer-Encoding: chunked\r\n"), 400},
      {"a quoted coding", head("Transfer-Encoding: \"chunked\"\r\n"), 400},
      {"chunks in HTTP/1.0", "POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"two content types", head("Content-Type: text/plain\r\nContent-Type: text/html\r\n"), 400},
      {"two hosts", head("Host: u\r\n"), 400},
      {"no host", "GET /x HTTP/1.1\r\n\r\n", 400},
      {"a host with a path", "GET /x HTTP/1.1\r\nHost: t/u\r\n\r\n", 400},
      {"a host that is no address in its brackets", "GET /x HTTP/1.1\r\nHost: [::u]\r\n\r\n", 400},
      {"a host behind an address in brackets", "GET /x HTTP/1.1\r\nHost: [::1]u\r\n\r\n", 400},
      {"a target without a host", "GET http:///x HTTP/1.1\r\nHost: t\r\n\r\n", 400},
      {"a target of a query alone", "GET http://?x HTTP/1.1\r\nHost: t\r\n\r\n", 400},
      {"a target with a port alone", "GET http://:80/x HTTP/1.1\r\nHost: t\r\n\r\n", 400},
      {"a target with a name and password", "GET http://u:p@t/x HTTP/1.1\r\nHost: t\r\n\r\n", 400},
      {"a target with a name alone", "GET HTTPS://u@t/x HTTP/1.1\r\nHost: t\r\n\r\n", 400},
      {"a target whose host is none", "GET http://x<>y:zz/x HTTP/1.1\r\nHost: t\r\n\r\n", 400},
      {"a target whose port is none", "GET http://t:80a/x HTTP/1.1\r\nHost: t\r\n\r\n", 400},
      {"two blanks in the request line", "GET  /x HTTP/1.1\r\nHost: t\r\n\r\n", 400},
      {"a blank in the target", "GET /x /y HTTP/1.1\r\nHost: t\r\n\r\n", 400},
      {"a path that CONNECT asks for", "CONNECT /x HTTP/1.1\r\nHost: t\r\n\r\n", 400},
      {"a host without a port that CONNECT asks for", "CONNECT t HTTP/1.1\r\nHost: t\r\n\r\n", 400},
      {"a method with a bracket in it", "GE(T /x HTTP/1.1\r\nHost: t\r\n\r\n", 400},
      {"a version of three digits", "GET /x HTTP/1.10\r\nHost: t\r\n\r\n", 400},
      {"a version of one letter case", "GET /x http/1.1\r\nHost: t\r\n\r\n", 400},
      {"HTTP/2.0", "GET /x HTTP/2.0\r\nHost: t\r\n\r\n", 505},
      {"no version", "GET /x\r\nHost: t\r\n\r\n", 400},
      {"a chunk size with a sign", chunks("+4\r\nbody\r\n0\r\n\r\n"), 400},
      {"a chunk size with 0x", chunks("0x4\r\nbody\r\n0\r\n\r\n"), 400},
      {"an empty chunk size", chunks("\r\nbody\r\n0\r\n\r\n"), 400},
      {"no chunk size at all", chunks("\r\n\r\n"), 400},
      {"a chunk size with a blank before", chunks(" 4\r\nbody\r\n0\r\n\r\n"), 400},
      {"a chunk size that ends with LF", chunks("4\nbody\r\n0\r\n\r\n"), 400},
      {"a chunk extension that ends with LF", chunks("4;ab\nbody\r\n0\r\n\r\n"), 400},
      {"a trailer that ends with LF", chunks("0\r\nX: ab\n\r\n"), 400},
      {"a chunk that ends with LF", chunks("4\r\nbody\n0\r\n\r\n"), 400},
      {"a chunk longer than it says", chunks("4\r\nbodyX\r\n0\r\n\r\n"), 400},
      {"a chunk size of 68 bits", chunks("10000000000000004\r\nbody\r\n0\r\n\r\n"), 400},
      {"a chunk extension with a bare CR", chunks("4;a=\rb\r\nbody\r\n0\r\n\r\n"), 400},
      {"a chunk extension with a quoted NUL", chunks(std::string("4;a=\"\0\"\r\nbody\r\n0\r\n\r\n", 20)), 400},
      {"a chunk extension without a name", chunks("4;=b\r\nbody\r\n0\r\n\r\n"), 400},
      {"something else behind a chunk size", chunks("4 x\r\nbody\r\n0\r\n\r\n"), 400},
      {"an endless chunk extension", chunks("4;" + std::string(5000, 'a')), 400},
      {"a length in the trailer", chunks("0\r\nContent-Length: 4\r\n\r\n"), 400},
      {"a folded trailer", chunks("0\r\nX: a\r\n b\r\n\r\n"), 400},
      {"an endless trailer",
       chunks("0\r\n") +
           [] {
             std::string lines;
             for (int i = 0; i < 2000; ++i) lines += "X: 0123456789\r\n";
             return lines;
           }(),
       431},
  };
  for (const row& r : rows) {
    with_server(echo_routes(), {}, [&](test_server& s) -> task<> {
      test_client c = s.connect();
      c.send(r.request + behind);
      answer a = co_await c.receive();
      EXPECT_EQ(a.status, r.status) << r.name;
      EXPECT_EQ(a.field("Connection"), "close") << r.name;
      std::string more = co_await c.receive_all();
      EXPECT_EQ(more, "") << r.name;
    });
  }
}

TEST(smuggling, many_small_chunks_with_long_extensions_are_refused) {
  with_server(echo_routes(), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    std::string one = "1;" + std::string(1000, 'e') + "\r\nx\r\n";
    std::string all;
    for (int i = 0; i < 100; ++i) all += one;
    c.send(chunks(all + "0\r\n\r\n"));
    answer a = co_await c.receive();
    EXPECT_EQ(a.status, 400);
  });
}

TEST(smuggling, many_small_chunks_alone_are_fine) {
  with_server(echo_routes(), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    std::string all;
    for (int i = 0; i < 20'000; ++i) all += "1\r\nx\r\n";
    c.send(chunks(all + "0\r\n\r\n"));
    answer a = co_await c.receive();
    EXPECT_EQ(a.body, std::string(20'000, 'x'));
  });
}

}  // namespace
}  // namespace penstock::http

// Whether a connection lives on after an answer (RFC 9112, 9.3).

#include "test_server.h"

#include <gtest/gtest.h>

namespace penstock::http {
namespace {

struct row {
  const char* name;
  std::string request;
  bool stays;
  const char* connection;  // the answer's field
};

TEST(keep_alive, follows_the_version_and_the_connection_field) {
  const row rows[] = {
      {"1.1", "GET /a HTTP/1.1\r\nHost: t\r\n\r\n", true, ""},
      {"1.1 close", "GET /a HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", false, "close"},
      {"1.1 close in a list", "GET /a HTTP/1.1\r\nHost: t\r\nConnection: te, CLOSE\r\n\r\n", false, "close"},
      {"1.1 close in a second field", "GET /a HTTP/1.1\r\nHost: t\r\nConnection: te\r\nConnection: close\r\n\r\n",
       false, "close"},
      {"1.1 something else", "GET /a HTTP/1.1\r\nHost: t\r\nConnection: closed\r\n\r\n", true, ""},
      {"1.0", "GET /a HTTP/1.0\r\n\r\n", false, "close"},
      {"1.0 keep-alive", "GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true, "keep-alive"},
      {"1.0 both", "GET /a HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false, "close"},
  };
  for (const row& r : rows) {
    with_server(echo_routes(), {}, [&](test_server& s) -> task<> {
      test_client c = s.connect();
      c.send(r.request);
      answer first = co_await c.receive();
      EXPECT_EQ(first.status, 200) << r.name;
      EXPECT_EQ(first.field("Connection"), r.connection) << r.name;
      c.send(get("/second"));
      answer second = co_await c.receive();
      EXPECT_EQ(second.status, r.stays ? 200 : 0) << r.name;
    });
  }
}

TEST(keep_alive, many_requests_use_one_connection) {
  with_server(echo_routes(), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    for (int i = 0; i < 100; ++i) {
      std::string path = "/" + std::to_string(i);
      c.send(get(path));
      answer a = co_await c.receive();
      EXPECT_EQ(a.body, path);
    }
    EXPECT_EQ(s.server.stats().connections, 1u);
    EXPECT_EQ(s.server.stats().requests, 100u);
  });
}

// An answer that does not say that it is the last is not.
TEST(keep_alive, ends_with_chunks_that_nobody_reads_unless_their_end_is_there_and_near) {
  struct row {
    const char* name;
    std::string chunks;
    bool stays;
  };
  const row rows[] = {
      {"whole", "5\r\nhello\r\n0\r\n\r\n", true},
      {"as long as is drained", "8\r\n12345678\r\n8\r\n12345678\r\n0\r\n\r\n", true},
      {"longer than is drained", "8\r\n12345678\r\n9\r\n123456789\r\n0\r\n\r\n", false},
      {"without its last chunk", "5\r\nhello\r\n", false},
      {"cut in its last chunk", "5\r\nhello\r\n0\r\n\r", false},
      {"cut in a chunk", "5\r\nhel", false},
      {"nothing of it", "", false},
      {"malformed", "5\r\nhello\r\nzz\r\n", false},
  };
  for (const row& r : rows) {
    with_server(echo_routes(), {.max_drained_bytes = 16}, [&](test_server& s) -> task<> {
      test_client c = s.connect();
      c.send("POST /no/where HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n" + r.chunks);
      answer first = co_await c.receive();
      EXPECT_EQ(first.status, 404) << r.name;
      EXPECT_EQ(first.field("Connection"), r.stays ? "" : "close") << r.name;
      c.send(get("/second"));
      answer second = co_await c.receive();
      EXPECT_EQ(second.status, r.stays ? 200 : 0) << r.name;
    });
  }
}

TEST(keep_alive, empty_lines_between_requests_are_skipped) {
  with_server(echo_routes(), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(get("/a") + "\r\n\r\n" + get("/b"));
    answer first = co_await c.receive();
    answer second = co_await c.receive();
    EXPECT_EQ(first.body, "/a");
    EXPECT_EQ(second.body, "/b");
  });
}

}  // namespace
}  // namespace penstock::http

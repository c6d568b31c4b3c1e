// What the client makes of an answer's fields.

#include "client_peers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::http {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

TEST(client_fields, a_folded_line_belongs_to_the_field_before_it) {
  with_peer(answers("HTTP/1.1 200 OK\r\nA: one\r\n  two \r\n\tLocation: three\r\n \r\nB:\r\n four\r\n"
                    "Content-Length: 2\r\n\r\nok"),
            [](std::string url) -> task<> {
              client c;
              client_response answer = co_await c.get(url);
              EXPECT_THAT(answer.headers, ElementsAre(Pair("A", "one two Location: three"), Pair("B", "four"),
                                                      Pair("Content-Length", "2")));
              EXPECT_EQ(answer.body, "ok");
            });
}

TEST(client_fields, a_folded_line_leads_nowhere) {
  with_peer(answers("HTTP/1.1 302 Found\r\nA: one\r\n Location: /elsewhere\r\nContent-Length: 0\r\n\r\n"),
            [](std::string url) -> task<> {
              client c({.max_redirects = 1});
              client_response answer = co_await c.get(url);
              EXPECT_EQ(answer.status, 302);
              EXPECT_EQ(answer.redirects, 0u);
            });
}

TEST(client_fields, lengths_that_differ_are_a_broken_response) {
  for (std::string lengths :
       {"Content-Length: 2\r\nContent-Length: 4\r\n", "Content-Length: 4\r\nContent-Length: 2\r\n",
        "Content-Length: 2, 4\r\n", "Content-Length: 2\r\n 4\r\n"}) {
    with_peer(answers("HTTP/1.1 200 OK\r\n" + lengths + "\r\nokok"), [&](std::string url) -> task<> {
      client c;
      task<client_error> failing = failure_of(c, url);
      client_error e = co_await std::move(failing);
      EXPECT_EQ(e.errc(), client_errc::broken_response) << e.what();
      EXPECT_THAT(e.what(), HasSubstr("GET " + url + ": the answer's Content-Length")) << lengths;
    });
  }
}

TEST(client_fields, a_length_that_nothing_can_have_is_a_broken_response) {
  for (std::string length :
       {"9223372036854775808", "18446744073709551618", "99999999999999999999999", "-2", "+2", "2x", "0x2", "2 2", ""}) {
    for (std::string method : {"GET", "HEAD"}) {
      with_peer(answers("HTTP/1.1 200 OK\r\nContent-Length: " + length + "\r\n\r\nok"), [&](std::string url) -> task<> {
        client c;
        task<client_error> failing = failure_of(c, client_request(method, url));
        client_error e = co_await std::move(failing);
        EXPECT_EQ(e.errc(), client_errc::broken_response) << length << ": " << e.what();
      });
    }
  }
}

TEST(client_fields, a_length_may_be_told_twice_and_have_zeros_before_it) {
  for (std::string lengths : {"Content-Length: 2\r\ncontent-length: 2\r\n", "Content-Length: 2, 2\r\n",
                              "Content-Length: 0000000000000000000000002\r\n"}) {
    with_peer(answers("HTTP/1.1 200 OK\r\n" + lengths + "\r\nok"), [&](std::string url) -> task<> {
      client c;
      client_response answer = co_await c.get(url);
      EXPECT_EQ(answer.body, "ok");
    });
  }
}

}  // namespace
}  // namespace penstock::http

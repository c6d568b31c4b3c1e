// Answers in a content coding (RFC 9110, 8.4).

#include "client_peers.h"

#include <array>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace penstock::http {
namespace {

// "one two three" as gzip packs it.
constexpr std::string_view packed = std::string_view(
    "\037\213\010\000\000\000\000\000\002\003\313\317\113\125\050\051\317\127\050\311\050\112\115\005\000"
    "\327\323\045\170\015\000\000\000",
    33);

std::string answer_in(std::string_view coding, std::string_view body) {
  return "HTTP/1.1 200 OK\r\nContent-Encoding: " + std::string(coding) +
         "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

TEST(client_coding, a_small_compressed_answer_that_unpacks_beyond_the_cap_is_refused) {
  // 100,000 zero bytes, as gzip packs them.
  constexpr std::string_view bomb = std::string_view(
      "\037\213\010\000\000\000\000\000\002\003\355\301\061\001\000\000\000\302\240\365\117\155\015\017\240\000\000\000"
      "\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000"
      "\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000"
      "\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000"
      "\000\000\000\000\000\000\000\000\000\200\127\003\175\225\021\324\240\206\001\000",
      132);
  std::string answer = answer_in("gzip", bomb);
  expect_failure(answer, client_errc::too_large, {.max_response_bytes = 4096});
  with_peer(answers(answer), [&](std::string url) -> task<> {
    client c;
    client_response unpacked = co_await c.get(url);
    EXPECT_EQ(unpacked.body, std::string(100'000, '\0'));
  });
}

TEST(client_coding, a_compressed_answer_that_breaks_off_or_is_damaged_is_a_broken_response) {
  for (std::size_t bytes = 1; bytes < packed.size(); ++bytes)
    expect_failure(answer_in("gzip", packed.substr(0, bytes)), client_errc::broken_response);
  std::string damaged(packed);
  damaged[14] ^= 4;
  expect_failure(answer_in("gzip", damaged), client_errc::broken_response);
  expect_failure(answer_in("gzip", "plain"), client_errc::broken_response);
  expect_failure(answer_in("gzip", std::string(packed) + "and more"), client_errc::broken_response);
}

TEST(client_coding, a_compressed_answer_may_be_several_members_or_empty) {
  for (const auto& [coding, body, unpacked] : std::vector<std::array<std::string, 3>>{
           {"gzip", std::string(packed), "one two three"},
           {"X-GZip", std::string(packed) + std::string(packed), "one two threeone two three"},
           {"gzip", std::string(packed) + std::string(512, '\0'), "one two three"},
           {"gzip", "", ""},
           {"identity", "plain", "plain"},
           {"none", "plain", "plain"},
           {"identity, gzip,", std::string(packed), "one two three"}})
    with_peer(answers(answer_in(coding, body)), [&](std::string url) -> task<> {
      client c;
      client_response answer = co_await c.get(url);
      EXPECT_EQ(answer.body, unpacked) << coding;
    });
}

TEST(client_coding, an_answer_that_goes_on_and_unpacks_to_nothing_is_refused) {
  constexpr std::string_view empty_member =
      std::string_view("\037\213\010\000\000\000\000\000\000\003\003\000\000\000\000\000\000\000\000\000", 20);
  std::string members;
  for (int i = 0; i < 5'000; ++i) members += empty_member;
  expect_failure(answer_in("gzip", members), client_errc::too_large, {.max_response_bytes = 1024});
  expect_failure(answer_in("gzip", std::string(packed) + std::string(100'000, '\0')), client_errc::too_large,
                 {.max_response_bytes = 1024});
}

TEST(client_coding, an_answer_without_a_body_may_name_the_coding_that_one_would_have) {
  for (const auto& [method, head] :
       std::vector<std::array<std::string, 2>>{{"HEAD", "200 OK\r\nContent-Encoding: gzip"},
                                               {"HEAD", "200 OK\r\nContent-Encoding: br"},
                                               {"GET", "304 Not Modified\r\nContent-Encoding: gzip"}})
    with_peer(answers("HTTP/1.1 " + head + "\r\nContent-Length: 33\r\n\r\n"), [&](std::string url) -> task<> {
      client c;
      client_response answer = co_await c.send(client_request(method, url));
      EXPECT_EQ(answer.body, "") << method << " " << head;
    });
}

TEST(client_coding, an_answer_in_a_coding_that_was_not_asked_for_is_a_broken_response) {
  expect_failure(answer_in("br", "x"), client_errc::broken_response);
  expect_failure(answer_in("gzip, gzip", packed), client_errc::broken_response);
  with_peer(answers(answer_in("br", "x")), [&](std::string url) -> task<> {
    client c({.decompress = false});
    client_response answer = co_await c.get(url);
    EXPECT_EQ(answer.body, "x") << "it is given as it is, where that is what was asked for";
  });
}

std::string answer_transferred_in(std::string_view coding, std::string_view body) {
  return "HTTP/1.1 200 OK\r\nTransfer-Encoding: " + std::string(coding) + "\r\n\r\n" + std::string(body);
}

std::string in_a_chunk(std::string_view bytes) {
  std::ostringstream chunk;
  chunk << std::hex << bytes.size() << "\r\n" << bytes << "\r\n0\r\n\r\n";
  return chunk.str();
}

// libcurl unpacks it, and would take what breaks off for whole.
TEST(client_coding, a_transfer_coding_besides_chunks_is_a_broken_response_whole_or_not) {
  for (std::string_view body : {packed, packed.substr(0, 20)}) {
    for (std::string_view coding : {"gzip, chunked", "GZIP,chunked", "x-gzip\r\nTransfer-Encoding: chunked",
                                    "\r\n gzip, chunked", "deflate, chunked", "br, chunked", "chunked, gzip",
                                    "identity, chunked", "chunked, chunked", "gzip, gzip, gzip, gzip, gzip, chunked"})
      expect_failure(answer_transferred_in(coding, in_a_chunk(body)), client_errc::broken_response);
    for (std::string_view coding : {"gzip", "deflate", "x-unknown"})
      expect_failure(answer_transferred_in(coding, body), client_errc::broken_response);
  }
}

TEST(client_coding, a_refused_transfer_coding_is_named) {
  with_peer(answers(answer_transferred_in("gzip, chunked", in_a_chunk(packed))), [](std::string url) -> task<> {
    client c;
    task<client_error> failing = failure_of(c, url);
    client_error e = co_await std::move(failing);
    EXPECT_THAT(e.what(), ::testing::HasSubstr("the answer's Transfer-Encoding is not chunked alone: gzip, chunked"));
  });
}

TEST(client_coding, chunks_are_taken_however_they_are_named) {
  for (std::string_view name : {"chunked", "Chunked", "chunked,", ", chunked"})
    with_peer(answers(answer_transferred_in(name, in_a_chunk("plain"))), [&](std::string url) -> task<> {
      client c;
      client_response answer = co_await c.get(url);
      EXPECT_EQ(answer.body, "plain") << name;
    });
}

}  // namespace
}  // namespace penstock::http

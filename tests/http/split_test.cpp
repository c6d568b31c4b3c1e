// However the network cuts a stream of requests, the answers are the same.

#include "test_server.h"

#include <random>

#include <gtest/gtest.h>

namespace penstock::http {
namespace {

std::string random_text(std::mt19937& random, std::size_t length) {
  std::string text;
  for (std::size_t i = 0; i < length; ++i) text += static_cast<char>('a' + random() % 26);
  return text;
}

std::string random_request(std::mt19937& random) {
  std::string path = "/" + random_text(random, 1 + random() % 12);
  std::string lines;
  for (std::size_t i = random() % 4; i > 0; --i)
    lines += "X-" + random_text(random, 5) + ": " + random_text(random, random() % 40) + "\r\n";
  switch (random() % 5) {
    case 0:
      return post(path, random_text(random, random() % 300), lines);
    case 1: {
      std::string request = "POST " + path + " HTTP/1.1\r\nHost: t\r\n" + lines + "Transfer-Encoding: chunked\r\n\r\n";
      for (std::size_t i = random() % 4; i > 0; --i) {
        char size[16];
        std::string chunk = random_text(random, 1 + random() % 40);
        std::snprintf(size, sizeof(size), "%zx", chunk.size());
        request += size + std::string(random() % 2 ? ";ext=\"a;b\"" : "") + "\r\n" + chunk + "\r\n";
      }
      return request + "0\r\n" + (random() % 2 ? "X-Trailer: t\r\n" : "") + "\r\n";
    }
    case 2:
      return "DELETE " + path + " HTTP/1.1\r\nHost: t\r\n\r\n";
    case 3:
      return "\r\n" + get(path + "/none", lines);
    default:
      return get(path, lines);
  }
}

// Everything the server answers to these bytes, sent in pieces that end at the given places.
std::string answers_to(const std::string& bytes, const std::vector<std::size_t>& cuts) {
  std::string all;
  with_server(echo_routes(), {}, [&](test_server& s) -> task<> {
    test_client c = s.connect();
    std::size_t from = 0;
    for (std::size_t cut : cuts) {
      c.send(std::string_view(bytes).substr(from, cut - from));
      from = cut;
      for (int turns = 0; turns < 8; ++turns) co_await yield();
      c.arrived();
    }
    c.send(std::string_view(bytes).substr(from));
    c.finish_sending();
    all = co_await c.receive_all();
  });
  // The ids of problems are random.
  for (std::size_t at = 0; (at = all.find("\"request_id\":\"", at)) != std::string::npos;) all.replace(at, 14 + 13, "");
  return all;
}

TEST(split, random_cuts_of_a_pipelined_stream_change_no_answer) {
  for (std::uint32_t seed = 1; seed <= 60; ++seed) {
    std::mt19937 random(seed);
    std::string bytes;
    for (std::size_t i = 3 + random() % 10; i > 0; --i) bytes += random_request(random);
    if (seed % 4 == 0) bytes += "GET /bad HTTP/1.1\r\nHost: t\r\nBad Name: x\r\n\r\n" + get("/never");
    std::string whole = answers_to(bytes, {});
    EXPECT_NE(whole, "");
    for (int run = 0; run < 5; ++run) {
      std::vector<std::size_t> cuts;
      for (std::size_t at = random() % 50; at < bytes.size(); at += 1 + random() % (run == 0 ? 3 : 200))
        cuts.push_back(at);
      ASSERT_EQ(answers_to(bytes, cuts), whole) << "seed " << seed << ", run " << run;
    }
  }
}

}  // namespace
}  // namespace penstock::http

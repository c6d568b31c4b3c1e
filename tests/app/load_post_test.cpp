// Sending, in virtual time, over HTTP to servers that break off.

#include "app/load/http_post.h"
#include "app/load/sender.h"
#include "http/client_peers.h"
#include <penstock/testing/network.h>
#include <penstock/testing/simulation.h>

#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace penstock::app::load {
namespace {

using namespace std::chrono_literals;

// The value of a field in what a client said.
std::string field_in(const std::string& request, const std::string& name) {
  std::size_t at = request.find("\r\n" + name + ": ");
  if (at == std::string::npos) return {};
  at += name.size() + 4;
  return request.substr(at, request.find("\r\n", at) - at);
}

testing::peer_script answers_a_batch(std::string text) {
  return http::takes_a_request().expect("{\"n\":1}\n").send(std::move(text));
}

TEST(load_post, an_answer_that_ends_inside_its_header_is_asked_for_again_under_the_same_key) {
  std::filesystem::path rejects =
      std::filesystem::temp_directory_path() / ("load_post_test." + std::to_string(::getpid()) + ".ndjson");
  const std::string stored = R"({"stored":1,"rejected":0,"duplicates":0,"results":[]})";
  const std::string whole = "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(stored.size()) + "\r\n\r\n" + stored;
  report result({"file"}, rejects.string());
  std::vector<std::string> heard;
  auto body = [&]() -> task<> {
    testing::network wires;
    auto at = wires.listen("server", 80);
    testing::scripted_peer peer({answers_a_batch("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Le"),
                                 answers_a_batch("HTTP/1.1 100 Continue\r\n\r\n"), answers_a_batch(whole)});
    co_await with_task_group([&](task_group& group) -> task<> {
      group.start_background(peer.serve(*at));
      http::client client({.connect = wires.connector("me")});
      post_options to{.url = "http://server/v1/items"};
      stop_flag reading;
      bool filled = false;
      auto fill = [&](batch& into) {
        into.clear();
        if (std::exchange(filled, true)) return false;
        into.add("{\"n\":1}", 1);
        return true;
      };
      auto post = [&](const batch& b, const std::string& key) { return post_batch(client, to, b, key); };
      sender s(fill, post, {.concurrency = 1}, result, reading);
      task<> running = s.run();
      co_await std::move(running);
      EXPECT_EQ(s.stopped_because(), "");
      task<> closing = client.close();
      co_await std::move(closing);
    });
    heard = peer.heard();
  };
  testing::simulation sim;
  sim.run(body());
  std::filesystem::remove(rejects);
  EXPECT_EQ(result.counts().stored, 1u);
  EXPECT_EQ(result.counts().unknown, 0u);
  EXPECT_EQ(result.counts().retries, 2u);
  ASSERT_EQ(heard.size(), 3u);
  EXPECT_NE(field_in(heard[0], "Idempotency-Key"), "");
  for (const std::string& request : heard)
    EXPECT_EQ(field_in(request, "Idempotency-Key"), field_in(heard[0], "Idempotency-Key"));
}

TEST(load_post, a_server_that_no_connection_can_be_made_to_in_time_ends_the_load_with_nothing_unknown) {
  std::filesystem::path rejects =
      std::filesystem::temp_directory_path() / ("load_post_cut_test." + std::to_string(::getpid()) + ".ndjson");
  report result({"file"}, rejects.string());
  std::string stopped_because;
  auto body = [&]() -> task<> {
    testing::network wires;
    auto at = wires.listen("server", 80);
    wires.partition("me", "server");
    http::client client({.connect = wires.connector("me")});
    post_options to{.url = "http://server/v1/items"};
    stop_flag reading;
    int filled = 0;
    auto fill = [&](batch& into) {
      into.clear();
      if (++filled > 20) return false;
      into.add("{\"n\":1}", 1);
      return true;
    };
    auto post = [&](const batch& b, const std::string& key) { return post_batch(client, to, b, key); };
    sender s(fill, post, {.concurrency = 1, .retry = {.retry_for = 1s}}, result, reading);
    task<> running = s.run();
    co_await std::move(running);
    stopped_because = s.stopped_because();
    task<void> closing = client.close();
    co_await std::move(closing);
  };
  testing::simulation sim;
  sim.run(body());
  std::filesystem::remove(rejects);
  EXPECT_EQ(result.counts().unknown, 0u);
  EXPECT_EQ(result.counts().retries, 1u);
  EXPECT_THAT(stopped_because, ::testing::HasSubstr("within 10s"));
  EXPECT_THAT(stopped_because, ::testing::Not(::testing::HasSubstr("nobody knows")));
}

}  // namespace
}  // namespace penstock::app::load

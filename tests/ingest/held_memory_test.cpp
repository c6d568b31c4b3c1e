// What requests hold together, of bodies that are not whole and of answers that nobody takes.

#include "held_memory_fixture.h"
#include <penstock/observe/log_capture.h>

#include <memory>
#include <string>
#include <utility>

namespace penstock::ingest {
namespace {

TEST_F(held_memory, of_bodies_is_bounded_and_who_needs_more_gets_a_503_with_what_was_stored) {
  run([&]() -> task<void> {
    std::size_t whole = half_item_.size() + end_of_item_.size();
    auto first = begin(ndjson(half_item_, whole));
    std::unique_ptr<net::stream> slow = co_await std::move(first);
    EXPECT_GE(shown("penstock_reading_bytes"), 90'000);
    task<answer> too_many = ask_server(ndjson("1\n" + half_item_ + end_of_item_, whole + 2));
    answer refused = co_await std::move(too_many);
    EXPECT_EQ(refused.status, 503);
    EXPECT_EQ(refused.json("/code"), "\"ingest.overloaded\"") << refused.body;
    EXPECT_EQ(refused.json("/stored"), "1") << refused.body;
    EXPECT_EQ(refused.header("Retry-After"), "1");
    task<answer> small = ask_server(ndjson("2\n", 2));
    EXPECT_EQ((co_await std::move(small)).status, 200);
    task<answer> ending = end(std::move(slow), end_of_item_);
    EXPECT_EQ((co_await std::move(ending)).status, 200);
    task<answer> again = ask_server(ndjson(half_item_ + end_of_item_, whole));
    EXPECT_EQ((co_await std::move(again)).status, 200) << "what the first one held was not given back";
    EXPECT_EQ(shown("penstock_reading_bytes"), 0);
  });
  EXPECT_EQ(server_->stored.size(), 4u);
}

TEST_F(held_memory, of_the_body_of_a_keyed_request_is_bounded_too_and_nothing_of_it_is_stored) {
  run([&]() -> task<void> {
    auto first = begin(ndjson(half_item_, 2 * long_bytes));
    std::unique_ptr<net::stream> slow = co_await std::move(first);
    std::string body = "1\n" + half_item_ + end_of_item_;
    task<answer> too_many = ask_server(ndjson(body, body.size(), "Idempotency-Key: \"a\"\r\n"));
    answer refused = co_await std::move(too_many);
    EXPECT_EQ(refused.status, 503);
    EXPECT_EQ(refused.json("/code"), "\"ingest.overloaded\"") << refused.body;
    EXPECT_EQ(refused.header("Retry-After"), "1");
    slow.reset();
    co_await sleep_for(1s);
    task<answer> again = ask_server(ndjson(body, body.size(), "Idempotency-Key: \"a\"\r\n"));
    EXPECT_EQ((co_await std::move(again)).status, 200) << "what the client that left had held was not given back";
  });
}

TEST_F(held_memory, of_a_body_that_is_alone_has_no_bound) {
  options_.reading_bytes = 1;
  run([&]() -> task<void> {
    std::string body = half_item_ + end_of_item_;
    task<answer> asking = ask_server(ndjson(body, body.size()));
    EXPECT_EQ((co_await std::move(asking)).status, 200);
  });
}

TEST_F(held_memory, of_a_body_that_has_come_to_its_end_refuses_none_of_it) {
  run([&]() -> task<void> {
    auto first = begin(ndjson(half_item_, 2 * long_bytes));
    std::unique_ptr<net::stream> slow = co_await std::move(first);
    std::string body = "\"" + std::string(20'000, 'x') + end_of_item_;  // in two pieces, of which the first is free
    task<answer> asking = ask_server(ndjson(body, body.size()));
    answer taken = co_await std::move(asking);
    EXPECT_EQ(taken.status, 200) << taken.body;
    EXPECT_LE(shown("penstock_reading_bytes"), room_for_one);
  });
  EXPECT_EQ(server_->stored.size(), 1u);
}

// Some hundred bytes make a decoder take 8 MiB.
TEST_F(held_memory, for_decompressing_counts) {
  options_.reading_bytes = std::size_t{12} << 20;
  run([&]() -> task<void> {
    std::string coded = zstd_with_large_window("1\n");
    std::string request = ndjson(coded, coded.size() + 1, "Content-Encoding: zstd\r\n");
    auto first = begin(request);
    std::unique_ptr<net::stream> slow = co_await std::move(first);
    task<answer> second = ask_server(request);
    answer refused = co_await std::move(second);
    EXPECT_EQ(refused.status, 503) << refused.body;
    EXPECT_EQ(refused.json("/code"), "\"ingest.overloaded\"") << refused.body;
    EXPECT_EQ(refused.json("/stored"), "0") << "of what is refused, something was taken";
    task<answer> plain = ask_server(ndjson("2\n", 2));
    EXPECT_EQ((co_await std::move(plain)).status, 200);
  });
}

TEST_F(held_memory, of_answers_that_nobody_takes_is_bounded_by_telling_others_less) { tell_less_beside_a_slow({}); }

TEST_F(held_memory, of_the_answers_to_keyed_requests_is_bounded_so_too) {
  tell_less_beside_a_slow("Idempotency-Key: \"a\"\r\n");
}

TEST_F(held_memory, of_an_answer_is_given_back_once_it_is_taken_though_its_connection_stays) {
  run([&]() -> task<void> {
    std::string kept = "POST /v1/items HTTP/1.1\r\nHost: server\r\nContent-Type: application/x-ndjson\r\n";
    auto first = begin(kept + "Content-Length: " + std::to_string(many_bad_.size()) + "\r\n\r\n" + many_bad_);
    std::unique_ptr<net::stream> stream = co_await std::move(first);
    EXPECT_GE(shown("penstock_answer_bytes"), room_for_one);
    task<std::string> taking = read_until(*stream, "]}\n");
    co_await std::move(taking);
    co_await sleep_for(1s);
    EXPECT_EQ(shown("penstock_answer_bytes"), 0);
  });
}

TEST_F(held_memory, of_what_is_read_back_is_bounded_by_a_503) {
  log::capture quiet;
  server_->shown.push_back({std::int64_t{1}, std::string(long_bytes, '1'), db::value()});
  run([&]() -> task<void> {
    for (const std::string path : {"/v1/items/1", "/v1/items", "/v1/items?format=ndjson"}) {
      std::string request = "GET " + path + " HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n";
      auto first = begin(request);
      std::unique_ptr<net::stream> slow = co_await std::move(first);
      task<answer> second = ask_server(request);
      answer refused = co_await std::move(second);
      EXPECT_EQ(refused.status, 503) << path;
      EXPECT_EQ(refused.json("/code"), "\"ingest.overloaded\"") << refused.body;
      EXPECT_EQ(refused.header("Retry-After"), "1");
      task<answer> taking = end(std::move(slow), "");
      EXPECT_GT((co_await std::move(taking)).body.size(), long_bytes);
      task<answer> again = ask_server(request);
      EXPECT_EQ((co_await std::move(again)).status, 200) << path << ": what the first one held was not given back";
    }
  });
}

}  // namespace
}  // namespace penstock::ingest

// Who waits for memory that others hold, who gives way, and what is given back when.

#include "held_memory_fixture.h"

#include <string>
#include <utility>

namespace penstock::ingest {
namespace {

class held_memory_waits : public held_memory {
 protected:
  task<int> status_beside_others(std::string body, const char* type = "application/x-ndjson") {
    std::string request =
        "POST /v1/items HTTP/1.1\r\nHost: server\r\nConnection: close\r\nContent-Type: " + std::string(type) +
        "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    task<answer> asking = ask_server(std::move(request));
    answer a = co_await std::move(asking);
    co_return a.status;
  }

  const std::string long_item_ = half_item_ + end_of_item_;
};

TEST_F(held_memory_waits, a_moment_for_who_sends_a_long_item_beside_others) {
  run([&]() -> task<void> {
    auto first = begin(ndjson(half_item_, long_item_.size()));
    std::unique_ptr<net::stream> slow = co_await std::move(first);
    task_group group;
    int status = 0;
    auto ask = [&]() -> task<void> { status = co_await status_beside_others(long_item_); };
    group.start(ask());
    co_await sleep_for(1s);
    task<answer> ending = end(std::move(slow), end_of_item_);
    EXPECT_EQ((co_await std::move(ending)).status, 200);
    co_await group.join();
    EXPECT_EQ(status, 200);
    EXPECT_EQ(shown("penstock_reading_bytes"), 0);
  });
}

// What they have is in memory, though it is not counted.
TEST_F(held_memory_waits, a_moment_for_few_at_a_time) {
  run([&]() -> task<void> {
    auto first = begin(ndjson(half_item_, long_item_.size()));
    std::unique_ptr<net::stream> slow = co_await std::move(first);
    task_group group;
    std::vector<std::pair<int, duration>> told;
    const time_point begun = scheduler::current().now();
    auto ask = [&]() -> task<void> {
      int status = co_await status_beside_others(long_item_);
      told.emplace_back(status, scheduler::current().now() - begun);
    };
    for (int i = 0; i < 5; ++i) group.start(ask());
    co_await group.join();
    EXPECT_EQ(told.size(), 5u);
    for (const auto& [status, took] : told) EXPECT_EQ(status, 503);
    EXPECT_LT(told.at(3).second, 1s);
    EXPECT_GE(told.at(4).second, 2s);
  });
}

TEST_F(held_memory_waits, and_takes_it_from_who_has_not_got_on_for_long) {
  run([&]() -> task<void> {
    auto first = begin(ndjson("1\n" + half_item_, 2 + long_item_.size()));
    std::unique_ptr<net::stream> idle = co_await std::move(first);
    task<int> too_early = status_beside_others(long_item_);
    EXPECT_EQ(co_await std::move(too_early), 503);
    co_await sleep_for(10s);
    task<int> in_time = status_beside_others(long_item_);
    EXPECT_EQ(co_await std::move(in_time), 200);
    task<answer> taking = end(std::move(idle), "");
    answer told = co_await std::move(taking);
    EXPECT_EQ(told.status, 503);
    EXPECT_EQ(told.json("/code"), "\"ingest.overloaded\"") << told.body;
    EXPECT_EQ(told.json("/stored"), "1") << told.body;
    EXPECT_EQ(shown("penstock_reading_bytes"), 0);
  });
}

TEST_F(held_memory_waits, but_not_from_who_gets_on) {
  options_.reading_bytes = std::size_t{12} << 20;
  run([&]() -> task<void> {
    std::string coded = zstd_with_large_window("1\n2\n");
    std::string head = ndjson("", coded.size() + 1, "Content-Encoding: zstd\r\n");
    auto first = begin(head + coded.substr(0, coded.size() - 1));
    std::unique_ptr<net::stream> steady = co_await std::move(first);
    co_await sleep_for(9s);
    const std::string rest = coded.substr(coded.size() - 1);
    task<void> writing = steady->write(net::bytes_of(rest));
    co_await std::move(writing);
    co_await sleep_for(5s);
    task<answer> second = ask_server(head + coded);
    EXPECT_EQ((co_await std::move(second)).status, 503);
    EXPECT_GT(shown("penstock_reading_bytes"), 8e6);
  });
}

TEST_F(held_memory_waits, none_is_held_between_long_items) {
  run([&]() -> task<void> {
    auto first = begin(ndjson(half_item_, long_item_.size() + 2));
    std::unique_ptr<net::stream> streaming = co_await std::move(first);
    task<void> writing = streaming->write(net::bytes_of(end_of_item_));
    co_await std::move(writing);
    co_await sleep_for(1s);
    EXPECT_EQ(shown("penstock_reading_bytes"), 0);
    task<answer> ending = end(std::move(streaming), "1\n");
    EXPECT_EQ((co_await std::move(ending)).json("/stored"), "2");
  });
}

TEST_F(held_memory_waits, none_is_held_while_an_item_passes_by_that_is_too_long) {
  options_.max_item_bytes = long_bytes / 2;
  run([&]() -> task<void> {
    auto first = begin(ndjson("[[" + half_item_, long_item_.size() + 2));
    std::unique_ptr<net::stream> streaming = co_await std::move(first);
    EXPECT_EQ(shown("penstock_reading_bytes"), 0);
  });
}

TEST_F(held_memory_waits, none_by_short_items_in_pieces_nor_by_what_is_whole) {
  run([&]() -> task<void> {
    auto first = begin(ndjson(half_item_, 2 * long_bytes));
    std::unique_ptr<net::stream> slow = co_await std::move(first);
    auto second = begin(ndjson("\"" + std::string(12'000, 'x'), 13'003));
    std::unique_ptr<net::stream> in_pieces = co_await std::move(second);
    task<answer> ending = end(std::move(in_pieces), std::string(1'000, 'x') + end_of_item_.substr(0, 2));
    EXPECT_EQ((co_await std::move(ending)).status, 200);
    EXPECT_LT(shown("penstock_reading_bytes"), 200'000);
    task<int> whole = status_beside_others("\"" + std::string(60'000, 'x') + "\"", "application/json");
    EXPECT_EQ(co_await std::move(whole), 200);
  });
}

TEST_F(held_memory_waits, an_answer_that_was_taken_holds_none_while_the_rest_of_the_request_comes) {
  server_->shown = {{std::int64_t{1}, '"' + std::string(long_bytes, 'x') + '"', db::value()}};
  run([&]() -> task<void> {
    auto first = begin("GET /v1/items/1 HTTP/1.1\r\nHost: server\r\nContent-Length: 1000\r\n\r\n");
    std::unique_ptr<net::stream> stream = co_await std::move(first);
    task<std::string> taking = read_until(*stream, "}\n");
    co_await std::move(taking);
    co_await sleep_for(1s);
    EXPECT_EQ(shown("penstock_answer_bytes"), 0);
  });
}

TEST_F(held_memory_waits, an_answer_that_is_given_again_is_bounded_by_a_503) {
  const std::string key = "Idempotency-Key: \"a\"\r\n";
  run([&]() -> task<void> {
    const std::string request = ndjson("1\n" + many_bad_, many_bad_.size() + 2, key);
    task<answer> asking = ask_server(request);
    answer whole = co_await std::move(asking);
    EXPECT_EQ(whole.json("/stored"), "1");
    auto first = begin(request);
    std::unique_ptr<net::stream> slow = co_await std::move(first);
    EXPECT_GT(shown("penstock_answer_bytes"), 0);
    asking = ask_server(request);
    answer refused = co_await std::move(asking);
    EXPECT_EQ(refused.status, 503);
    EXPECT_EQ(refused.json("/code"), "\"ingest.overloaded\"") << refused.body;
    task<answer> taking = end(std::move(slow), "");
    EXPECT_EQ((co_await std::move(taking)).body, whole.body);
    asking = ask_server(request);
    EXPECT_EQ((co_await std::move(asking)).body, whole.body);
  });
}

// The results of a keyed request are those of a batch, and made with it.
TEST_F(held_memory_waits, first_answers_to_keyed_requests_tell_less_beside_others_that_nobody_takes) {
  run([&]() -> task<void> {
    auto first = begin(ndjson(many_bad_, many_bad_.size()));
    std::unique_ptr<net::stream> slow = co_await std::move(first);
    EXPECT_GE(shown("penstock_answer_bytes"), room_for_one);
    std::string good;
    for (int i = 0; i < 2'000; ++i) good += "1\n";
    std::string request = ndjson(good, good.size(), "Idempotency-Key: \"a\"\r\n");
    request.replace(request.find(" HTTP"), 0, "?results=all");
    task<answer> asking = ask_server(request);
    answer told = co_await std::move(asking);
    EXPECT_EQ(told.json("/stored"), "2000");
    EXPECT_EQ(told.json("/results_truncated"), "true");
    EXPECT_LT(told.body.size(), 20'000u);
  });
}

TEST_F(held_memory_waits, an_export_goes_on_when_others_have_taken_their_answers) {
  options_.answer_bytes = 200'000;
  run([&]() -> task<void> {
    int pages = 0;
    server_->barrier = [&](const std::string& what) -> event* {
      return what == "SELECT" && ++pages == 2 ? &next_page_ : nullptr;
    };
    const std::vector<db::value> short_row{std::int64_t{1}, "1", db::value()};
    server_->shown.assign(1'000, short_row);
    auto beginning = begin("GET /v1/items?format=ndjson HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n");
    std::unique_ptr<net::stream> exporting = co_await std::move(beginning);
    auto first = begin(ndjson(many_bad_, many_bad_.size()));
    std::unique_ptr<net::stream> slow = co_await std::move(first);
    EXPECT_GE(shown("penstock_answer_bytes"), 200'000);
    answer whole;
    auto take_export = [&]() -> task<void> { whole = co_await end(std::move(exporting), ""); };
    task_group group;
    group.start(take_export());
    next_page_.set();
    co_await sleep_for(10s);
    EXPECT_EQ(pages, 2) << "the export did not wait";
    server_->shown.assign(1, {std::int64_t{2}, "\"the last\"", db::value()});
    task<answer> taking = end(std::move(slow), "");
    EXPECT_EQ((co_await std::move(taking)).status, 200);
    co_await group.join();
    EXPECT_NE(whole.body.find("the last"), std::string::npos);
    EXPECT_TRUE(whole.body.ends_with("0\r\n\r\n")) << "it broke off";
    EXPECT_EQ(shown("penstock_answer_bytes"), 0);
  });
}

}  // namespace
}  // namespace penstock::ingest

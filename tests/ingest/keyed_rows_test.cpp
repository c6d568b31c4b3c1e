// Rows of a request with an Idempotency-Key, which wait for a lock, or are stored through another server meanwhile: the
// request and its repeats have one answer, and each of its items is stored once.

#include "simulated_service.h"
#include <penstock/async/event.h>
#include <penstock/async/gather.h>
#include <penstock/observe/log_capture.h>

#include <algorithm>

namespace penstock::ingest {
namespace {

class keyed_rows : public simulated_service {
 protected:
  task<answer> post_keyed(std::string key, std::string body, std::string host = "server") {
    std::string request = post_to("items", body, "Idempotency-Key: " + key + "\r\n");
    task<answer> asking = ask_server(std::move(request), std::move(host));
    co_return co_await std::move(asking);
  }
  std::ptrdiff_t times_stored(const std::string& item) const {
    return std::count(server_->stored.begin(), server_->stored.end(), item);
  }
  void expect_replay_of(const answer& first, const answer& again) const {
    EXPECT_EQ(again.status, first.status);
    EXPECT_EQ(again.body, first.body);
    EXPECT_EQ(again.header("Idempotency-Replayed"), "true");
  }

  std::shared_ptr<marked_server> server_ = std::make_shared<marked_server>();
};

TEST_F(keyed_rows, that_wait_for_a_lock_are_stored_together_when_it_is_gone) {
  log::capture quiet;
  server_->lock_timeout = 1h;
  server_->locked_rows = {"5"};
  simulate(server_, options_of(whole_items()), [&]() -> task<void> {
    auto unlocking = [&]() -> task<void> {
      co_await sleep_for(2s);
      EXPECT_EQ(times_stored("3"), 1) << "the neighbour waits for nobody";
      EXPECT_EQ(times_stored("4"), 0) << "it is stored with the other of its request";
      server_->locked_rows.clear();
    };
    auto all = gather(post_keyed("k", "[4,5]"), status_of(post_to("items", "3")), unlocking());
    auto [first, neighbour, nothing] = co_await std::move(all);
    EXPECT_EQ(neighbour, 200);
    EXPECT_EQ(first.status, 200);
    EXPECT_EQ(first.json("/stored"), "2") << first.body;
    auto repeating = post_keyed("k", "[4,5]");
    answer again = co_await std::move(repeating);
    expect_replay_of(first, again);
  });
  for (const char* item : {"3", "4", "5"}) EXPECT_EQ(times_stored(item), 1) << item;
}

TEST_F(keyed_rows, whose_key_another_server_stores_between_its_look_up_and_its_answer_are_not_stored_again) {
  log::capture quiet;
  event looked_up;
  event other_is_done;
  std::size_t insertions = 0;
  server_->barrier = [&](const std::string& what) -> event* {
    if (what != "ROWS processed_data" || ++insertions > 1) return nullptr;
    looked_up.set();
    return &other_is_done;
  };
  metrics::registry of_other;
  simulate(server_, options_of(whole_items()), [&]() -> task<void> {
    std::optional<answer> first;
    std::optional<answer> other;
    auto post_here = [&]() -> task<void> {
      task<answer> posting = post_keyed("k", "[1,2]");
      first = co_await std::move(posting);
    };
    auto post_there = [&]() -> task<void> {
      co_await looked_up.wait();
      task<answer> posting = post_keyed("k", "[1,2]", "other");
      other = co_await std::move(posting);
      other_is_done.set();
    };
    std::function<task<void>()> body = [&]() -> task<void> {
      auto both = gather(post_here(), post_there());
      co_await std::move(both);
    };
    task<void> serving = serve_at("other", server_, options_of(whole_items()), of_other, body);
    co_await std::move(serving);
    EXPECT_EQ(other->status, 200);
    EXPECT_EQ(other->json("/stored"), "2") << other->body;
    EXPECT_EQ(other->header("Idempotency-Replayed"), "");
    expect_replay_of(*other, *first);
  });
  EXPECT_EQ(insertions, 2u) << "of the first, and the other's";
  for (const char* item : {"1", "2"}) EXPECT_EQ(times_stored(item), 1) << item;
}

}  // namespace
}  // namespace penstock::ingest

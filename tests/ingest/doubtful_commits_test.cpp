// Whatever happens while the outcome of a COMMIT is looked up, or to the sessions and markers of commits that failed.

#include "rows_fixture.h"

#include <gtest/gtest.h>

namespace penstock::ingest {
namespace {

class doubtful_commits : public rows_test {
 protected:
  // How an item ends that comes alone.
  static task<item_result> process_one(processor& p, std::string item) {
    std::vector<std::string> one(1, std::move(item));
    task<batch_result> processing = p.process(std::move(one));
    batch_result result = co_await std::move(processing);
    co_return result.items.at(0);
  }
  task<void> expect_stored(processor& p, std::string item) {
    task<item_result> processing = process_one(p, item);
    item_result end = co_await std::move(processing);
    EXPECT_EQ(end.status, item_status::stored) << item << ": " << (end.error ? end.error->message : "");
    EXPECT_EQ(std::count(server_->stored.begin(), server_->stored.end(), item), 1) << item;
  }
};

}  // namespace

// Of a batch, that would be permanent.
TEST_F(doubtful_commits, are_asked_for_again_where_the_question_itself_fails) {
  for (cut how : {cut::before, cut::after}) {
    for (db::db_errc why : {db::db_errc::auth, db::db_errc::other}) {
      server_ = std::make_shared<marked_server>();
      int lost = 0;
      int refused = 0;
      server_->cuts = [&](std::size_t, const std::string& what) {
        return what == "COMMIT" && lost++ == 0 ? std::optional<cut>(how) : std::nullopt;
      };
      server_->barrier = [&](const std::string& what) -> event* {
        if (what == "UPDATE" && lost == 1 && refused < 2) {
          ++refused;
          throw db::database_error(why, "no right to do that, for a moment");
        }
        return nullptr;
      };
      run([&](processor& p) -> task<void> {
        server_->armed = true;
        task<void> storing = expect_stored(p, "1");
        co_await std::move(storing);
      });
      EXPECT_EQ(refused, 2);
    }
  }
}

// As where a standby that lacks it is promoted just then.
TEST_F(doubtful_commits, that_are_seen_and_gone_when_they_are_to_be_confirmed_are_repeated) {
  std::map<std::string, std::int64_t> on_standby;
  enum class stage { before_the_cut, in_doubt, seen, promoted } now = stage::before_the_cut;
  server_->cuts = [&](std::size_t, const std::string& what) -> std::optional<cut> {
    if (now == stage::before_the_cut && what == "COMMIT") {
      now = stage::in_doubt;
      on_standby = server_->markers;
      return cut::after;
    }
    if (now == stage::in_doubt && what == "SELECT") {
      now = stage::seen;
    } else if (now == stage::seen && what == "UPDATE") {
      now = stage::promoted;
      server_->markers = on_standby;
      server_->stored.clear();
    }
    return std::nullopt;
  };
  run([&](processor& p) -> task<void> {
    server_->armed = true;
    task<void> storing = expect_stored(p, "1");
    co_await std::move(storing);
  });
  EXPECT_EQ(now, stage::promoted);
}

// It may be stored: nobody is to be told that it is not, as one is whose item costs sessions.
TEST_F(doubtful_commits, of_a_file_are_tried_again_however_often_a_session_is_lost) {
  server_->is_file = true;
  bool is_in_doubt = false;
  bool is_back = false;
  int lost = 0;
  server_->cuts = [&](std::size_t, const std::string& what) -> std::optional<cut> {
    if (what == "COMMIT" && !std::exchange(is_in_doubt, true)) return cut::before;
    if (what == "ROWS processed_data" && is_in_doubt && !is_back) {
      ++lost;
      return cut::before;
    }
    return std::nullopt;
  };
  run([&](processor& p) -> task<void> {
    server_->armed = true;
    auto coming_back = [&]() -> task<void> {
      co_await sleep_for(5s);
      is_back = true;
    };
    auto both = gather(process(p, numbers(3), false), coming_back());
    auto [ends, nothing] = co_await std::move(both);
    check(ends);
  });
  EXPECT_GT(lost, 4);
}

// The server may hold the row of the marker for as long as it has not noticed that its session is gone.
TEST_F(doubtful_commits, leave_the_marker_of_a_lost_session_alone) {
  options_.commits.commit_retry = 1ms;
  server_->lock_timeout = 1h;
  server_->notices_loss_after = 30s;
  bool is_lost = false;
  server_->cuts = [&](std::size_t, const std::string& what) {
    return what == "ROWS processed_data" && !std::exchange(is_lost, true) ? std::optional(cut::before) : std::nullopt;
  };
  run([&](processor& p) -> task<void> {
    server_->armed = true;
    task<item_result> losing = process_one(p, "1");
    EXPECT_EQ((co_await std::move(losing)).status, item_status::failed);
    time_point start = scheduler::current().now();
    task<void> storing = expect_stored(p, "2");
    co_await std::move(storing);
    EXPECT_LT(scheduler::current().now() - start, 500ms);
    co_await sleep_for(1min);
  });
}

}  // namespace penstock::ingest

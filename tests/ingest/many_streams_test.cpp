// Streams beside one another on one database server.

#include "marked_database.h"
#include "service_fixture.h"
#include <penstock/async/event.h>
#include <penstock/observe/log_capture.h>

namespace penstock::ingest {
namespace {

class many_streams : public service_test {
 protected:
  static service_options streams(int count) {
    service_options options;
    for (int i = 0; i < count; ++i) {
      stream_definition stream;
      stream.name = stream.table = "s" + std::to_string(i);
      options.streams.push_back(std::move(stream));
    }
    options.batch.max_rows = 1;
    return options;
  }
};

TEST_F(many_streams, one_whose_table_is_locked_holds_up_no_other) {
  auto server = std::make_shared<marked_server>();
  std::size_t at_the_lock = 0;
  event all_wait;
  event unlocked;
  server->barrier = [&](const std::string& what) -> event* {
    if (what != "ROWS s0") return nullptr;
    if (++at_the_lock == 4) all_wait.set();
    return &unlocked;
  };
  serve(db::database(std::make_shared<marked_driver>(server)), streams(2), [&]() -> task<void> {
    task_group held_up;
    auto wait_for_lock = [&]() -> task<void> {
      task<answer> posting = post("/v1/s0", "1");
      EXPECT_EQ((co_await std::move(posting)).status, 200);
    };
    for (int i = 0; i < 4; ++i) held_up.start(wait_for_lock());
    co_await all_wait.wait();
    auto posting = post("/v1/s1", "2");
    EXPECT_EQ((co_await std::move(posting)).status, 200);
    EXPECT_EQ(server->stored.size(), 1u) << "the others wait for their lock";
    unlocked.set();
    co_await held_up.join();
  });
}

TEST_F(many_streams, open_the_sessions_of_one_at_the_start) {
  auto server = std::make_shared<marked_server>();
  serve(db::database(std::make_shared<marked_driver>(server)), streams(9), [&]() -> task<void> {
    EXPECT_LE(server->sessions, 4u + 2u);
    co_return;
  });
}

TEST_F(many_streams, are_counted_for_the_sessions_that_a_service_uses) {
  db::database server(std::make_shared<marked_driver>(std::make_shared<marked_server>()));
  EXPECT_EQ(used_sessions(streams(1), server), 2u + 4u);
  EXPECT_EQ(used_sessions(streams(3), server), 2u + 12u);
  EXPECT_EQ(used_sessions(streams(9), server), 2u + 32u);
  EXPECT_EQ(used_sessions(streams(9), db::database("sqlite::memory:")), 2u + 1u);
  service_options wide = streams(2);
  wide.batch.commits_in_flight = 40;
  EXPECT_EQ(used_sessions(wide, server), 2u + 40u);
}

}  // namespace
}  // namespace penstock::ingest

// What a service does beside its requests.

#include "marked_database.h"
#include <penstock/async/task_group.h>
#include <penstock/ingest/service.h>
#include <penstock/observe/log_capture.h>
#include <penstock/observe/metrics.h>
#include <penstock/testing/simulation.h>

#include <algorithm>

#include <gtest/gtest.h>

namespace penstock::ingest {
namespace {

TEST(housekeeping, a_session_that_gets_no_answer_about_old_answers_is_given_up) {
  log::capture quiet;
  auto server = std::make_shared<marked_server>();
  server->pause = [](const std::string& what) { return what == "SELECT" ? duration(24h) : duration(1ms); };
  service_options options;
  options.streams.push_back({.name = "items", .table = "items"});
  options.batch.attempt_timeout = 2s;
  options.keep_answers = 100s;  // they are looked for once a second
  metrics::registry registry;
  penstock::testing::simulation sim;
  auto main = [&]() -> task<void> {
    service s(db::database(std::make_shared<marked_driver>(server)), options, &registry);
    co_await s.open();
    task_group running;
    running.start(s.run(), "service");
    co_await sleep_for(1min);
    EXPECT_GE(std::count(server->operations.begin(), server->operations.end(), "SELECT"), 15);
    EXPECT_LE(server->sessions, 6u);
    s.stop();
    co_await running.join();
  };
  sim.run(main());
  EXPECT_EQ(server->sessions, 0u);
}

// The batches of requests without a key say nothing of it.
TEST(housekeeping, a_table_of_answers_that_is_gone_is_told_of_once_each_time) {
  log::capture logged;
  auto server = std::make_shared<marked_server>();
  bool is_gone = false;
  server->pause = [&](const std::string& what) -> duration {
    if (is_gone && what == "SELECT") throw db::database_error(db::db_errc::syntax, "no such table");
    return 1ms;
  };
  service_options options;
  options.streams.push_back({.name = "items", .table = "items"});
  options.keep_answers = 100s;  // they are looked for once a second
  metrics::registry registry;
  penstock::testing::simulation sim;
  auto told = [&] {
    std::vector<std::string> lines = logged.lines();
    return std::count_if(lines.begin(), lines.end(), [](const std::string& line) {
      return line.find("ERROR table penstock_idempotency can't be used") != std::string::npos;
    });
  };
  auto main = [&]() -> task<void> {
    service s(db::database(std::make_shared<marked_driver>(server)), options, &registry);
    co_await s.open();
    task_group running;
    running.start(s.run(), "service");
    co_await sleep_for(10s);
    EXPECT_EQ(told(), 0);
    is_gone = true;
    co_await sleep_for(10s);
    EXPECT_EQ(told(), 1);
    is_gone = false;
    co_await sleep_for(10s);
    is_gone = true;
    co_await sleep_for(10s);
    EXPECT_EQ(told(), 2);
    s.stop();
    co_await running.join();
  };
  sim.run(main());
}

}  // namespace
}  // namespace penstock::ingest

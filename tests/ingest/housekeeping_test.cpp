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

}  // namespace
}  // namespace penstock::ingest

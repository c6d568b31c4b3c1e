// A database that takes a batch and never answers.

#include <penstock/ingest/processor.h>
#include <penstock/observe/metrics.h>
#include <penstock/testing/database.h>
#include <penstock/testing/simulation.h>

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace penstock::testing {
namespace {

using namespace std::chrono_literals;

TEST(hung_attempt, is_given_up_and_its_batch_committed_over_another_connection) {
  simulation sim;
  auto body = [&]() -> task<> {
    database store({.give_up = 24h});
    ingest::processor_options options;
    options.commits.attempt_timeout = 3s;
    metrics::registry registry;
    ingest::processor p(store.server(), options, {}, &registry);
    task<> opening = p.open();
    co_await std::move(opening);
    bool hung = false;
    store.on_statement([&](const statement& s) {
      if (s.what != "batch" || std::exchange(hung, true)) return fate::done();
      return fate::never();
    });
    time_point begun = sim.now();
    std::vector<std::string> items{R"({"n": 1})"};
    task<ingest::batch_result> processing = p.process(std::move(items));
    ingest::batch_result result = co_await std::move(processing);
    EXPECT_TRUE(hung);
    EXPECT_EQ(result.counts.stored, 1u);
    EXPECT_GE(sim.now() - begun, 3s);
    EXPECT_LT(sim.now() - begun, 10s);
    EXPECT_EQ(store.count("SELECT count(*) FROM processed_data"), 1);
    task<> closing = p.close();
    co_await std::move(closing);
  };
  sim.run(body());
}

}  // namespace
}  // namespace penstock::testing

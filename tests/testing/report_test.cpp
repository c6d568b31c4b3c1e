// What a failing run tells of the things that it ran on.

#include "failing_case.h"
#include <penstock/async/event.h>
#include <penstock/db/pool.h>
#include <penstock/net/listener.h>
#include <penstock/testing/database.h>
#include <penstock/testing/network.h>
#include <penstock/testing/report_section.h>
#include <penstock/testing/simulation.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace penstock::testing {
namespace {

task<void> waits_for_ever() {
  event never;
  auto waiting = never.wait();
  co_await waiting;
}

task<std::unique_ptr<net::stream>> connected(network& n, net::listener& at) {
  task<std::unique_ptr<net::stream>> connecting = n.connect("shop", at.local_endpoint());
  std::unique_ptr<net::stream> s = co_await std::move(connecting);
  task<void> writing = s->write(net::bytes_of("hello"));
  co_await std::move(writing);
  co_return s;
}

TEST(report, of_a_deadlock_has_the_connections_as_they_stand) {
  std::string text = failures_of_test([]() -> task<> {
    network n;
    std::unique_ptr<net::listener> at = n.listen("bank", 443);
    task<std::unique_ptr<net::stream>> connecting = connected(n, *at);
    std::unique_ptr<net::stream> s = co_await std::move(connecting);
    co_await waits_for_ever();
  });
  EXPECT_TRUE(contains(text, "no timer is left"));
  EXPECT_TRUE(contains(text, "network:\nlistening on bank:443\nshop:"));
  EXPECT_TRUE(contains(text, " -> bank:443  client open, sent 5, under way 0, unread 0  server open"));
}

TEST(report, of_a_deadlock_has_the_sessions_of_a_database) {
  std::string text = failures_of_test([]() -> task<> {
    database store;
    std::unique_ptr<db::connection> session = co_await store.server().connect();
    co_await session->execute("CREATE TABLE letter (address TEXT)");
    co_await session->begin();
    co_await waits_for_ever();
  });
  EXPECT_TRUE(contains(text, "database simulated:test:\nsession 1, in a transaction, idle\n"));
}

TEST(report, of_an_exception_tells_of_connections_that_it_has_ended) {
  std::string text = failures_of_test([]() -> task<> {
    network n;
    std::unique_ptr<net::listener> at = n.listen("bank", 443);
    task<std::unique_ptr<net::stream>> connecting = connected(n, *at);
    std::unique_ptr<net::stream> s = co_await std::move(connecting);
    throw std::runtime_error("no letter came");
  });
  EXPECT_TRUE(contains(text, "no letter came"));
  EXPECT_TRUE(contains(text, "what the test ran on, at its end:\nnetwork:\n"));
  EXPECT_TRUE(contains(text, " -> bank:443  client closed, sent 5"));
}

TEST(report, of_a_seed_whose_assertion_failed_has_the_network_too) {
  std::string text = failures_of_seeds(1, []() -> task<> {
    network n;
    std::unique_ptr<net::listener> at = n.listen("bank", 443);
    task<std::unique_ptr<net::stream>> connecting = connected(n, *at);
    std::unique_ptr<net::stream> s = co_await std::move(connecting);
    EXPECT_EQ(s->remote_address(), "elsewhere");
  });
  EXPECT_TRUE(contains(text, "elsewhere"));
  EXPECT_TRUE(contains(text, "ended: shop:"));
}

TEST(report, of_a_run_that_passes_is_not_made) {
  EXPECT_EQ(failures_of_seeds(1,
                              []() -> task<> {
                                report_section queue("queue", []() { return std::string("3 letters wait\n"); });
                                co_return;
                              }),
            "");
}

TEST(report, has_what_a_test_s_own_things_say) {
  std::string text = failures_of_test([]() -> task<> {
    report_section queue("queue", []() { return std::string("3 letters wait\n"); });
    co_await waits_for_ever();
  });
  EXPECT_TRUE(contains(text, "queue:\n3 letters wait\n"));
}

TEST(report, keeps_the_last_words_of_the_last_eight) {
  simulation sim;
  auto main = []() -> task<> {
    for (int i = 0; i < 10; ++i) report_section gone("section " + std::to_string(i), [] { return std::string("x\n"); });
    co_return;
  };
  sim.run(main());
  std::string text = sim.sections()->text();
  EXPECT_FALSE(contains(text, "section 1:"));
  EXPECT_TRUE(contains(text, "section 2:\nx\nsection 3:"));
  EXPECT_TRUE(contains(text, "section 9:\nx\n"));
}

TEST(report, section_may_outlive_its_simulation_and_be_made_outside_one) {
  report_section outside("outside", [] { return std::string(); });
  std::optional<report_section> survivor;
  {
    simulation sim;
    auto main = [&]() -> task<> {
      survivor.emplace("survivor", [] { return std::string("still here\n"); });
      co_return;
    };
    sim.run(main());
    EXPECT_EQ(sim.sections()->text(), "survivor:\nstill here\n");
  }
  survivor.reset();
}

}  // namespace
}  // namespace penstock::testing

#include <penstock/testing/ledger.h>
#include <penstock/testing/simulation.h>

#include <memory>
#include <optional>

#include <gtest/gtest.h>

namespace penstock::testing {
namespace {

TEST(ledger, lists_what_is_open_with_where_it_was_made) {
  simulation sim;
  int line = 0;
  auto main = [&]() -> task<> {
    ledger_entry closed("file", "closed");
    auto first = std::make_unique<ledger_entry>("connection", "db");
    line = __LINE__ + 1;
    ledger_entry second("file", "");
    first = nullptr;
    first = std::make_unique<ledger_entry>("connection", "db again");
    auto open = simulation::current().open_things().open();
    EXPECT_EQ(open.size(), 3u);
    if (open.size() != 3) co_return;
    EXPECT_EQ(open[0].name, "closed");
    EXPECT_EQ(open[2].kind, "connection");
    EXPECT_EQ(open[2].name, "db again");
    EXPECT_NE(describe(open).find(std::string("file made at ") + __FILE__ + ":" + std::to_string(line) + " in "),
              std::string::npos)
        << describe(open);
  };
  sim.run(main());
  EXPECT_TRUE(sim.open_things().open().empty());
}

TEST(ledger, an_entry_outside_a_simulation_does_nothing) {
  simulation sim;
  ledger_entry outside("connection", "db");
  EXPECT_TRUE(sim.open_things().open().empty());
}

TEST(ledger, an_entry_may_outlive_its_simulation) {
  std::optional<ledger_entry> left;
  {
    simulation sim;
    auto main = [&]() -> task<> {
      left.emplace("connection", "db");
      co_return;
    };
    sim.run(main());
    EXPECT_EQ(sim.open_things().open().size(), 1u);
  }
  left.reset();
}

TEST(ledger, an_entry_stays_with_the_simulation_that_made_it) {
  simulation outer;
  simulation inner;
  auto within = [&]() -> task<> {
    ledger_entry mine("connection", "inner");
    EXPECT_EQ(&simulation::current(), &inner);
    EXPECT_EQ(inner.open_things().open().size(), 1u);
    EXPECT_EQ(outer.open_things().open().size(), 1u);
    co_return;
  };
  auto main = [&]() -> task<> {
    ledger_entry mine("connection", "outer");
    inner.run(within());
    EXPECT_EQ(&simulation::current(), &outer);
    co_return;
  };
  outer.run(main());
}

TEST(simulation, current_throws_outside_a_simulation) {
  EXPECT_EQ(simulation::current_or_null(), nullptr);
  EXPECT_THROW(simulation::current(), error);
}

}  // namespace
}  // namespace penstock::testing

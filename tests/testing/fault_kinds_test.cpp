#include <penstock/testing/simulation.h>

#include <gtest/gtest.h>

namespace penstock::testing {
namespace {

TEST(fault_kinds, are_on_unless_switched_off) {
  simulation sim({.faults_off = {"reset"}});
  EXPECT_TRUE(sim.faults_enabled("latency"));
  EXPECT_FALSE(sim.faults_enabled("reset"));
}

TEST(fault_kinds, all_switches_every_kind_off) {
  simulation sim({.faults_off = {"all"}});
  EXPECT_FALSE(sim.faults_enabled("latency"));
}

TEST(fault_kinds, are_known_once_they_were_asked_for) {
  simulation sim;
  sim.faults_enabled("reset");
  sim.faults_enabled("latency");
  sim.faults_enabled("reset");
  EXPECT_EQ(sim.fault_kinds(), (std::set<std::string, std::less<>>{"latency", "reset"}));
}

}  // namespace
}  // namespace penstock::testing

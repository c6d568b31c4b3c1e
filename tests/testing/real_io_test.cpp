#include "failing_case.h"
#include <penstock/async/on_worker.h>
#include <penstock/async/scheduler_observer.h>
#include <penstock/db/connection.h>
#include <penstock/net/event_loop.h>
#include <penstock/net/listener.h>
#include <penstock/testing/allow_real_io.h>
#include <penstock/testing/error.h>
#include <penstock/testing/simulation.h>

#include <memory>
#include <string>

namespace penstock::testing {
namespace {

task<void> opens_a_file() {
  note_real_operation("opening 'orders.db'");
  co_return;
}

TEST(real_io, in_a_simulation_fails_with_the_place_of_the_call) {
  std::string text = failures_of_test([]() -> task<> { co_await opens_a_file(); });
  EXPECT_TRUE(contains(text, "testing.real_operation"));
  EXPECT_TRUE(contains(text, "opening 'orders.db' in a simulation"));
  EXPECT_TRUE(contains(text, "opens_a_file"));
}

TEST(real_io, sockets_in_a_simulation_are_refused_by_name) {
  std::string text = failures_of_test([]() -> task<> {
    net::listen(net::endpoint::parse("127.0.0.1:0"));
    co_return;
  });
  EXPECT_TRUE(contains(text, "listening on 127.0.0.1:0 in a simulation"));
  text = failures_of_test([]() -> task<> { co_await net::connect(net::endpoint::parse("127.0.0.1:9")); });
  EXPECT_TRUE(contains(text, "connecting to 127.0.0.1:9 in a simulation"));
}

TEST(real_io, an_event_loop_with_its_threads_is_refused_in_a_simulation) {
  std::string text = failures_of_test([]() -> task<> {
    net::event_loop loop;
    co_return;
  });
  EXPECT_TRUE(contains(text, "starting an event loop in a simulation"));
}

TEST(real_io, a_database_file_in_a_simulation_is_refused_by_name) {
  std::string text = failures_of_test([]() -> task<> { co_await db::database("sqlite:orders.db").connect(); });
  EXPECT_TRUE(contains(text, "opening 'orders.db' in a simulation"));
}

PENSTOCK_TEST(real_io, a_database_in_memory_is_no_file) {
  std::unique_ptr<db::connection> memory = co_await db::database("sqlite::memory:").connect();
  co_await memory->execute("CREATE TABLE letter (address TEXT)");
}

PENSTOCK_TEST(real_io, is_allowed_under_a_guard) {
  {
    allow_real_io guard;
    co_await opens_a_file();
  }
  CO_EXPECT_THROW(co_await opens_a_file(), error);
}

PENSTOCK_TEST_REAL_TIME(real_io, is_what_real_time_tests_are_for) { co_await opens_a_file(); }

TEST(real_io, is_nobodys_business_outside_a_task) { note_real_operation("opening 'orders.db'"); }

PENSTOCK_TEST(real_io, worker_functions_run_at_once_and_take_no_virtual_time) {
  time_point start = scheduler::current().now();
  int answer = co_await on_worker([] { return 42; });
  EXPECT_EQ(answer, 42);
  EXPECT_EQ(scheduler::current().now(), start);
}

}  // namespace
}  // namespace penstock::testing

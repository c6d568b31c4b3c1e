#include "penstock/observe/traced.h"

#include "penstock/async/cancel.h"
#include "penstock/async/event.h"
#include "penstock/async/gather.h"
#include "penstock/async/timeout.h"
#include "penstock/async/yield.h"
#include "penstock/core/error.h"
#include "penstock/core/traceback.h"
#include "penstock/observe/log_capture.h"
#include "penstock/observe/metrics.h"
#include "penstock/testing/simulation.h"

#include <filesystem>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace app {

struct order {
  order(std::string n, std::string c) : number(std::move(n)), card(std::move(c)) {}
  std::string number;
  std::string card;
};
std::string log_value(const order& o) { return "order " + o.number; }

struct opaque {};

}  // namespace app

namespace penstock {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

task<int> add_later(int a, int b) {
  co_await sleep_for(20ms);
  co_return a + b;
}

task<std::string> greet(std::string name) {
  co_await yield();
  co_return "hello, " + name;
}

task<> fail_with(std::string message) {
  co_await yield();
  throw std::runtime_error(message);
}

class service {
 public:
  explicit service(int base) : base_(base) {}
  task<int> add(int n) {
    co_await yield();
    co_return base_ + n;
  }

 private:
  int base_;
};

template <class T>
T simulate(task<T> main) {
  testing::simulation sim;
  return sim.run(std::move(main));
}

// What follows the message's fixed part.
std::vector<std::string> without_time(const log::capture& logged) {
  std::vector<std::string> lines = logged.lines();
  for (std::string& line : lines) line.erase(0, line.find(' ') + 1);
  return lines;
}

template <class T>
std::string shown(const T& value) {
  std::string out;
  log::detail::append_value(out, value);
  return out;
}

metrics::counter counter_of(const char* metric, const char* name) {
  return metrics::default_registry().counter(metric, "", {{"task", name}});
}

TEST(traced, a_success_gives_the_result_and_a_debug_line) {
  log::capture logged;
  auto main = []() -> task<int> { co_return co_await traced("add", add_later, 2, 3); };
  EXPECT_EQ(simulate(main()), 5);
  EXPECT_THAT(without_time(logged),
              ElementsAre(R"(DEBUG task done task=add arguments="2, 3" elapsed=20ms outcome=ok)"));
}

TEST(traced, a_failure_is_logged_with_its_traceback_and_rethrown_unchanged) {
  log::capture logged;
  auto main = []() -> task<> { co_await traced("store", fail_with, std::string("disk full")); };
  try {
    simulate(main());
    FAIL();
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "disk full");
  }
  ASSERT_EQ(logged.lines().size(), 1U);
  EXPECT_THAT(logged.text(), HasSubstr(R"(ERROR task failed task=store arguments="\"disk full\"" elapsed=0ns outcome=)"
                                       R"(error error="std::runtime_error: disk full")"));
  EXPECT_THAT(logged.text(), HasSubstr("fail_with"));
  EXPECT_THAT(logged.text(), HasSubstr("\n    Traceback (most recent await last):"));
}

TEST(traced, calls_failures_durations_and_cancellations_are_counted_by_name) {
  log::capture logged;
  event never;
  auto wait = [&]() -> task<> { co_await never.wait(); };
  auto main = [&]() -> task<> {
    co_await traced("counted", add_later, 1, 1);
    task<> failing = traced("counted", fail_with, std::string("x"));
    task<> cancelled = with_timeout(1s, traced("counted", wait));
    auto both = gather_settled(std::move(failing), std::move(cancelled));
    auto [a, b] = co_await std::move(both);
    EXPECT_FALSE(a);
    EXPECT_FALSE(b);
  };
  simulate(main());
  EXPECT_EQ(counter_of("penstock_task_calls_total", "counted").value(), 3U);
  EXPECT_EQ(counter_of("penstock_task_failures_total", "counted").value(), 1U);
  EXPECT_EQ(counter_of("penstock_task_cancellations_total", "counted").value(), 1U);
  std::string rendered = metrics::default_registry().render();
  EXPECT_THAT(rendered, HasSubstr("penstock_task_duration_seconds_count{task=\"counted\"} 3\n"));
  EXPECT_THAT(rendered, HasSubstr("penstock_tasks_in_flight{task=\"counted\"} 0\n"));
  EXPECT_THAT(logged.text(),
              HasSubstr("DEBUG task cancelled task=counted arguments=\"\" elapsed=1s outcome=cancelled"));
}

TEST(traced, in_flight_counts_what_has_not_ended) {
  metrics::gauge in_flight = metrics::default_registry().gauge("penstock_tasks_in_flight", "", {{"task", "flying"}});
  event gate;
  auto wait = [&]() -> task<> { co_await gate.wait(); };
  auto look = [&]() -> task<> {
    co_await yield();
    EXPECT_EQ(in_flight.value(), 2);
    gate.set();
  };
  auto main = [&]() -> task<> {
    auto all = gather(traced("flying", wait), traced("flying", wait), look());
    co_await std::move(all);
    EXPECT_EQ(in_flight.value(), 0);
  };
  simulate(main());
}

TEST(traced, a_call_that_is_never_awaited_counts_nothing) {
  metrics::counter calls = counter_of("penstock_task_calls_total", "idle");
  { task<int> dropped = traced("idle", add_later, 1, 2); }
  EXPECT_EQ(calls.value(), 0U);
}

TEST(traced, lambdas_with_captures_live_as_long_as_the_call) {
  auto make = [](std::string word) {
    return traced(
        "lambda",
        [word = std::move(word)](int n) -> task<std::string> {
          co_await sleep_for(1s);
          co_return word + std::to_string(n);
        },
        7);
  };
  auto main = [&]() -> task<std::string> {
    task<std::string> call = make("a string that is too long to be kept inside the object");
    co_return co_await std::move(call);
  };
  EXPECT_THAT(simulate(main()), EndsWith("object7"));
}

TEST(traced, member_functions_take_their_object_by_pointer_or_reference) {
  service s(10);
  auto shared = std::make_shared<service>(20);
  auto main = [&]() -> task<int> {
    int a = co_await traced("member", &service::add, &s, 1);
    int b = co_await traced("member", &service::add, std::ref(s), 2);
    int c = co_await traced("member", &service::add, shared, 3);
    co_return a + b + c;
  };
  EXPECT_EQ(simulate(main()), 11 + 12 + 23);
}

TEST(traced, arguments_are_moved_in_and_reference_arguments_stay) {
  auto consume = [](std::unique_ptr<int> p, const std::string& text, std::vector<int>& out) -> task<int> {
    co_await sleep_for(1s);
    out.push_back(static_cast<int>(text.size()));
    co_return *p;
  };
  std::vector<int> out;
  auto main = [&]() -> task<int> {
    task<int> call = traced("moves", consume, std::make_unique<int>(42), std::string(100, 'x'), std::ref(out));
    co_return co_await std::move(call);
  };
  EXPECT_EQ(simulate(main()), 42);
  EXPECT_THAT(out, ElementsAre(100));
}

TEST(traced, temporary_arguments_are_moved_before_they_go) {
  auto main = []() -> task<std::string> {
    std::string all;
    for (int i = 0; i < 3; ++i) {
      all += co_await traced("temporary", greet, std::string(60, static_cast<char>('a' + i)));
      // GCC 12 destroys a temporary lambda with captures twice within a co_await expression, so the call is named.
      auto call = traced(
          std::string("temporary name longer than a small string"),
          [word = std::string(50, 'w')](std::string s) -> task<std::string> {
            co_await sleep_for(1ms);
            co_return word + s;
          },
          std::string(40, 's'));
      all += co_await std::move(call);
    }
    co_return all;
  };
  EXPECT_EQ(simulate(main()).size(), 3U * (7 + 60 + 50 + 40));
}

TEST(traced, results_may_be_references_and_move_only) {
  int value = 1;
  auto by_reference = [&]() -> task<int&> { co_return value; };
  auto by_pointer = []() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(5); };
  auto main = [&]() -> task<int> {
    task<int&> first = traced("reference", by_reference);
    (co_await std::move(first)) = 9;
    task<std::unique_ptr<int>> second = traced("pointer", by_pointer);
    std::unique_ptr<int> p = co_await std::move(second);
    co_return *p;
  };
  EXPECT_EQ(simulate(main()), 5);
  EXPECT_EQ(value, 9);
}

TEST(traced, secrets_reach_the_function_and_not_the_log) {
  log::capture logged;
  auto login = [](std::string user, std::string password) -> task<bool> {
    co_await yield();
    co_return user == "ann" && password == "hunter2";
  };
  auto main = [&]() -> task<bool> {
    task<bool> call = traced("login", login, "ann", log::secret(std::string("hunter2")));
    co_return co_await std::move(call);
  };
  EXPECT_TRUE(simulate(main()));
  EXPECT_THAT(logged.text(), HasSubstr(R"(arguments="\"ann\", [redacted]")"));
  EXPECT_THAT(logged.text(), Not(HasSubstr("hunter2")));
}

TEST(traced, every_kind_of_argument_is_shown_shortly) {
  enum class color { red = 3 };
  EXPECT_EQ(shown(true), "true");
  EXPECT_EQ(shown(std::uint8_t{7}), "7");
  EXPECT_EQ(shown(-1.5), "-1.5");
  EXPECT_EQ(shown(color::red), "3");
  EXPECT_EQ(shown("literal"), R"("literal")");
  EXPECT_EQ(shown(std::string(100, 'x')), "\"" + std::string(64, 'x') + "... (36 bytes cut)\"");
  EXPECT_EQ(shown(std::string_view("a\nb")), R"("a\nb")");
  EXPECT_EQ(shown(1500ms), "1500ms");
  EXPECT_EQ(shown(-3s), "-3s");
  EXPECT_EQ(shown(std::optional<int>()), "none");
  EXPECT_EQ(shown(std::optional<int>(4)), "4");
  EXPECT_EQ(shown(std::make_unique<int>(4)), "4");
  EXPECT_EQ(shown(std::vector<int>{1, 2}), "[1, 2]");
  EXPECT_EQ(shown(std::vector<int>(9, 1)), "[1, 1, 1, ...] of 9");
  EXPECT_EQ(shown(std::filesystem::path("/tmp/x")), R"("/tmp/x")");
  EXPECT_EQ(shown(app::order("A7", "4111111111111111")), "order A7");
  EXPECT_EQ(shown(std::vector<app::order>{{"A7", ""}}), "[order A7]");
  EXPECT_EQ(shown(app::opaque{}), "...");
}

struct cannot_be_shown {};
std::string log_value(const cannot_be_shown&) { throw std::runtime_error("not this one"); }

TEST(traced, an_argument_that_cannot_be_shown_is_no_reason_not_to_run) {
  log::capture logged;
  auto main = []() -> task<int> {
    auto seven = [](int, cannot_be_shown) -> task<int> { co_return 7; };
    auto call = traced("seven", seven, 1, cannot_be_shown{});
    co_return co_await std::move(call);
  };
  EXPECT_EQ(simulate(main()), 7);
  EXPECT_THAT(without_time(logged),
              ElementsAre(R"(DEBUG task done task=seven arguments="1, …" elapsed=0ns outcome=ok)"));
}

}  // namespace
}  // namespace penstock

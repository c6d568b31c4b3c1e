#include "checked_run.h"
#include "penstock/async/scheduler_observer.h"
#include "penstock/core/units.h"
#include "penstock/net/event_loop.h"
#include "penstock/testing/ledger.h"
#include "seed_run.h"
#include "task_table.h"
#include "unhandled_errors.h"
#include "watchdog.h"

#include <functional>
#include <memory>
#include <optional>
#include <utility>

// Runs a test on an event loop. Invariants: the watchdog ends before what it looks at; the loop is there until the
// members of the fixture, which may have tasks on it, are gone.

namespace penstock::testing {
namespace {

class loop_observer final : public scheduler_observer {
 public:
  explicit loop_observer(net::event_loop& loop) : loop_(loop), start_(loop.now()) { loop.observe(this); }
  loop_observer(const loop_observer&) = delete;
  loop_observer& operator=(const loop_observer&) = delete;
  ~loop_observer() override { loop_.observe(nullptr); }

  std::uint32_t task_started(const penstock::detail::promise_base& task, const task_origin& origin) noexcept override {
    return tasks_.add(task, origin);
  }
  void task_ended(std::uint32_t number, bool finished) noexcept override { tasks_.remove(number, finished); }
  void suspended(const suspension& wait) noexcept override { tasks_.suspended(wait, elapsed()); }
  void lent(tracked& what) noexcept override { open_.add(what); }
  void real_operation(std::string_view, std::source_location) override {}

  std::string list_tasks() const { return tasks_.all(elapsed()); }
  std::vector<std::string> leaks() const {
    std::vector<std::string> lines;
    for (const std::string& task : tasks_.unfinished()) lines.push_back("task " + task);
    loop_.for_each_timer([&](const timer& t) { lines.push_back("timer made at " + place_text(t.made_at())); });
    for (const ledger::record& r : open_.open()) lines.push_back(ledger_text(r));
    return lines;
  }

 private:
  duration elapsed() const { return loop_.now() - start_; }

  net::event_loop& loop_;
  time_point start_;
  task_table tasks_;
  ledger open_;
};

// Runs on the loop when the time is up.
struct overdue_item : work_item {
  overdue_item() : work_item(&list) {}
  static void list(work_item& item) noexcept {
    auto& self = static_cast<overdue_item&>(item);
    if (self.dog != nullptr) self.dog->end_program(self.observer->list_tasks());
  }
  const watchdog* dog = nullptr;  // null again when the test ended in time
  const loop_observer* observer = nullptr;
};

// A loop and who watches it. What workers were still at for tasks that were destroyed is told when it ends.
class watched_loop {
 public:
  explicit watched_loop(std::source_location where) : where_(where), observer_(std::in_place, loop_.emplace()) {
    overdue_.observer = &*observer_;
  }
  watched_loop(const watched_loop&) = delete;
  watched_loop& operator=(const watched_loop&) = delete;
  ~watched_loop() {
    unhandled_errors late;
    observer_.reset();
    loop_.reset();
    run_report report;
    report.add_unretrieved(late.take());
    report_to_gtest(report, false, where_);
  }

  net::event_loop& loop() { return *loop_; }
  const loop_observer& observer() const { return *observer_; }
  overdue_item& overdue() { return overdue_; }

 private:
  std::source_location where_;
  overdue_item overdue_;
  std::optional<net::event_loop> loop_;
  std::optional<loop_observer> observer_;
};

}  // namespace

void test_detail::run_in_real_time(async_case& test, std::source_location where) {
  auto ran_on = std::make_shared<watched_loop>(where);
  test.penstock_keep(ran_on);
  net::event_loop& loop = ran_on->loop();
  const loop_observer& observer = ran_on->observer();
  other_failures asked_for;
  run_report report;
  unhandled_errors unhandled;
  overdue_item& overdue = ran_on->overdue();
  std::unique_ptr<watchdog> dog;
  auto ask = [&] {
    overdue.dog = dog.get();
    loop.post_from_any_thread(overdue);
  };
  dog = std::make_unique<watchdog>(current_test_name(),
                                   watchdog::limit_from_environment(test.penstock_options().watchdog), ask,
                                   [&] { return observer.list_tasks(); });
  try {
    std::function<bool()> may_go_on = nothing_ends_the_test;
    bool tearing_down = false;
    run_on(loop, whole_test(test, may_go_on, tearing_down), where);
  } catch (...) {
    report.add_failure(std::current_exception());
  }
  dog.reset();
  overdue.dog = nullptr;
  report.add_leaks(observer.leaks());
  report.add_unretrieved(unhandled.take());
  report_to_gtest(report, ::testing::Test::HasFailure(), where);
}

}  // namespace penstock::testing

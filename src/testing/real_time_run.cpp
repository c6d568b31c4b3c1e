#include "checked_run.h"
#include "penstock/async/scheduler_observer.h"
#include "penstock/core/traceback.h"
#include "penstock/core/units.h"
#include "penstock/net/event_loop.h"
#include "penstock/testing/ledger.h"
#include "seed_run.h"
#include "task_table.h"
#include "unhandled_errors.h"
#include "watchdog.h"

#include <functional>
#include <memory>

// Runs a test on an event loop. Invariant: the watchdog ends before what it looks at.

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
    self.dog->end_program(self.observer->list_tasks());
  }
  const watchdog* dog = nullptr;
  const loop_observer* observer = nullptr;
};

}  // namespace

void test_detail::run_in_real_time(async_case& test, std::source_location where) {
  run_report report;
  unhandled_errors unhandled;
  {
    net::event_loop loop;
    loop_observer observer(loop);
    overdue_item overdue;
    overdue.observer = &observer;
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
    report.add_leaks(observer.leaks());
  }
  for (auto& [error, place] : unhandled.take())
    report.add("an error in " + place + " that nobody retrieved:\n" + format_traceback(error), "unhandled");
  report_to_gtest(report, ::testing::Test::HasFailure(), where);
}

}  // namespace penstock::testing

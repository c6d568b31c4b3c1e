#pragma once

// What is behind a simulation: it observes itself.

#include "penstock/async/scheduler_observer.h"
#include "penstock/testing/ledger.h"
#include "penstock/testing/run_trace.h"
#include "penstock/testing/settle.h"
#include "penstock/testing/simulation.h"
#include "ready_order.h"
#include "task_table.h"
#include "watchdog.h"

#include <atomic>

namespace penstock::testing {

// Told of every suspension point, to do something there that the program under test did not foresee.
class suspension_probe {
 public:
  virtual ~suspension_probe() = default;
  // A task waits, and everything it did up to here is done.
  virtual void waits(const suspension& wait) noexcept = 0;
  // What a task waited for has come, and it goes on when this returns.
  virtual void resumes(const suspension& wait) noexcept = 0;
};

struct simulation::state final : scheduler_observer {
  state(simulation& s, const simulation_options& options)
      : owner(s),
        most_time(options.most_time),
        most_steps(options.most_steps),
        trace(options.keep_steps),
        order(options.order, options.seed) {}

  std::uint32_t task_started(const detail::promise_base& task, const task_origin& origin) noexcept override;
  void task_ended(std::uint32_t number, bool finished) noexcept override { tasks.remove(number, finished); }
  void suspended(const suspension& wait) noexcept override;
  void lent(tracked& what) noexcept override { open_things.add(what); }
  void real_operation(std::string_view what, std::source_location where) override;

  simulation& owner;
  duration most_time;        // since the start
  std::uint64_t most_steps;  // of one run
  run_trace trace;
  ready_order order;
  task_table tasks;
  ledger open_things;
  detail::list<settle_awaiter, settle_hook> settling;
  suspension_probe* probe = nullptr;
  const suspension* new_wait = nullptr;  // of the item that runs
  std::atomic<const watchdog*> overdue = nullptr;
};

}  // namespace penstock::testing

#pragma once

#include "penstock/async/detail/result.h"
#include "penstock/async/detail/root_task.h"
#include "penstock/async/scheduler.h"
#include "penstock/async/task.h"

#include <source_location>

namespace penstock {

/// Runs a task, and with it everything it starts, on a scheduler, and gives its result or throws its exception. The
/// calling thread is the scheduler's until then. `net::run` does this on an event loop of its own. `where` is for
/// reports of blocked tasks.
template <class T>
T run_on(scheduler& s, task<T> main, std::source_location where = std::source_location::current()) {
  detail::root_task root(s);
  task<T> running = std::move(main);  // destroyed before the root, whose scope it runs in
  root.run(detail::task_access::promise_to_run(running), where);
  return detail::task_access::promise_of(running).take();
}

}  // namespace penstock

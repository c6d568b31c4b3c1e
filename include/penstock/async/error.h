#pragma once

// Errors of the async room, and what happens to errors that nobody awaits.

#include "penstock/core/error.h"

#include <exception>
#include <functional>
#include <string>
#include <string_view>

namespace penstock {

/// Errors of the async room.
enum class async_errc {
  operation_cancelled,  ///< The scope that the operation ran in was cancelled.
  timed_out,            ///< A deadline passed.
  no_scheduler,         ///< An operation that needs a running task was called outside one.
  channel_closed,       ///< A value was sent to a closed channel.
  semaphore_capacity,   ///< More permits were asked for than the semaphore can ever have.
  scope_in_use,         ///< A cancel_scope already runs a task.
  no_tasks,             ///< A race was given no task.
  deadlock,             ///< Every task waits for another and no timer is left, or one waits for itself.
  task_spent,           ///< A task was to be run that has run already, was moved from, or never held anything.
  wrong_scheduler,      ///< What belongs to one scheduler was used under another.
  woken_twice,          ///< An awaitable woke a task that it had woken already: a defect of that awaitable.
};

/// The stable code of an async error.
constexpr std::string_view code_name(async_errc code) noexcept {
  switch (code) {
    case async_errc::operation_cancelled:
      return "async.operation_cancelled";
    case async_errc::timed_out:
      return "async.timed_out";
    case async_errc::no_scheduler:
      return "async.no_scheduler";
    case async_errc::channel_closed:
      return "async.channel_closed";
    case async_errc::semaphore_capacity:
      return "async.semaphore_capacity";
    case async_errc::scope_in_use:
      return "async.scope_in_use";
    case async_errc::no_tasks:
      return "async.no_tasks";
    case async_errc::deadlock:
      return "async.deadlock";
    case async_errc::task_spent:
      return "async.task_spent";
    case async_errc::wrong_scheduler:
      return "async.wrong_scheduler";
    case async_errc::woken_twice:
      return "async.woken_twice";
  }
  return "async.unknown";
}

/// Thrown at the suspension point of a task whose scope was cancelled. Let it pass: catch it only to clean up, and
/// rethrow.
class operation_cancelled : public error {
 public:
  explicit operation_cancelled(const std::string& reason, std::source_location where = std::source_location::current());
};

/// Thrown by `with_timeout` and `with_deadline` when the time was up before the task had finished.
class timed_out : public error {
 public:
  explicit timed_out(const std::string& message, std::exception_ptr cause = {},
                     std::source_location where = std::source_location::current());
};

/// Receives an exception that no task was left to receive, and the name of what it came from. Must not throw.
using unhandled_error_handler = std::function<void(std::exception_ptr, std::string_view)>;

/// Sets the process-wide handler and returns the previous one. The first one prints the traceback to standard
/// error. Call it at start-up, before other threads run.
unhandled_error_handler set_unhandled_error_handler(unhandled_error_handler handler);

/// Hands an exception that nobody will receive to the handler. `where` names what failed, such as a task's name.
void report_unhandled_error(std::exception_ptr error, std::string_view where) noexcept;

}  // namespace penstock

#pragma once

// The async traceback: through which `co_await` sites an exception of any type travelled, kept beside the
// exception object, so it survives catching, storing and rethrowing. Costs nothing until something throws.
//
//   try { co_await main_flow(); }
//   catch (...) { log::error(format_traceback(std::current_exception())); }

#include <cstdint>
#include <exception>
#include <source_location>
#include <string>
#include <vector>

namespace penstock {

/// One step of a traceback.
struct traceback_frame {
  const char* file;      ///< Static storage.
  std::uint32_t line;    ///< 1-based; the line of the `co_await`, or of the function where only that is known.
  const char* function;  ///< The compiler's name of the function, static storage; see `short_function_name`.
  std::string note;      ///< What the step was beside a plain await ("gather, task 2 of 3"); empty mostly.
};

/// Adds a step that the exception travelled through, outermost last. `error` must not be null. Thread-safe.
/// Called by tasks and combinators; a library that carries exceptions over a boundary of its own calls it too.
void add_traceback_frame(const std::exception_ptr& error, std::source_location where, std::string note = {});

/// The steps of an exception so far, outermost first; empty when it never crossed an await. Of more than 200, the
/// innermost and outermost 100 are kept, and a note says how many are left out.
std::vector<traceback_frame> traceback_of(const std::exception_ptr& error);

/// Attaches a failure that happened beside this one: the other failures of a `gather`. Neither must be null. One that
/// is this exception itself, or has it attached or as its cause, is left out, and so is one attached just before.
/// Thread-safe.
void attach_failure(const std::exception_ptr& error, std::exception_ptr beside);

/// The failures attached so far, in order.
std::vector<std::exception_ptr> attached_failures(const std::exception_ptr& error);

/// Prints an exception in the manner of Python: its causes first, then file, line and function of each await it
/// crossed, innermost last, then its type, code and message; then the failures attached to it, indented.
/// Follows `error::cause()` and `std::nested_exception`. An empty pointer gives "no exception".
std::string format_traceback(const std::exception_ptr& error);

/// One line: type, code where there is one, and message.
std::string describe(const std::exception_ptr& error);

/// The exception's cause: `error::cause()` or the nested exception; null when there is none.
std::exception_ptr cause_of(const std::exception_ptr& error);

/// A function's qualified name without return type, arguments and the compiler's own additions.
std::string short_function_name(const char* function);

namespace detail {
// The note of a step that is a whole task: the exception was thrown in its body or in a function called there.
inline constexpr const char* thrown_inside = "thrown inside";
// Gives the next step that is added this note.
void note_next_frame(const std::exception_ptr& error, std::string note);
// As add_traceback_frame, and notes which task the step belongs to.
void add_task_frame(const std::exception_ptr& error, std::source_location where, const char* note, const void* task);
// The task that added the newest step; null when there is none.
const void* newest_frame_task(const std::exception_ptr& error);
}  // namespace detail

}  // namespace penstock

#pragma once

// What a scheduler tells whoever watches it: which tasks start and end, which wait, what is lent, and what reaches out
// of the process. The simulation of room `testing` watches; a production scheduler has no observer, and then all that
// is left of this is the look at a null pointer. You need it only to write a scheduler for tests of your own.
//
//   class my_scheduler : public scheduler, scheduler_observer {
//     my_scheduler() { observe(this); }
//     void suspended(suspension& s) override { log(s.waiting_for()); }
//   };

#include "penstock/async/detail/list.h"

#include <cstdint>
#include <source_location>
#include <string>
#include <string_view>

namespace penstock {

class suspension;
namespace detail {
class promise_base;
}

/// Who started a task that has no awaiting parent.
struct task_origin {
  std::string_view name;                   ///< The name it was given; empty when none was. Valid during the call.
  std::source_location where;              ///< Where it was started, unless there is a combinator.
  const suspension* combinator = nullptr;  ///< The gather, race … that started it, and is awaited by its parent.
};

/// Something lent that has to come back: a lease, a connection, a permit. A test fails when one is left at its end. The
/// base of whatever wants to be seen so; it costs nothing where nobody watches. On one thread.
class tracked : private detail::list_hook {
 public:
  /// `kind` says what it is, and is a literal: the pointer is kept.
  explicit tracked(const char* kind) noexcept : kind_(kind) {}
  tracked(const tracked&) = delete;
  tracked& operator=(const tracked&) = delete;
  virtual ~tracked() = default;

  std::string_view kind() const noexcept { return kind_; }
  /// Which one; empty when there is nothing to tell it by.
  virtual std::string name() const { return {}; }
  /// Where in the source it was lent or made.
  const std::source_location& made_at() const noexcept { return made_at_; }

  /// It is lent now.
  void enter(std::source_location made_at) noexcept;
  /// It has come back. Destroying it does the same.
  void leave() noexcept { detail::list_hook::unlink(); }

 private:
  friend class detail::list<tracked>;

  const char* kind_;
  std::source_location made_at_;
};

/// Told what a scheduler does, on the scheduler's thread.
class scheduler_observer {
 public:
  virtual ~scheduler_observer() = default;

  /// A task was queued to start. Gives the number, not 0, under which it is to be told of again.
  virtual std::uint32_t task_started(const detail::promise_base& task, const task_origin& origin) noexcept = 0;
  /// The task of that number has ended, or, when not `finished`, its frame is destroyed while it waits.
  virtual void task_ended(std::uint32_t number, bool finished) noexcept = 0;
  /// A task waits from now on. Must not wake or cancel it.
  virtual void suspended(const suspension& wait) noexcept = 0;
  /// Something was lent.
  virtual void lent(tracked& what) noexcept = 0;
  /// The running task is about to do something that no simulation can undo or repeat: open a socket or a file, start a
  /// thread. May throw to forbid it.
  virtual void real_operation(std::string_view what, std::source_location where) = 0;
};

/// Tells the observer of the running task's scheduler of an operation that reaches out of the process. Throws what the
/// observer throws; does nothing where there is none.
void note_real_operation(std::string_view what, std::source_location where = std::source_location::current());

}  // namespace penstock

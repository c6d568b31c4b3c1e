#pragma once

// Values that follow the tasks: bound around a task, seen by it and by everything it awaits or starts.
//
//   inline const task_local<request_info> current_request;
//   co_await current_request.bind(info, handle(r));         // below: current_request.get()->id

#include "penstock/async/detail/scope.h"
#include "penstock/async/task.h"

#include <functional>
#include <utility>

namespace penstock {

/// A key for values of type T. Make it a static object; its address is its identity.
template <class T>
class task_local {
 public:
  task_local() = default;
  task_local(const task_local&) = delete;
  task_local& operator=(const task_local&) = delete;

  /// Runs a task in which `get` gives this value.
  template <class R>
  task<R> bind(T value, task<R> inner) const {
    detail::scope_state scope(detail::require_scope());
    detail::local_binding binding{this, &value, nullptr};
    scope.bind(binding);
    detail::scoped_task<R> scoped{std::move(inner), scope};
    co_return co_await scoped;
  }
  /// As above, with a value that the caller keeps, and may change meanwhile.
  template <class R>
  task<R> bind(std::reference_wrapper<const T> value, task<R> inner) const {
    detail::scope_state scope(detail::require_scope());
    detail::local_binding binding{this, &value.get(), nullptr};
    scope.bind(binding);
    detail::scoped_task<R> scoped{std::move(inner), scope};
    co_return co_await scoped;
  }
  /// The value bound nearest around the running task; null when there is none, or outside tasks. Valid while that
  /// `bind` runs.
  const T* get() const noexcept {
    const detail::scope_state* scope = detail::current_scope;
    return scope == nullptr ? nullptr : static_cast<const T*>(scope->find_local(this));
  }

 private:
  char identity_ = 0;  // two keys never share an address
};

}  // namespace penstock

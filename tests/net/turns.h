#pragma once

// Turns of the loop: cancels an operation after each number of them, to find the one at which it breaks, or counts
// them.

#include <penstock/async/cancel.h>
#include <penstock/async/error.h>
#include <penstock/async/gather.h>
#include <penstock/async/yield.h>

#include <utility>

namespace penstock::net {

// Runs a task, cancels it after so many turns; true when it ended by that.
template <class T>
task<bool> cancelled_after_turns(int turns, task<T> work) {
  cancel_scope scope;
  auto canceller = [](cancel_scope& target, int n) -> task<> {
    for (int i = 0; i < n; ++i) co_await yield();
    target.cancel("test");
  };
  task<T> running = scope.run(std::move(work));
  task<> cancelling = canceller(scope, turns);
  auto both = gather_settled(std::move(running), std::move(cancelling));
  auto ended = co_await std::move(both);
  const auto& result = std::get<0>(ended);
  if (result) co_return false;
  if (result.template error_as<operation_cancelled>() == nullptr) result.value();
  co_return true;
}

// Counts the turns that others have until `over`. Both outlive it.
inline task<> count_turns(int& turns, const bool& over) {
  while (!over) {
    co_await yield();
    ++turns;
  }
}

}  // namespace penstock::net

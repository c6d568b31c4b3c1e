#pragma once

// The tasks of a simulation that were started and have not ended, with what a report says of each. Invariants: a slot
// belongs to one task from its start to its end, and is then used again; numbers are never used again.

#include "penstock/async/scheduler.h"
#include "penstock/async/scheduler_observer.h"

#include <cstdint>
#include <deque>
#include <source_location>
#include <string>
#include <vector>

namespace penstock::testing {

class task_table {
 public:
  struct record {
    std::uint64_t number = 0;  // from 1 in the order of starting; 0 for a slot that is free
    std::string name;
    std::source_location started_at;
    const suspension* combinator = nullptr;
    std::size_t place = 0;  // in the combinator
    const detail::promise_base* task = nullptr;
    const suspension* wait = nullptr;  // null while it runs or is ready
    std::string waits_for;
    duration since{};            // when it began to wait
    std::uint64_t priority = 0;  // for whoever orders tasks
  };

  // Gives the slot, counted from 1.
  std::uint32_t add(const detail::promise_base& task, const task_origin& origin);
  // An unfinished task is noted among the abandoned ones, unless it is one of `run_on`.
  void remove(std::uint32_t slot, bool finished);
  void suspended(const suspension& wait, duration now) noexcept;
  void resumed(const detail::promise_base& task) noexcept;

  // The record of the chain that a task is part of; null when it was not started under this table's eyes.
  record* of(const detail::promise_base* task) noexcept;
  // By what `add` gave.
  record& at(std::uint32_t slot) noexcept { return slots_[slot - 1]; }

  // Lines for reports. `blocked` leaves out tasks that wait only for others in the list, by gather or race.
  std::string blocked(duration now, std::size_t& count) const;
  std::string all(duration now) const;
  // Started and never finished: those whose frames were destroyed while they waited, and those that are left.
  std::vector<std::string> unfinished() const;

 private:
  std::vector<const record*> by_number() const;

  std::deque<record> slots_;
  std::vector<std::uint32_t> free_;
  std::size_t size_ = 0;
  std::uint64_t last_number_ = 0;
  std::vector<std::string> abandoned_;
};

}  // namespace penstock::testing

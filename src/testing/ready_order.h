#pragma once

// Chooses which of the ready items runs next, by a schedule. Invariants: the choice depends on the seed, the order in
// which items became ready and the numbers of tasks, never on an address; every departure from first come, first
// served is noted, so that the run can be told again as such.

#include "penstock/async/detail/list.h"
#include "penstock/testing/random_stream.h"
#include "penstock/testing/schedule.h"
#include "task_table.h"

#include <vector>

namespace penstock::testing {

class ready_order {
 public:
  ready_order(schedule how, std::uint64_t seed);

  struct choice {
    work_item& item;
    std::uint32_t place;
  };
  // `task_of` gives an item's task, null for other items. The queue must not be empty.
  template <class TaskOf>
  choice next(detail::list<work_item>& ready, task_table& tasks, TaskOf task_of) {
    work_item& first = ready.front();
    if (ready.after(first) == nullptr) return {first, 0};
    std::uint64_t number = choices_++;
    if (how_.kind == schedule::order::fifo) return planned(ready, number);
    window_.clear();
    for (work_item* item = &first; item != nullptr && window_.size() < most_choices; item = ready.after(*item))
      window_.push_back({item, how_.kind == schedule::order::pct ? tasks.of(task_of(*item)) : nullptr});
    std::size_t place = how_.kind == schedule::order::random ? static_cast<std::size_t>(draw_.below(window_.size()))
                                                             : highest_priority();
    return note(number, place);
  }
  // How the run departed from first come, first served.
  const std::vector<schedule::change>& changes_made() const noexcept { return made_; }
  // For a task that was started.
  std::uint64_t initial_priority() { return how_.kind == schedule::order::pct ? high | (draw_.next() >> 1) : 0; }

 private:
  struct candidate {
    work_item* item;
    task_table::record* task;
  };
  static constexpr std::uint64_t high = std::uint64_t{1} << 63;

  choice planned(detail::list<work_item>& ready, std::uint64_t number);
  choice note(std::uint64_t number, std::size_t place);
  std::size_t highest_priority();

  schedule how_;
  random_stream draw_;
  std::uint64_t choices_ = 0;
  std::size_t next_planned_ = 0;
  std::vector<candidate> window_;
  std::vector<schedule::change> made_;
  std::vector<std::uint64_t> priority_changes_;  // at which choices, ascending
  std::size_t next_priority_change_ = 0;
  std::uint64_t lowest_ = high - 1;
  std::uint64_t favourite_ = 0;  // the task that ran last, and for how many choices on end
  std::uint64_t favoured_ = 0;
};

}  // namespace penstock::testing

#include "ready_order.h"

#include <algorithm>
#include <utility>

namespace penstock::testing {
namespace {

// A task that polls would keep all others from running for ever.
constexpr std::uint64_t most_favoured = 1'000;
constexpr std::size_t most_noted = 1'000'000;

}  // namespace

ready_order::ready_order(schedule how, std::uint64_t seed) : how_(std::move(how)), draw_(seed, "schedule") {
  if (how_.kind != schedule::order::pct) return;
  // How long the run will be is not known: short and long ones are as likely.
  std::uint64_t horizon = std::uint64_t{1} << (4 + draw_.below(11));
  for (unsigned i = 1; i < how_.depth; ++i) priority_changes_.push_back(draw_.below(horizon));
  std::sort(priority_changes_.begin(), priority_changes_.end());
}

ready_order::choice ready_order::planned(detail::list<work_item>& ready, std::uint64_t number) {
  work_item* item = &ready.front();
  if (next_planned_ == how_.changes.size() || how_.changes[next_planned_].choice != number) return {*item, 0};
  std::uint32_t wanted = how_.changes[next_planned_++].place;
  std::uint32_t place = 0;
  for (work_item* behind; place < wanted && (behind = ready.after(*item)) != nullptr; ++place) item = behind;
  if (place > 0) made_.push_back({number, place});
  return {*item, place};
}

ready_order::choice ready_order::note(std::uint64_t number, std::size_t place) {
  auto p = static_cast<std::uint32_t>(place);
  if (p > 0 && made_.size() < most_noted) made_.push_back({number, p});
  return {*window_[place].item, p};
}

std::size_t ready_order::highest_priority() {
  std::size_t best = 0;
  auto better = [&](std::size_t i) {
    // What is no task goes first: it only tidies up.
    if (window_[best].task == nullptr) return false;
    return window_[i].task == nullptr || window_[i].task->priority > window_[best].task->priority;
  };
  for (std::size_t i = 1; i < window_.size(); ++i)
    if (better(i)) best = i;
  task_table::record* task = window_[best].task;
  if (task == nullptr) return best;
  favoured_ = std::exchange(favourite_, task->number) == task->number ? favoured_ + 1 : 0;
  bool changes =
      next_priority_change_ < priority_changes_.size() && priority_changes_[next_priority_change_] < choices_;
  if (changes) ++next_priority_change_;
  if (changes || favoured_ == most_favoured) {
    favoured_ = 0;
    task->priority = lowest_--;
  }
  return best;
}

}  // namespace penstock::testing

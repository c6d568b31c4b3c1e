#include "task_table.h"

#include "penstock/async/detail/promise.h"
#include "penstock/async/suspension.h"
#include "penstock/core/traceback.h"
#include "penstock/core/units.h"
#include "penstock/testing/ledger.h"

#include <algorithm>
#include <utility>

namespace penstock::testing {
namespace {

constexpr std::size_t most_listed = 100;

const detail::promise_base* chain_root(const detail::promise_base* task) noexcept {
  while (task != nullptr && task->parent() != nullptr) task = task->parent();
  return task;
}

// The task that awaits the combinator that started this one; null where none does yet.
const detail::promise_base* combinator_of(const task_table::record& r) noexcept {
  return r.combinator == nullptr ? nullptr : r.combinator->waiting_task();
}

std::string title(const task_table::record& r) {
  std::string text = "#" + std::to_string(r.number);
  if (r.combinator != nullptr) {
    text += " '" + std::string(r.combinator->waiting_for()) + ", task " + std::to_string(r.place + 1) + "'";
    if (const detail::promise_base* by = combinator_of(r); by != nullptr && by->parent() != nullptr)
      text += ", started at " + place_text(by->parent()->await_site());
    return text;
  }
  if (!r.name.empty()) text += " '" + r.name + "'";
  return text + ", started at " + place_text(r.started_at);
}

void append_await_sites(std::string& out, const detail::promise_base* task) {
  for (; task != nullptr; task = task->parent()) out += "\n      at " + place_text(task->await_site());
}

std::string what_it_waits_for(const task_table::record& r, duration now) {
  if (r.wait == nullptr)
    return " is ready or runs, last seen in " + short_function_name(r.task->definition().function_name());
  std::string text = " waits for " + r.waits_for + " since " + format_duration(r.since);
  if (now > r.since) text += " (for " + format_duration(now - r.since) + ")";
  append_await_sites(text, r.wait->waiting_task());
  return text;
}

}  // namespace

std::uint32_t task_table::add(const detail::promise_base& task, const task_origin& origin) {
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  std::uint32_t slot = free_.back();
  free_.pop_back();
  record& r = slots_[slot];
  r.number = ++last_number_;
  r.name = origin.name;
  r.started_at = origin.where;
  r.combinator = origin.combinator;
  r.place = task.task_index;
  r.task = &task;
  r.wait = nullptr;
  ++size_;
  return slot + 1;
}

void task_table::remove(std::uint32_t slot, bool finished) {
  record& r = slots_[slot - 1];
  if (!finished) {
    std::string line = title(r) + ", was destroyed before it had ended";
    // The frames below are gone already, and the wait with them.
    if (r.wait != nullptr)
      line += ", when it waited for " + r.waits_for + " since " + format_duration(r.since) + "\n      at " +
              place_text(r.task->await_site());
    abandoned_.push_back(std::move(line));
  }
  r = record();
  free_.push_back(slot - 1);
  --size_;
}

void task_table::suspended(const suspension& wait, duration now) noexcept {
  if (record* r = of(wait.waiting_task())) {
    r->wait = &wait;
    r->waits_for = wait.waiting_for();
    r->since = now;
  }
}

void task_table::resumed(const detail::promise_base& task) noexcept {
  if (record* r = of(&task)) r->wait = nullptr;
}

task_table::record* task_table::of(const detail::promise_base* task) noexcept {
  const detail::promise_base* root = chain_root(task);
  if (root == nullptr || root->observed_as() == 0) return nullptr;
  return &slots_[root->observed_as() - 1];
}

std::vector<const task_table::record*> task_table::by_number() const {
  std::vector<const record*> result;
  for (const record& r : slots_)
    if (r.number != 0) result.push_back(&r);
  std::sort(result.begin(), result.end(), [](const record* a, const record* b) { return a->number < b->number; });
  return result;
}

std::string task_table::blocked(duration now, std::size_t& count) const {
  std::vector<const record*> living = by_number();
  std::vector<const suspension*> combinators;
  for (const record* r : living)
    if (r->combinator != nullptr) combinators.push_back(r->combinator);
  std::sort(combinators.begin(), combinators.end());
  std::string lines;
  count = 0;
  for (const record* r : living) {
    if (r->wait == nullptr || std::binary_search(combinators.begin(), combinators.end(), r->wait)) continue;
    if (++count > most_listed) continue;
    lines += "\n  " + title(*r) + what_it_waits_for(*r, now);
    for (const detail::promise_base* up = combinator_of(*r); up != nullptr && up->parent() != nullptr;) {
      append_await_sites(lines, up->parent());
      const detail::promise_base* root = chain_root(up);
      up = root->observed_as() == 0 ? nullptr : combinator_of(slots_[root->observed_as() - 1]);
    }
  }
  if (count > most_listed) lines += "\n  and " + std::to_string(count - most_listed) + " more";
  return lines;
}

std::string task_table::all(duration now) const {
  std::string lines;
  std::size_t listed = 0;
  for (const record* r : by_number()) {
    if (++listed > most_listed) break;
    lines += "\n  " + title(*r) + what_it_waits_for(*r, now);
  }
  if (size_ > most_listed) lines += "\n  and " + std::to_string(size_ - most_listed) + " more";
  return lines;
}

std::vector<std::string> task_table::unfinished() const {
  std::vector<std::string> lines = abandoned_;
  for (const record* r : by_number()) lines.push_back(title(*r) + what_it_waits_for(*r, r->since));
  return lines;
}

}  // namespace penstock::testing

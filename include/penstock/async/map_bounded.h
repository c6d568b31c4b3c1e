#pragma once

// Runs an asynchronous function over a range, so many at a time.
//
//   std::vector<page> pages = co_await map_bounded(urls, 10, [&](const std::string& url) { return fetch(url); });

#include "penstock/async/detail/join.h"
#include "penstock/async/detail/result.h"
#include "penstock/core/outcome.h"

#include <cstddef>
#include <exception>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

namespace penstock {

namespace detail {

template <class Fn, class Item>
using mapped = typename std::invoke_result_t<Fn&, Item>::value_type;

// One pass over a range, shared by the workers. The range is advanced only when the next item is asked for.
template <class View>
class item_source {
 public:
  using reference = std::ranges::range_reference_t<View>;
  // An item must survive the pass going on: a reference does only where the range can be passed twice.
  using item = std::conditional_t<std::ranges::forward_range<View> && std::is_reference_v<reference>, reference,
                                  std::remove_cvref_t<reference>>;

  explicit item_source(View view) : view_(std::move(view)) {}
  bool advance() {
    if (!position_)
      position_.emplace(std::ranges::begin(view_));
    else if (*position_ != std::ranges::end(view_))
      ++*position_;
    return *position_ != std::ranges::end(view_);
  }
  decltype(auto) current() { return **position_; }

 private:
  View view_;
  std::optional<std::ranges::iterator_t<View>> position_;
};

template <class View, class Fn, class Slot>
class bounded_map {
 public:
  bounded_map(View view, Fn& fn, std::size_t limit, join& all)
      : source_(std::move(view)), fn_(fn), limit_(limit == 0 ? 1 : limit), all_(all) {}

  void add_worker() {
    workers_.push_back(work());
    all_.start(workers_.back());
  }
  std::vector<std::optional<Slot>> slots;

 private:
  using item_type = typename item_source<View>::item;

  task<void> work() {
    for (bool first = true; !ended_; first = false) {
      // Also where no item ever waits: when the others are cancelled, no more is pulled.
      throw_if_scope_cancelled();
      if (!source_.advance()) {
        ended_ = true;
        break;
      }
      item_type item = source_.current();
      std::size_t index = slots.size();
      slots.emplace_back();
      // Another worker for the next item, as long as there are fewer than the limit.
      if (first && workers_.size() < limit_) add_worker();
      task<Slot> running = Slot::template run<item_type>(fn_, item);
      Slot result = co_await std::move(running);
      slots[index].emplace(std::move(result));
    }
  }

  item_source<View> source_;
  Fn& fn_;
  std::size_t limit_;
  join& all_;
  bool ended_ = false;
  std::vector<task<void>> workers_;
};

template <class T>
struct plain_slot {
  stored<T> value;
  template <class Item, class Fn>
  static task<plain_slot> run(Fn& fn, std::remove_reference_t<Item>& item) {
    task<T> call = fn(static_cast<Item&&>(item));
    if constexpr (std::is_void_v<T>) {
      co_await std::move(call);
      co_return plain_slot{{}};
    } else {
      T result = co_await std::move(call);
      co_return plain_slot{std::move(result)};
    }
  }
};

template <class T>
struct settled_slot {
  outcome<T> value;
  template <class Item, class Fn>
  static task<settled_slot> run(Fn& fn, std::remove_reference_t<Item>& item) {
    std::exception_ptr failure;
    try {
      task<T> call = fn(static_cast<Item&&>(item));
      if constexpr (std::is_void_v<T>) {
        co_await std::move(call);
        co_return settled_slot{outcome<T>()};
      } else {
        T result = co_await std::move(call);
        co_return settled_slot{outcome<T>(std::move(result))};
      }
    } catch (...) {
      failure = std::current_exception();
    }
    if (is_cancelled() && is_cancellation(failure)) std::rethrow_exception(failure);
    co_return settled_slot{outcome<T>(failure)};
  }
};

template <class T, class View, class Fn>
task<std::vector<stored<T>>> map_view(View view, std::size_t limit, Fn fn) {
  join all(join::policy::fail_fast, "map_bounded");
  bounded_map<View, Fn, plain_slot<T>> work(std::move(view), fn, limit, all);
  work.add_worker();
  co_await all.all();
  std::vector<stored<T>> results;
  results.reserve(work.slots.size());
  for (auto& slot : work.slots) results.push_back(std::move(slot->value));
  co_return results;
}

template <class T, class View, class Fn>
task<std::vector<outcome<T>>> map_settled_view(View view, std::size_t limit, Fn fn) {
  join all(join::policy::fail_fast, "map_bounded_settled");
  bounded_map<View, Fn, settled_slot<T>> work(std::move(view), fn, limit, all);
  work.add_worker();
  std::exception_ptr failure;
  try {
    co_await all.all();
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) {
    for (auto& slot : work.slots)
      if (slot) attach_unless_cancellation(failure, slot->value.exception());
    std::rethrow_exception(failure);
  }
  std::vector<outcome<T>> results;
  results.reserve(work.slots.size());
  for (auto& slot : work.slots) results.push_back(std::move(slot->value));
  co_return results;
}

}  // namespace detail

/// Calls `fn(item)`, which gives a task, for each item of a range, with at most `limit` (at least 1) in flight, and
/// gives the results in order; tasks without a result give `std::monostate`. The first failure cancels the rest and
/// is thrown. A lazy range is pulled only as fast as its items are worked. A range passed as an lvalue must outlive
/// the call; `fn` is kept alive until all have ended.
template <std::ranges::input_range Range, class Fn>
auto map_bounded(Range&& range, std::size_t limit, Fn fn) -> task<
    std::vector<detail::stored<detail::mapped<Fn, typename detail::item_source<std::views::all_t<Range>>::item>>>> {
  using result = detail::mapped<Fn, typename detail::item_source<std::views::all_t<Range>>::item>;
  return detail::map_view<result>(std::views::all(std::forward<Range>(range)), limit, std::move(fn));
}

/// As `map_bounded`, but every item runs to its end and gives an outcome. Throws only when the caller is cancelled or
/// the range itself throws; failures among the outcomes so far are then attached.
template <std::ranges::input_range Range, class Fn>
auto map_bounded_settled(Range&& range, std::size_t limit, Fn fn)
    -> task<std::vector<outcome<detail::mapped<Fn, typename detail::item_source<std::views::all_t<Range>>::item>>>> {
  using result = detail::mapped<Fn, typename detail::item_source<std::views::all_t<Range>>::item>;
  return detail::map_settled_view<result>(std::views::all(std::forward<Range>(range)), limit, std::move(fn));
}

}  // namespace penstock

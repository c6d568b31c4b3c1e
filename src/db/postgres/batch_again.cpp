#include "batch_insert.h"
#include "penstock/async/scheduler.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>

// Rows whose outcome depends on what became of others of their batch: they are tried behind those, or again.

namespace penstock::db::postgres {
namespace {

// Each goes on where another row went in. Chains in no order need many, for which the batch must not be late.
constexpr int fewest_tries = 4;
constexpr std::chrono::milliseconds longest_trying_again(3'000);

}  // namespace

void batch_insert::hold_back_repeats(std::size_t first) {
  held_.clear();
  if (plan_.into.unique_key.empty() || rows_.rows() - first < 2) return;
  sent_rows_.clear();
  for (std::size_t row = first; row < rows_.rows(); ++row)
    if (is_to_do(row)) sent_rows_.push_back(row);
  const std::vector<std::size_t>& firsts = session_.repeats_.find(plan_.into, rows_, sent_rows_);
  for (std::size_t i = 0; i < firsts.size(); ++i) {
    if (firsts[i] == repeated_keys::none) continue;
    held_.emplace_back(sent_rows_[i], firsts[i]);
    session_.to_do_[sent_rows_[i]] = 0;
  }
}

// Those that repeat one that is not stored are to do yet.
void batch_insert::decide_held() {
  std::fill(session_.to_do_.begin(), session_.to_do_.end(), static_cast<unsigned char>(0));
  for (auto [row, repeated] : held_) {
    if (report_.rows[repeated].what != row_outcome::status::refused)
      report_.rows[row].what = row_outcome::status::duplicate;
    else
      session_.to_do_[row] = 1;
  }
}

// All that wait for others are there then, whatever their order, and those that are refused for themselves are not.
task<void> batch_insert::try_lacking_at_once() {
  if (many_ == nullptr || keys_are_new_) co_return;
  std::vector<std::size_t> group;
  for (std::size_t row = 0; row < rows_.rows(); ++row)
    if (is_to_do(row)) group.push_back(row);
  std::size_t repeats = group.size();
  for (std::size_t row : lacking_)
    if (is_refused(row) && !is_to_do(row)) group.push_back(row);
  bool was_tried = group.size() == rows_.rows();
  if (group.size() == repeats || group.size() < 2 || was_tried) co_return;
  auto [least, greatest] = std::minmax_element(group.begin(), group.end());
  std::vector<part> parts = cut_least({.first = *least, .count = *greatest - *least + 1});
  if (parts.size() > 1) co_return;
  for (std::size_t row : group) session_.to_do_[row] = 1;
  task<void> trip = make_trip(parts, false, false);
  co_await std::move(trip);
  bool went_well = !parts[0].failed && !parts[0].was_skipped;
  for (std::size_t i = went_well ? 0 : repeats; i < group.size(); ++i) session_.to_do_[group[i]] = 0;
}

// With what is to do anyway. What a row depends on may be there by now: its part came to pieces, or that of the other,
// and the pieces went in behind later ones. One by one, in turns from the front, each behind all before it, and from
// the end, for those of which each waits for the next.
task<void> batch_insert::try_refused_again() {
  std::vector<std::size_t> rows = refused_early_;
  for (std::size_t row = 0; row < rows_.rows(); ++row)
    if (is_to_do(row)) rows.push_back(row);
  task<void> trying_at_once = try_lacking_at_once();
  co_await std::move(trying_at_once);
  auto is_refused_one = [](const row_outcome& o) { return o.what == row_outcome::status::refused; };
  if (std::all_of(report_.rows.begin(), report_.rows.end(), is_refused_one)) co_return;
  auto is_open = [&](std::size_t row) { return is_to_do(row) || is_refused(row); };
  const scheduler& clock = scheduler::current();
  time_point last_try = clock.now() + longest_trying_again;
  bool from_end = false;
  for (int tries = 0; tries < fewest_tries || clock.now() < last_try; ++tries, from_end = !from_end) {
    std::ptrdiff_t before = std::count_if(rows.begin(), rows.end(), is_open);
    // Of those that repeat a key, the first is to be stored.
    for (std::size_t row : rows) session_.to_do_[row] = is_open(row) && !(from_end && first_of_key(row));
    task<void> inserting = insert_singly(from_end);
    co_await std::move(inserting);
    bool none_new = std::count_if(rows.begin(), rows.end(), is_open) >= before;
    std::fill(session_.to_do_.begin(), session_.to_do_.end(), static_cast<unsigned char>(0));
    if (none_new && (!from_end || held_.empty())) co_return;
  }
}

// A row that waited for another of its key may be stored now. One that is not is a duplicate if the statement fails
// that does not pass over them.
task<void> batch_insert::look_again() {
  task<void> inserting = insert_singly();
  co_await std::move(inserting);
  task<statement*> preparing = session_.prepared(plan_.new_row);
  one_ = co_await std::move(preparing);
  keys_are_new_ = true;
  task<void> inserting_anew = insert_singly();
  co_await std::move(inserting_anew);
  std::fill(session_.to_do_.begin(), session_.to_do_.end(), static_cast<unsigned char>(0));
  task<void> trying = try_refused_again();
  co_await std::move(trying);
}

// Once it is known which keys are there: what repeats one as sent may get another by a trigger or rule.
task<void> batch_insert::try_repeats() {
  std::fill(session_.to_do_.begin(), session_.to_do_.end(), static_cast<unsigned char>(0));
  for (auto [row, repeated] : held_)
    if (report_.rows[row].what == row_outcome::status::duplicate) session_.to_do_[row] = 1;
  task<statement*> preparing = session_.prepared(plan_.one_row);
  one_ = co_await std::move(preparing);
  keys_are_new_ = false;
  task<void> inserting = insert_singly();
  co_await std::move(inserting);
}

std::optional<std::size_t> batch_insert::first_of_key(std::size_t row) const {
  auto found =
      std::lower_bound(held_.begin(), held_.end(), row, [](const auto& r, std::size_t to) { return r.first < to; });
  if (found == held_.end() || found->first != row) return {};
  return found->second;
}

bool batch_insert::is_refused(std::size_t row) const { return report_.rows[row].what == row_outcome::status::refused; }

bool batch_insert::later_one_is_in(std::size_t row) const {
  std::size_t first = first_of_key(row).value_or(row);
  return std::any_of(held_.begin(), held_.end(), [&](const auto& repeat) {
    auto [other, its_first] = repeat;
    bool is_in = report_.rows[other].what == row_outcome::status::stored && !is_to_do(other);
    return its_first == first && other > row && is_in;
  });
}

}  // namespace penstock::db::postgres

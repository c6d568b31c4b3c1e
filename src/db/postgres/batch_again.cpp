#include "batch_insert.h"

#include <algorithm>
#include <cstddef>

// Rows whose outcome depends on what became of others of their batch: they are tried behind those, or again.

namespace penstock::db::postgres {
namespace {

constexpr int most_tries_of_refused = 4;

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

// With what is to do anyway, one by one, each behind all before it. What a row depends on may be there by now: its part
// came to pieces, or that of the other, and the pieces went in behind later ones.
task<void> batch_insert::try_refused_again() {
  auto is_refused = [](const row_outcome& o) { return o.what == row_outcome::status::refused; };
  if (std::all_of(report_.rows.begin(), report_.rows.end(), is_refused)) co_return;
  auto count_refused = [&] { return std::count_if(report_.rows.begin(), report_.rows.end(), is_refused); };
  for (int tries = 0; tries < most_tries_of_refused; ++tries) {
    std::ptrdiff_t before = count_refused();
    for (std::size_t row : refused_early_) session_.to_do_[row] = session_.to_do_[row] || is_refused(report_.rows[row]);
    task<void> inserting = insert_singly();
    co_await std::move(inserting);
    if (count_refused() >= before) co_return;  // nothing is there that was not
    std::fill(session_.to_do_.begin(), session_.to_do_.end(), static_cast<unsigned char>(0));
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

bool batch_insert::is_repeated(std::size_t row) const {
  return std::any_of(held_.begin(), held_.end(), [row](const auto& repeat) { return repeat.second == row; });
}

}  // namespace penstock::db::postgres

#include "batch_insertion.h"
#include "penstock/db/error.h"
#include "sql.h"
#include "wire_text.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include <mysqld_error.h>

// Rows whose unique key is there already. Looking up many at a time only saves trips: a row that another session has
// stored meanwhile, or that the column's collation takes for the same, is refused with a duplicate entry, and then
// looked up by itself.

namespace penstock::db::mariadb {
namespace {
constexpr std::uint32_t stored_before = 0xffff'ffff;

// A key that the column's character set does not have, or that is no text, makes the question one that can't be asked;
// the row itself is refused for it.
bool can_not_be_asked(const complaint& said) noexcept {
  return classify(said) == db_errc::data || said.code == ER_CANT_AGGREGATE_2COLLATIONS ||
         said.code == ER_CANT_AGGREGATE_3COLLATIONS || said.code == ER_CANT_AGGREGATE_NCOLLATIONS;
}

}  // namespace

bool batch_insertion::write_key(std::uint32_t row, std::string& to) const {
  to.clear();
  for (std::size_t column : key_columns_) {
    const cell& c = rows_->row(row)[column];
    if (c.type == cell::kind::null) return false;
    append_key_part(to, c);
  }
  return true;
}

// SELECT "a","b" FROM "t" WHERE ("a","b") IN ((1,'x'),…)
void batch_insertion::write_keys_question(std::span<const std::uint32_t> rows) {
  std::string list = name_list(into_->unique_key);
  text_.append("SELECT ").append(list, 1, list.size() - 2).append(" FROM ").append(quote_identifier(into_->name));
  text_.append(" WHERE ").append(list).append(" IN (");
  for (std::uint32_t row : rows) {
    char before = '(';
    for (std::size_t column : key_columns_) {
      text_.push_back(before);
      before = ',';
      append_literal(text_, rows_->row(row)[column]);
    }
    text_.append("),");
  }
  text_.back() = ')';
}

// The stored keys among these rows' are the answer.
task<std::optional<complaint>> batch_insertion::look_up_keys(std::span<const std::uint32_t> rows) {
  text_.clear();
  write_keys_question(rows);
  task<bool> asking = wire_->run(text_, answers_, 1);
  bool answered = co_await std::move(asking);
  if (!answered) co_return wire_->complaint_of_session();
  co_return std::nullopt;
}

// A question for each row, in one trip: which of them have keys that are there, as the server compares them. They are
// in `there_` afterwards.
task<std::optional<complaint>> batch_insertion::look_up_each(std::span<const std::uint32_t> rows) {
  there_.clear();
  if (rows.empty()) co_return std::nullopt;
  text_.clear();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i != 0) text_.push_back(';');
    write_keys_question(rows.subspan(i, 1));
  }
  task<bool> asking = wire_->run(text_, answers_, rows.size());
  bool answered = co_await std::move(asking);
  if (!answered) co_return wire_->complaint_of_session();
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (!answers_[i].rows.empty()) there_.push_back(rows[i]);
  co_return std::nullopt;
}

// Rows of the group whose key is there get their outcome; rows that repeat an earlier one of the group are held.
task<std::optional<complaint>> batch_insertion::set_repeated_apart() {
  expected_->repeats = true;
  task<std::optional<complaint>> looking_up = look_up_keys(group_);
  std::optional<complaint> failed = co_await std::move(looking_up);
  if (failed && can_not_be_asked(*failed)) co_return std::nullopt;
  if (failed) co_return failed;
  std::unordered_map<std::string, std::uint32_t> seen;
  std::string key;
  for (const auto& row : answers_.front().rows) {
    key.clear();
    for (std::size_t i = 0; i < key_columns_.size(); ++i)
      append_key_part(key, rows_->row(group_.front())[key_columns_[i]].type, row.at(i).value_or(""));
    seen.emplace(key, stored_before);
  }
  std::size_t duplicates = 0;
  std::erase_if(group_, [&](std::uint32_t row) {
    if (!write_key(row, key)) return false;
    auto [there, is_new] = seen.emplace(key, row);
    if (is_new) return false;
    if (there->second == stored_before)
      report_->rows[row].what = row_outcome::status::duplicate;
    else
      held_.push_back({row, there->second});
    ++duplicates;
    return true;
  });
  expected_->repeats = duplicates > 0;
  co_return std::nullopt;
}

// Those whose first is not stored, and in their order what was refused behind them: it may refer to one of them.
task<std::optional<complaint>> batch_insertion::insert_held() {
  std::vector<repeated> held = std::exchange(held_, {});
  std::vector<std::uint32_t> refused_behind = std::exchange(refused_behind_held_, {});
  group_.clear();
  for (repeated r : held) {
    if (report_->rows[r.first].what == row_outcome::status::refused)
      group_.push_back(r.row);
    else
      report_->rows[r.row].what = row_outcome::status::duplicate;
  }
  if (group_.empty()) co_return std::nullopt;
  for (std::uint32_t row : refused_behind) {
    if (row < group_.front()) continue;
    report_->rows[row] = {};
    group_.push_back(row);
  }
  std::sort(group_.begin(), group_.end());
  task<std::optional<complaint>> each = insert_one_by_one();
  co_return co_await std::move(each);
}

}  // namespace penstock::db::mariadb

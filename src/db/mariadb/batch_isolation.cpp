#include "batch_insertion.h"
#include "penstock/db/error.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <mysqld_error.h>

// A statement that failed because of a row: finds the row, gives it its outcome, and sends the others again. After a
// few such rows in one group the rest go one by one, so that the work is bounded by the number of rows.

namespace penstock::db::mariadb {
namespace {

// Setting one apart takes two trips, as long as the server has to be asked which it is.
constexpr int most_set_apart = 4;
constexpr int most_set_apart_before_compound = 2;

// "… at row 3" at the end of a message: 2.
std::optional<std::size_t> row_in(const std::string& message) {
  constexpr std::string_view mark = " at row ";
  std::size_t found = message.rfind(mark);
  if (found == std::string::npos) return std::nullopt;
  std::size_t row = 0;
  auto [end, failed] = std::from_chars(message.data() + found + mark.size(), message.data() + message.size(), row);
  if (failed != std::errc() || end != message.data() + message.size() || row == 0) return std::nullopt;
  return row - 1;
}

}  // namespace

task<std::optional<complaint>> batch_insertion::isolate(complaint said) {
  std::optional<complaint> failed;
  bool looked_up = repeats_expected_;
  const int most = takes_compounds() ? most_set_apart_before_compound : most_set_apart;
  for (int found = 0; !group_.empty(); ++found) {
    if (said.code == ER_DUP_ENTRY && !into_->unique_key.empty() && !looked_up && group_.size() > 1) {
      looked_up = true;
      task<std::optional<complaint>> setting_apart = set_repeated_apart();
      failed = co_await std::move(setting_apart);
    } else if (group_.size() == 1 || found < most) {
      task<std::optional<complaint>> setting_apart = set_one_apart(said);
      failed = co_await std::move(setting_apart);
    } else {
      task<std::optional<complaint>> each = insert_one_by_one();
      co_return co_await std::move(each);
    }
    if (failed || group_.empty()) co_return failed;
    task<std::optional<complaint>> inserting = insert();
    failed = co_await std::move(inserting);
    if (!failed || !refuses_row(*failed)) co_return failed;
    said = std::move(*failed);
  }
  co_return std::nullopt;
}

task<std::optional<complaint>> batch_insertion::set_one_apart(complaint said) {
  std::optional<std::size_t> at;
  if (group_.size() == 1) {
    at = 0;
  } else {
    task<std::optional<std::size_t>> asking = failed_row(said);
    at = co_await std::move(asking);
  }
  if (!at) {
    task<std::optional<complaint>> halving = halve(std::move(said));
    co_return co_await std::move(halving);
  }
  std::uint32_t row = group_[*at];
  group_.erase(group_.begin() + static_cast<std::ptrdiff_t>(*at));
  task<std::optional<complaint>> judging = judge(row, said);
  co_return co_await std::move(judging);
}

// The place in the group of the row that a statement failed at, if the server tells: MariaDB from 10.7 on
// (https://mariadb.com/kb/en/get-diagnostics/), and every server in messages about values.
task<std::optional<std::size_t>> batch_insertion::failed_row(const complaint& said) {
  std::optional<std::size_t> row = row_in(said.message);
  if (!row && facts_->is_mariadb && facts_->version >= 100700) {
    text_ =
        "GET DIAGNOSTICS @penstock_last = NUMBER;"
        "GET DIAGNOSTICS CONDITION @penstock_last @penstock_row = ROW_NUMBER, @penstock_code = MYSQL_ERRNO;"
        "SELECT @penstock_row, @penstock_code;"
        "SET @penstock_last = NULL, @penstock_row = NULL, @penstock_code = NULL";
    std::string code = std::to_string(said.code);
    task<bool> asking = wire_->run(text_, answers_, 4);
    bool answered = co_await std::move(asking);
    if (answered && answers_[2].rows.at(0).at(1) == code)
      row = row_in(" at row " + answers_[2].rows.at(0).at(0).value_or(""));
  }
  if (row && *row >= group_.size()) row.reset();
  co_return row;
}

// Sends halves until one row is left; the server stops at the first row that it refuses, so that what was said holds
// for the second half when the first went in.
task<std::optional<complaint>> batch_insertion::halve(complaint said) {
  std::vector<std::uint32_t> suspects = std::move(group_);
  std::vector<std::uint32_t> later;
  while (suspects.size() > 1) {
    auto middle = suspects.begin() + static_cast<std::ptrdiff_t>(suspects.size() / 2);
    group_.assign(suspects.begin(), middle);
    task<std::optional<complaint>> inserting = insert();
    std::optional<complaint> failed = co_await std::move(inserting);
    if (failed && !refuses_row(*failed)) co_return failed;
    if (failed) {
      later.insert(later.begin(), middle, suspects.end());
      suspects.erase(middle, suspects.end());
      said = std::move(*failed);
    } else {
      suspects.erase(suspects.begin(), middle);
    }
  }
  group_ = std::move(later);
  task<std::optional<complaint>> judging = judge(suspects.front(), said);
  co_return co_await std::move(judging);
}

task<std::optional<complaint>> batch_insertion::insert_one_by_one() {
  bool all_fit = std::all_of(group_.begin(), group_.end(), [this](std::uint32_t row) { return fits_in_text(row); });
  if (takes_compounds() && all_fit && group_.size() > 1) co_return co_await insert_compound();
  std::vector<std::uint32_t> rows = std::move(group_);
  for (std::uint32_t row : rows) {
    group_.assign(1, row);
    task<std::optional<complaint>> inserting = insert();
    std::optional<complaint> said = co_await std::move(inserting);
    if (said && !refuses_row(*said)) co_return said;
    if (!said) continue;
    task<std::optional<complaint>> judging = judge(row, *said);
    said = co_await std::move(judging);
    if (said) co_return said;
  }
  co_return std::nullopt;
}

// The row was refused: is it one that is there already?
task<std::optional<complaint>> batch_insertion::judge(std::uint32_t row, const complaint& said) {
  if (said.code == ER_DUP_ENTRY && !into_->unique_key.empty()) {
    complaint kept = said;
    if (key_names_.empty()) {
      task<std::optional<complaint>> learning = learn_key_names(false);
      std::optional<complaint> failed = co_await std::move(learning);
      if (failed) co_return failed;
    }
    if (names_unique_key(kept)) {
      report_->rows[row].what = row_outcome::status::duplicate;
      repeats_expected_ = true;
      co_return std::nullopt;
    }
    refuse(row, code_name(classify(kept)), std::move(kept.message));
    co_return std::nullopt;
  }
  refuse(row, code_name(classify(said)), said.message);
  co_return std::nullopt;
}

}  // namespace penstock::db::mariadb

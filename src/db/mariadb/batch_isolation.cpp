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

constexpr unsigned no_default_for_field = 1364;  // of a column that the statement does not name
constexpr const char* row_questions =
    "GET DIAGNOSTICS @penstock_last = NUMBER;"
    "GET DIAGNOSTICS CONDITION @penstock_last @penstock_row = ROW_NUMBER, @penstock_code = MYSQL_ERRNO;"
    "SELECT @penstock_row, @penstock_code;"
    "SET @penstock_last = NULL, @penstock_row = NULL, @penstock_code = NULL";
// Setting one apart takes up to three trips: to ask which it is, to see that it is, and for the rows behind it.
constexpr int most_set_apart = 4;
constexpr int most_set_apart_before_compound = 2;
// 256 rows are narrowed down to one in two trips.
constexpr std::size_t most_pieces = 16;

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

std::vector<std::size_t> ends_of_pieces(std::size_t rows, std::optional<std::size_t> single) {
  std::vector<std::size_t> ends;
  if (single) {
    for (std::size_t end : {*single, *single + 1, rows})
      if (end > (ends.empty() ? 0 : ends.back())) ends.push_back(end);
    return ends;
  }
  std::size_t size = (rows + most_pieces - 1) / most_pieces;
  for (std::size_t end = size; end < rows; end += size) ends.push_back(end);
  ends.push_back(rows);
  return ends;
}

}  // namespace

task<std::optional<complaint>> batch_insertion::isolate(complaint said) {
  std::optional<complaint> failed;
  bool looked_up = expected_->repeats || keys_may_change_;
  const int most = takes_compounds() ? most_set_apart_before_compound : most_set_apart;
  for (int found = 0; !group_.empty(); ++found) {
    if (may_be_there(said.code) && !looked_up && group_.size() > 1) {
      looked_up = true;
      std::size_t before = group_.size();
      task<std::optional<complaint>> setting_apart = set_repeated_apart();
      failed = co_await std::move(setting_apart);
      if (!failed && group_.size() == before) {  // they would only be refused again
        task<std::optional<complaint>> narrowing = narrow_down(said, std::nullopt);
        failed = co_await std::move(narrowing);
      }
    } else if (group_.size() == 1 || (found < most && (tells_row(said) || !takes_compounds()))) {
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
  std::optional<std::size_t> hint;
  if (group_.size() > 1) {
    task<std::optional<complaint>> asking = find_failed_row(said, hint);
    std::optional<complaint> failed = co_await std::move(asking);
    if (failed) co_return failed;
  }
  task<std::optional<complaint>> narrowing = narrow_down(std::move(said), hint);
  co_return co_await std::move(narrowing);
}

// Whether the server tells at which row a statement failed: MariaDB from 10.7 on, which is to be asked
// (https://mariadb.com/kb/en/get-diagnostics/), and every server in messages about values.
bool batch_insertion::tells_row(const complaint& said) const {
  return (facts_->is_mariadb && facts_->version >= 100'700) || row_in(said.message).has_value();
}

// That row's place in the group; what a trigger runs may have failed at a row of its own, and that is told instead.
task<std::optional<complaint>> batch_insertion::find_failed_row(const complaint& said,
                                                                std::optional<std::size_t>& row) {
  row = row_in(said.message);
  if (!row && tells_row(said)) {
    text_ = row_questions;
    task<bool> asking = wire_->run(text_, answers_, 4);
    bool answered = co_await std::move(asking);
    if (answered && lost_transaction()) co_return what_failed();
    if (!answered) co_return failure_to_tell();
    const auto& told = answers_[2].rows.at(0);
    if (told.at(1) == std::to_string(said.code)) row = row_in(" at row " + told.at(0).value_or(""));
  }
  if (row && *row >= group_.size()) row.reset();
  co_return std::nullopt;
}

std::optional<complaint> batch_insertion::failure_to_tell() const {
  constexpr unsigned no_such_condition = 1758;  // ER_DA_INVALID_CONDITION_NUMBER
  complaint said = wire_->complaint_of_session();
  return said.code == no_such_condition ? std::nullopt : std::optional(std::move(said));
}

// Sends the group in pieces, of which the server stops at the first that it refuses; then that one in pieces, until it
// is a single row. A row that is hinted at is a piece of its own at once.
task<std::optional<complaint>> batch_insertion::narrow_down(complaint said, std::optional<std::size_t> hint) {
  std::vector<std::uint32_t> suspects = std::move(group_);
  std::vector<std::uint32_t> later;
  while (suspects.size() > 1) {
    std::vector<std::size_t> ends = ends_of_pieces(suspects.size(), std::exchange(hint, std::nullopt));
    auto start_of = [&](std::size_t which) { return which == 0 ? 0 : ends[which - 1]; };
    auto piece = [&](std::size_t which) {
      return std::span<const std::uint32_t>(suspects).subspan(start_of(which), ends[which] - start_of(which));
    };
    task<bool> sending = send_inserts(suspects, ends);
    bool ran = co_await std::move(sending);
    if (!ran) {
      said = what_failed();
      if (!ahead_has_run_ || !refuses_row(said)) co_return said;
    }
    for (std::size_t i = 0; i < answers_.size(); ++i) take_ids_of_insert(piece(i), answers_[i]);
    if (ran) {  // whatever stood in the way is gone
      suspects.clear();
      break;
    }
    auto first = suspects.begin() + static_cast<std::ptrdiff_t>(start_of(answers_.size()));
    auto end = suspects.begin() + static_cast<std::ptrdiff_t>(ends.at(answers_.size()));
    later.insert(later.begin(), end, suspects.end());
    suspects = std::vector<std::uint32_t>(first, end);
  }
  group_ = std::move(later);
  if (suspects.empty()) co_return std::nullopt;
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

// The row was refused: is it one that is there already? The index that the server names does not tell: it may have met
// another one first, and a trigger's table may have one of the same name.
task<std::optional<complaint>> batch_insertion::judge(std::uint32_t row, const complaint& said) {
  complaint kept = said;
  bool is_there = false;
  if (may_be_there(kept.code)) {
    task<std::optional<complaint>> looking_up = look_up_keys(std::span(&row, 1));
    std::optional<complaint> failed = co_await std::move(looking_up);
    if (failed) co_return failed;
    is_there = !answers_.front().rows.empty();
  }
  judge_looked_up(row, kept, is_there);
  co_return std::nullopt;
}

void batch_insertion::judge_looked_up(std::uint32_t row, const complaint& said, bool is_there) {
  meets_later_row_ = meets_later_row_ || (said.code == ER_DUP_ENTRY &&
                                          std::binary_search(wrong_otherwise_.begin(), wrong_otherwise_.end(), row));
  if (!is_there) {
    note_doubt(said);
    return refuse(row, code_name(classify(said)), said.message, said.code == no_default_for_field);
  }
  report_->rows[row].what = row_outcome::status::duplicate;
  expected_->repeats = true;
}

bool batch_insertion::may_be_there(unsigned code) const noexcept {
  return code == ER_DUP_ENTRY && !into_->unique_key.empty();
}

}  // namespace penstock::db::mariadb

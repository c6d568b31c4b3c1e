#include "batch_insertion.h"
#include "penstock/db/error.h"
#include "wire_text.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include <mysqld_error.h>

// Rows that go one by one, in one trip: a compound statement inserts each by a statement of its own, tells what became
// of it, and goes on behind those that are refused (https://mariadb.com/kb/en/begin-end/; MySQL has none outside of
// stored programs). Invariant: it goes on behind nothing else. A deadlock ends the transaction, and what follows would
// be committed row by row; so the handler names the errors that refuse a row, and every other one ends the statement.

namespace penstock::db::mariadb {
namespace {

constexpr unsigned first_with_compounds = 100'101;  // MariaDB 10.1.1
constexpr unsigned place_in_program = 4094;         // ER_SP_STACK_TRACE: "At line 1 in shop.trigger"

// The handler is called for a warning of such a code too, with the row stored; ROW_COUNT tells. The error is the last
// condition, save that one without a meaning may follow it, or the place in a trigger. Where the server has kept none
// (max_error_count), the row goes in once more, alone.
std::string opening_text(bool undoes) {
  std::string text =
      "BEGIN NOT ATOMIC DECLARE penstock_code, penstock_last, penstock_count INT DEFAULT 0; DECLARE penstock_state "
      "CHAR(5); DECLARE penstock_said TEXT; DECLARE CONTINUE HANDLER FOR ";
  for (unsigned code : row_refusals()) text.append(std::to_string(code)).push_back(',');
  text.append("SQLSTATE '45000'");  // a SIGNAL may give a code of its own
  const std::string reading =
      "GET DIAGNOSTICS CONDITION penstock_last penstock_code = MYSQL_ERRNO, penstock_state = RETURNED_SQLSTATE, "
      "penstock_said = MESSAGE_TEXT;";
  return text + " BEGIN SET penstock_count = ROW_COUNT(); IF penstock_count < 0 THEN SET penstock_code = " +
         std::to_string(ER_UNKNOWN_ERROR) + ";GET DIAGNOSTICS penstock_last = NUMBER;" + reading +
         "IF penstock_code IN (" + std::to_string(ER_UNKNOWN_ERROR) + "," + std::to_string(place_in_program) +
         ") AND penstock_last > 1 THEN SET penstock_last = penstock_last - 1;" + reading + "END IF;" +
         (undoes ? "ROLLBACK TO SAVEPOINT penstock_row;" : "") + "END IF;END; ";
}

constexpr std::string_view behind_each =
    ";SELECT penstock_code, penstock_state, penstock_said, LAST_INSERT_ID();SET penstock_code = 0;";

unsigned code_told(const text_result& told) { return static_cast<unsigned>(number_in(told.rows.at(0).at(0))); }

}  // namespace

bool batch_insertion::takes_compounds() const noexcept {
  return facts_->is_mariadb && facts_->version >= first_with_compounds && !may_choose_ids();
}

// The group's rows get their outcomes, in their order. What ended the statement is judged as of the row that it came
// from, and the rest goes in another one.
task<std::optional<complaint>> batch_insertion::insert_compound() {
  std::vector<std::uint32_t> rows = std::move(group_);
  std::size_t refused_before = report_->refusals.size();
  for (std::size_t next = 0; next < rows.size();) {
    task<std::optional<complaint>> sending_ahead = send_ahead();
    std::optional<complaint> failed = co_await std::move(sending_ahead);
    if (failed) co_return failed;
    std::size_t sent = write_compound(std::span(rows).subspan(next));
    task<bool> running = wire_->run(text_, answers_);
    bool ran = co_await std::move(running);
    std::optional<complaint> ended;
    if (!ran || lost_transaction()) ended = what_failed();
    undo_is_due_ = ended && is_guarded();
    if (ended && !refuses_row(*ended)) co_return ended;
    std::vector<text_result> told = std::move(answers_);
    std::size_t count = std::min(told.size(), sent);  // behind them stands the end of the statement
    task<std::optional<complaint>> looking_up =
        look_up_told(std::span(rows).subspan(next, count), std::span(told).first(count));
    failed = co_await std::move(looking_up);
    if (failed) co_return failed;
    for (std::size_t i = 0; i < count; ++i) {
      task<std::optional<complaint>> taking = take_told(rows[next + i], &told[i]);
      failed = co_await std::move(taking);
      if (failed) co_return failed;
    }
    next += count;
    if (!ended) continue;
    task<std::optional<complaint>> judging = judge(rows.at(next++), *ended);
    failed = co_await std::move(judging);
    if (failed) co_return failed;
  }
  std::size_t few = rows.size() / (is_guarded() ? 32 : 8);  // to set each apart takes more trips there
  many_refused_ = report_->refusals.size() - refused_before > few;
  co_return std::nullopt;
}

// Gives how many of the rows it has.
std::size_t batch_insertion::write_compound(std::span<const std::uint32_t> rows) {
  static const std::string opening = opening_text(false);
  static const std::string undoing_opening = opening_text(true);
  text_ = is_guarded() ? undoing_opening : opening;
  std::string insert = is_guarded() ? "SAVEPOINT penstock_row;" : "";
  insert += "INSERT INTO " + quote_identifier(into_->name) + " " + names_;
  std::size_t count = 0;
  while (count < rows.size() && text_.size() < facts_->max_packet / 4) {
    text_.append(insert);
    if (is_guarded()) {  // behind the end of the transaction it inserts nothing
      text_.append(" SELECT ");
      append_values(rows[count++]);
      text_.append(" FROM DUAL WHERE @@in_transaction");
    } else {
      text_.append(" VALUES ");
      append_row(rows[count++]);
    }
    text_.append(behind_each);
  }
  text_.append("END");
  return count;
}

// Looks up the rows that met a unique index, save those whose key a later one of them has brought.
task<std::optional<complaint>> batch_insertion::look_up_told(std::span<const std::uint32_t> rows,
                                                             std::span<const text_result> told) {
  std::vector<std::uint32_t> refused;
  there_.clear();
  if (std::none_of(told.begin(), told.end(), [this](const text_result& t) { return may_be_there(code_told(t)); }))
    co_return std::nullopt;
  std::unordered_set<std::string> stored_behind;
  std::string key;
  for (std::size_t i = rows.size(); i-- > 0;) {
    unsigned code = code_told(told[i]);
    if ((code != 0 && !may_be_there(code)) || !write_key(rows[i], key)) continue;
    if (code == 0)
      stored_behind.insert(key);
    else if (keys_may_change_ || !stored_behind.contains(key))
      refused.push_back(rows[i]);
  }
  task<std::optional<complaint>> looking_up = look_up_each(refused);
  co_return co_await std::move(looking_up);
}

task<std::optional<complaint>> batch_insertion::take_told(std::uint32_t row, const text_result* told) {
  const auto& told_row = told->rows.at(0);
  unsigned code = code_told(*told);
  if (code == 0) {
    if (!into_->id_column.empty()) report_->rows[row].id = number_in(told_row[3]);
    co_return std::nullopt;
  }
  complaint said{code, told_row[1].value_or(""), told_row[2].value_or("")};
  if (!refuses_row(said)) {  // of several conditions it was not the one that counts
    group_.assign(1, row);
    task<std::optional<complaint>> again = insert();
    std::optional<complaint> failed = co_await std::move(again);
    if (!failed || !refuses_row(*failed)) co_return failed;
    task<std::optional<complaint>> judging = judge(row, *failed);
    co_return co_await std::move(judging);
  }
  judge_looked_up(row, said, std::find(there_.begin(), there_.end(), row) != there_.end());
  co_return std::nullopt;
}

}  // namespace penstock::db::mariadb

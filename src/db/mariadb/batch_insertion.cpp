#include "batch_insertion.h"

#include "misfit.h"
#include "penstock/db/error.h"
#include "sql.h"
#include "wire_text.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <utility>

#include <mysqld_error.h>

// The ways in. See batch_isolation.cpp for rows that are refused, and batch_keys.cpp for those that are there already.

namespace penstock::db::mariadb {
namespace {

constexpr std::size_t rows_a_statement = 256;
constexpr std::size_t bytes_a_statement = std::size_t{1} << 20;
constexpr std::size_t most_kept = std::size_t{4} << 20;

parameters parameters_of_row(std::span<const cell> row) {
  parameters values;
  for (const cell& c : row) {
    switch (c.type) {
      case cell::kind::null:
        values.emplace_back();
        break;
      case cell::kind::integer:
        values.emplace_back(c.integer);
        break;
      case cell::kind::boolean:
        values.emplace_back(c.integer != 0);
        break;
      case cell::kind::real:
        values.emplace_back(c.real);
        break;
      case cell::kind::timestamp:
        values.emplace_back(timestamp(std::chrono::microseconds(c.integer)));
        break;
      case cell::kind::text:
        values.emplace_back(std::string(c.text()));
        break;
      case cell::kind::blob: {
        auto* data = reinterpret_cast<const std::byte*>(c.data);
        values.emplace_back(blob{{data, data + c.size}});
        break;
      }
    }
  }
  return values;
}

std::size_t text_bytes(std::span<const cell> row) {
  std::size_t bytes = 0;
  for (const cell& c : row) bytes += 32 + (c.type == cell::kind::text || c.type == cell::kind::blob ? c.size : 0);
  return bytes;
}

}  // namespace

task<std::optional<complaint>> batch_insertion::run(wire& w, statement_cache& statements, const server_facts& facts,
                                                    bool bulk_allowed, insertion_turns& turns,
                                                    const known_tables& known, single_statement single,
                                                    const table_definition& into, const row_batch& rows,
                                                    batch_report& report, batch_opening opening) {
  std::size_t round_trips_before = w.round_trips();
  turns_ = &turns;
  single_ = std::move(single);
  statements_ = &statements;
  start(w, facts, known, into, rows, report);
  ahead_count_ = opening_statements_ = opening.statements;
  ahead_has_run_ = opening.statements == 0;
  ahead_ = std::move(opening.text);
  opening_answer_ = {};
  std::optional<complaint> said;
  std::size_t unstorable_rows = report.refusals.size();
  report.method = "values";
  if (should_use_arrays(bulk_allowed)) {
    task<std::optional<complaint>> inserting = insert_arrays();
    said = co_await std::move(inserting);
  }
  if (!said && should_ignore(bulk_allowed)) {
    task<std::optional<complaint>> inserting = insert_leniently(lenient_way::ignoring);
    said = co_await std::move(inserting);
  }
  if (!said && should_load(bulk_allowed)) {
    task<std::optional<complaint>> loading = insert_leniently(lenient_way::loading);
    said = co_await std::move(loading);
  }
  if (!said) {
    task<std::optional<complaint>> inserting = insert_all();
    said = co_await std::move(inserting);
  }
  if (!said) {
    task<std::optional<complaint>> sending_rest = send_ahead();
    said = co_await std::move(sending_rest);
  }
  auto is_refused = [](const row_outcome& row) { return row.what == row_outcome::status::refused; };
  if (!said && !doubts_.empty() && std::any_of(report.rows.begin(), report.rows.end(), is_refused)) {
    task<std::optional<complaint>> settling = settle_doubts();
    said = co_await std::move(settling);
  }
  expected_->refusals = report.refusals.size() > unstorable_rows;
  report.round_trips = w.round_trips() - round_trips_before;
  co_return said;
}

void batch_insertion::start(wire& w, const server_facts& facts, const known_tables& known, const table_definition& into,
                            const row_batch& rows, batch_report& report) {
  wire_ = &w;
  facts_ = &facts;
  into_ = &into;
  rows_ = &rows;
  report_ = &report;
  report.clear();
  report.rows.resize(rows.rows());
  names_ = column_list(into);
  key_columns_ = key_columns_of(into);
  held_.clear();
  refused_behind_held_.clear();
  doubts_.clear();
  waiting_.clear();
  next_ = 0;
  many_refused_ = false;
  undo_is_due_ = false;
  lost_.reset();
  mixed_kinds_ = false;
  expected_ = &expected_of_[into.name];
  if (into.unique_key.empty()) expected_->repeats = false;  // another definition of the table may have a key
  if (text_.capacity() > most_kept) text_ = {};
  take_what_is_known(known);
  for (std::uint32_t r = 0; r < rows.rows(); ++r) {
    std::optional<std::string> why = unstorable_in(r);
    if (why)
      refuse(r, code_name(db_errc::data), std::move(*why));
    else
      waiting_.push_back(r);
  }
}

void batch_insertion::take_what_is_known(const known_tables& known) {
  limits_.clear();
  has_triggers_ = names_id_ = keys_may_change_ = false;
  auto found = known.find(into_->name);
  if (found == known.end()) return;
  has_triggers_ = found->second.has_triggers;
  names_id_ = found->second.is_view || names(found->second.trigger_texts, into_->id_column);
  keys_may_change_ = std::any_of(into_->unique_key.begin(), into_->unique_key.end(),
                                 [&](const std::string& column) { return names(found->second.trigger_texts, column); });
  if (found->second.limits.empty()) return;
  limits_.resize(into_->columns.size());
  for (const text_limit& limit : found->second.limits)
    for (std::size_t i = 0; i < limits_.size(); ++i)
      if (same_name(limit.column, into_->columns[i].name)) limits_[i] = &limit;
}

std::optional<std::string> batch_insertion::unstorable_in(std::uint32_t row) const {
  std::span<const cell> cells = rows_->row(row);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const table_column& column = into_->columns[i];
    std::optional<std::string> why = unstorable(cells[i], facts_->max_packet);
    if (!why) why = misfit(cells[i], column.type);
    if (why) return "column '" + column.name + "': " + *why;
    if (i < limits_.size() && limits_[i] != nullptr) why = cut_by(*limits_[i], cells[i]);
    if (why) return why;
  }
  return std::nullopt;
}

task<std::optional<complaint>> batch_insertion::insert_all() {
  semaphore::permit turn;
  if (waiting_.size() >= insertion_turns::fewest_rows) {
    task<semaphore::permit> taking = turns_->take(into_->name);
    turn = co_await std::move(taking);
  }
  while (next_ < waiting_.size()) {
    take_group(rows_a_statement);
    task<std::optional<complaint>> inserting = insert_group();
    std::optional<complaint> said = co_await std::move(inserting);
    if (said) co_return said;
  }
  co_return std::nullopt;
}

void batch_insertion::take_group(std::size_t most_rows) {
  group_.clear();
  std::size_t bytes = 0;
  std::size_t most = std::min(bytes_a_statement, facts_->max_packet / 4);
  while (next_ < waiting_.size() && group_.size() < most_rows) {
    bytes += text_bytes(rows_->row(waiting_[next_]));
    if (bytes > most && !group_.empty()) break;
    group_.push_back(waiting_[next_++]);
  }
}

// When it gives nothing, every row of the group has its outcome.
task<std::optional<complaint>> batch_insertion::insert_group() {
  std::optional<complaint> said;
  if (expected_->repeats || many_refused_) {
    task<std::optional<complaint>> sending_ahead = send_ahead();
    said = co_await std::move(sending_ahead);
    if (said) co_return said;
  }
  if (expected_->repeats && !keys_may_change_) {
    task<std::optional<complaint>> setting_apart = set_repeated_apart();
    said = co_await std::move(setting_apart);
    if (said) co_return said;
  }
  if (group_.size() > 1 && hides_chosen_ids()) {
    task<std::optional<complaint>> inserting = insert_each();
    said = co_await std::move(inserting);
    if (said) co_return said;
  } else if (!group_.empty()) {
    task<std::optional<complaint>> inserting = many_refused_ ? insert_one_by_one() : insert();
    said = co_await std::move(inserting);
  }
  if (said && (!ahead_has_run_ || !refuses_row(*said))) co_return said;
  if (said) {
    task<std::optional<complaint>> isolating = isolate(std::move(*said));
    said = co_await std::move(isolating);
    if (said) co_return said;
  }
  task<std::optional<complaint>> rest = insert_held();
  co_return co_await std::move(rest);
}

// One statement for the group, and the ids of its rows when it went well.
task<std::optional<complaint>> batch_insertion::insert() {
  bool as_text = group_.size() > 1 || fits_in_text(group_.front());
  if (!as_text) co_return co_await insert_with_parameters();
  const std::size_t end = group_.size();
  task<bool> sending = send_inserts(group_, std::span(&end, 1));
  bool ran = co_await std::move(sending);
  if (!ran) co_return what_failed();
  take_ids_of_insert(group_, answers_.front());
  co_return std::nullopt;
}

// A statement for each row of the group, in one trip for as many as the server takes, and one more for each that it
// refuses.
task<std::optional<complaint>> batch_insertion::insert_each() {
  const std::size_t bytes_beside_values = names_.size() + into_->name.size() + 32;
  const std::size_t most = std::max<std::size_t>(1, facts_->max_packet / 4 / bytes_beside_values);
  while (!group_.empty()) {
    std::vector<std::size_t> ends(std::min(group_.size(), most));
    std::iota(ends.begin(), ends.end(), 1);
    task<bool> sending = send_inserts(std::span(group_).first(ends.size()), ends);
    bool ran = co_await std::move(sending);
    for (std::size_t i = 0; i < answers_.size(); ++i) take_ids_of_insert(std::span(group_).subspan(i, 1), answers_[i]);
    std::optional<complaint> said;
    if (!ran) said = what_failed();
    if (said && (!ahead_has_run_ || !refuses_row(*said))) co_return said;
    group_.erase(group_.begin(), group_.begin() + static_cast<std::ptrdiff_t>(answers_.size()));
    if (!said) continue;
    const std::uint32_t refused = group_.front();
    group_.erase(group_.begin());
    task<std::optional<complaint>> judging = judge(refused, *said);
    said = co_await std::move(judging);
    if (said) co_return said;
  }
  co_return std::nullopt;
}

task<std::optional<complaint>> batch_insertion::insert_with_parameters() {
  task<std::optional<complaint>> sending_ahead = guard();
  std::optional<complaint> refused = co_await std::move(sending_ahead);
  if (refused) co_return refused;
  parameters values = parameters_of_row(rows_->row(group_.front()));
  task<std::optional<complaint>> running = single_(insert_with_places(), std::move(values));
  std::optional<complaint> said = co_await std::move(running);
  undo_is_due_ = said && is_guarded();
  if (!said) take_ids(group_, mysql_insert_id(wire_->handle()));
  co_return said;
}

std::string batch_insertion::insert_with_places(std::size_t rows, std::string_view insert) const {
  std::string sql(insert);
  sql.append(" INTO ").append(quote_identifier(into_->name)).append(" ").append(names_).append(" VALUES ");
  for (std::size_t row = 0; row < rows; ++row) {
    sql += row == 0 ? "(?" : ",(?";
    for (std::size_t i = 1; i < rows_->columns(); ++i) sql += ",?";
    sql += ")";
  }
  return sql;
}

bool batch_insertion::fits_in_text(std::uint32_t row) const {
  return text_bytes(rows_->row(row)) < facts_->max_packet / 4;
}

void batch_insertion::append_insert(std::span<const std::uint32_t> rows) {
  text_.append("INSERT INTO ").append(quote_identifier(into_->name)).append(" ").append(names_).append(" VALUES ");
  for (std::uint32_t row : rows) {
    append_row(row);
    text_.push_back(',');
  }
  text_.pop_back();
  if (returns_ids()) text_.append(" RETURNING ").append(quote_identifier(into_->id_column));
}

// ('it''s',1,NULL)
void batch_insertion::append_row(std::uint32_t row) {
  text_.push_back('(');
  append_values(row);
  text_.push_back(')');
}

void batch_insertion::append_values(std::uint32_t row) {
  bool is_first = true;
  for (const cell& c : rows_->row(row)) {
    if (!std::exchange(is_first, false)) text_.push_back(',');
    append_literal(text_, c);
  }
}

// Galera changes the step between ids whenever a node comes or goes, and a trigger may choose them.
bool batch_insertion::returns_ids() const {
  return (facts_->has_cluster || has_triggers_) && facts_->is_mariadb && facts_->version >= 100500 && tells_ids();
}

// A statement whose rows the server counts beforehand gets ids without gaps, and so does one that keeps the table's id
// lock to its end (https://mariadb.com/kb/en/auto_increment-handling-in-innodb/).
void batch_insertion::take_ids(std::span<const std::uint32_t> of, std::uint64_t first) {
  if (!tells_ids()) return;
  for (std::uint32_t row : of) {
    report_->rows[row].id = static_cast<std::int64_t>(first);
    first += facts_->id_step;
  }
}

void batch_insertion::take_ids(std::span<const std::uint32_t> of, const text_result& told) {
  for (std::size_t i = 0; i < of.size(); ++i) report_->rows[of[i]].id = number_in(told.rows.at(i).at(0));
}

void batch_insertion::take_ids_of_insert(std::span<const std::uint32_t> of, const text_result& told) {
  if (returns_ids())
    take_ids(of, told);
  else
    take_ids(of, told.first_id);
}

void batch_insertion::refuse(std::uint32_t row, std::string_view code, std::string message, bool lacks_value) {
  row_outcome& outcome = report_->rows[row];
  outcome.what = row_outcome::status::refused;
  outcome.refusal = static_cast<std::int32_t>(report_->refusals.size());
  report_->refusals.push_back({code, std::move(message), lacks_value});
  if (!held_.empty()) refused_behind_held_.push_back(row);
}

}  // namespace penstock::db::mariadb

#include "batch_insertion.h"
#include "penstock/db/error.h"
#include "wire_text.h"

#include <algorithm>
#include <utility>

#include <mysqld_error.h>

// Statements that go on behind an error and leave a warning: INSERT IGNORE with array binding, and LOAD DATA LOCAL from
// memory. A warning means a row of which one row of many is dropped, or stored with another value. So nothing that they
// stored is kept unless they had no warning, or only dropped rows and it is certain which. Otherwise it is undone, and
// the rows go in again without those that the warnings name; what is in doubt after that goes in by INSERT.

namespace penstock::db::mariadb {
namespace {

// Below, one trip more costs what the server saves.
constexpr std::size_t fewest_rows = 256;
// As many as a server keeps (max_error_count).
constexpr unsigned most_warnings = 64;
constexpr unsigned long first_to_number_rows = 100'700;
constexpr unsigned loading_is_disabled = 3948;  // MySQL's; MariaDB says ER_NOT_ALLOWED_COMMAND
constexpr unsigned check_failed = 4025;         // ER_CONSTRAINT_FAILED, which MySQL's header lacks

bool drops_row(unsigned code) noexcept {
  return code == ER_DUP_ENTRY || code == check_failed || code == ER_NO_REFERENCED_ROW_2;
}

}  // namespace

// The server has to tell which rows it dropped: see `find_suspects`.
bool batch_insertion::can_ignore() const noexcept {
  return facts_->takes_arrays && facts_->version >= first_to_number_rows && !mixed_kinds_ && !is_guarded();
}

bool batch_insertion::should_ignore(bool bulk_allowed) const {
  return bulk_allowed && can_ignore() && !may_choose_ids() && !expected_->repeats && waiting_.size() >= fewest_rows;
}

// With Galera a LOAD DATA may be committed in parts, and ids have gaps. MySQL 8.0 refuses good rows of later INSERTs
// once a LOAD DATA has ended with a null in a column that takes none ("Column cannot be null"). A LOAD DATA has one
// character set for all columns: a blob is none of UTF-8, and a text needs it to be converted to that of its column.
bool batch_insertion::should_load(bool bulk_allowed) const {
  return bulk_allowed && facts_->takes_files && !facts_->has_cluster && waiting_.size() >= fewest_rows &&
         !expected_->repeats && !can_ignore() && (!tells_ids() || facts_->holds_id_lock) && !may_choose_ids() &&
         (facts_->is_mariadb || !has_any(cell::kind::null)) && !has_any(cell::kind::blob);
}

bool batch_insertion::has_any(cell::kind kind) const {
  return std::any_of(waiting_.begin(), waiting_.end(), [&](std::uint32_t row) {
    std::span<const cell> cells = rows_->row(row);
    return std::any_of(cells.begin(), cells.end(), [kind](const cell& c) { return c.type == kind; });
  });
}

// The rows that still need an outcome are waiting afterwards.
task<std::optional<complaint>> batch_insertion::insert_leniently(lenient_way way) {
  const std::vector<std::uint32_t> all = waiting_;
  task<lenient_run> running = run_leniently(way, "SAVEPOINT penstock_rows");
  lenient_run run = co_await std::move(running);
  if (run.failed) co_return run.failed;
  bool left_out = !run.certain && !run.gave_up;
  if (left_out) {
    std::vector<suspect> suspects = std::move(run.suspects);
    std::erase_if(waiting_, [&](std::uint32_t row) { return is_among(suspects, row); });
    task<lenient_run> again = run_leniently(way, "ROLLBACK TO SAVEPOINT penstock_rows");
    run = co_await std::move(again);
    if (run.failed) co_return run.failed;
    run.certain = run.certain && run.suspects.empty();
    run.suspects = std::move(suspects);
  }
  if (run.certain) {
    std::size_t refusals_before = report_->refusals.size();
    task<std::optional<complaint>> inserting = insert_suspects(run.suspects);
    std::optional<complaint> said = co_await std::move(inserting);
    if (said) co_return said;
    bool is_known = left_out || run.suspects.size() < 2 || all_refused(run.suspects);
    if (is_known && !meets_later_row_) {
      report_->method = way == lenient_way::ignoring ? "bulk_ignore" : "load_data";
      waiting_.insert(waiting_.end(), run.left.begin(), run.left.end());
      co_return std::nullopt;
    }
    report_->refusals.resize(refusals_before);
  }
  for (std::uint32_t row : all) report_->rows[row] = {};
  waiting_ = all;
  undo_to_savepoint();
  co_return std::nullopt;
}

task<batch_insertion::lenient_run> batch_insertion::run_leniently(lenient_way way, std::string_view savepoint) {
  return way == lenient_way::ignoring ? insert_ignoring(savepoint) : load(savepoint);
}

task<batch_insertion::lenient_run> batch_insertion::load(std::string_view savepoint) {
  struct offering {
    explicit offering(wire& to, file_source& lines) noexcept : w(to) { w.offer_file(&lines); }
    offering(const offering&) = delete;
    offering& operator=(const offering&) = delete;
    ~offering() { w.offer_file(nullptr); }
    wire& w;
  };
  lenient_run run;
  lines_.open(*rows_, waiting_);
  text_.assign(savepoint).append(";LOAD DATA LOCAL INFILE 'rows' INTO TABLE ").append(quote_identifier(into_->name));
  text_.append(" CHARACTER SET utf8mb4 FIELDS TERMINATED BY '\\t' ESCAPED BY '\\\\' LINES TERMINATED BY '\\n' ");
  text_.append(names_).append(";SELECT LAST_INSERT_ID()");
  wire_->count_round_trip();  // the server asks for the lines first
  bool ran = false;
  {
    offering lines(*wire_, lines_);
    task<bool> loading = send(3);
    ran = co_await std::move(loading);
  }
  if (!ran) {
    complaint said = wire_->complaint_of_session();
    bool other_way = said.code == ER_NOT_ALLOWED_COMMAND || said.code == loading_is_disabled || refuses_row(said);
    if (ahead_has_run_ && other_way)
      run.give_up();
    else
      run.failed = std::move(said);
    co_return run;
  }
  std::optional<std::string> first_id = answers_[2].rows.at(0).at(0);
  std::size_t stored = answers_[1].changed;
  unsigned warnings = answers_[1].warnings;
  if (warnings == 0 && stored == waiting_.size()) {
    take_ids(waiting_, static_cast<std::uint64_t>(number_in(first_id)));
    co_return run;
  }
  task<void> looking = look_for_suspects(run, waiting_, stored, warnings, lenient_way::loading);
  co_await std::move(looking);
  if (!run.certain) co_return run;
  group_ = waiting_;
  std::erase_if(group_, [&](std::uint32_t row) { return is_among(run.suspects, row); });
  task<std::optional<complaint>> reading = read_ids(first_id);
  run.failed = co_await std::move(reading);
  co_return run;
}

// Adds what is known of the rows that one statement has dropped or changed.
task<void> batch_insertion::look_for_suspects(lenient_run& run, std::span<const std::uint32_t> of, std::size_t stored,
                                              unsigned warnings, lenient_way way) {
  task<std::vector<suspect>> finding = find_suspects(run, warnings, of, way);
  std::vector<suspect> suspects = co_await std::move(finding);
  if (suspects.empty()) run.give_up();
  run.certain = run.certain && !run.failed && suspects.size() + stored == of.size() && !has_triggers_ &&
                certain_when_refused(suspects);
  run.suspects.insert(run.suspects.end(), suspects.begin(), suspects.end());
}

bool batch_insertion::is_among(const std::vector<suspect>& suspects, std::uint32_t row) noexcept {
  auto place = std::lower_bound(suspects.begin(), suspects.end(), row,
                                [](const suspect& s, std::uint32_t wanted) { return s.row < wanted; });
  return place != suspects.end() && place->row == row;
}

// Where no trigger has run for a row that was dropped: one such row can't be mistaken. Of several, the server's numbers
// may mean others than they seem to; but a row that the table's CHECK refuses once more, alone, is not one that was
// stored. A server that keeps fewer warnings than it counts repeats the last.
bool batch_insertion::certain_when_refused(const std::vector<suspect>& suspects) noexcept {
  if (suspects.size() == 1) return drops_row(suspects.front().code);
  auto does_not_ascend = [](const suspect& a, const suspect& b) { return a.row >= b.row; };
  return std::adjacent_find(suspects.begin(), suspects.end(), does_not_ascend) == suspects.end() &&
         std::all_of(suspects.begin(), suspects.end(), [](const suspect& s) { return s.code == check_failed; });
}

bool batch_insertion::all_refused(const std::vector<suspect>& suspects) const {
  return std::all_of(suspects.begin(), suspects.end(),
                     [&](const suspect& s) { return report_->rows[s.row].what == row_outcome::status::refused; });
}

// All others are stored. Rows that repeat a key wait, so that keys are looked up; the rest go in one by one, so that
// each is refused for what is wrong with it. The server looks at unique indexes first: where one of these meets a row
// there now, that was a later one, and what is wrong with it is not told.
task<std::optional<complaint>> batch_insertion::insert_suspects(std::vector<suspect> suspects) {
  waiting_.clear();
  group_.clear();
  meets_later_row_ = false;
  wrong_otherwise_.clear();
  for (const suspect& s : suspects)
    if (s.code != ER_DUP_ENTRY) wrong_otherwise_.push_back(s.row);
  const suspect* before = nullptr;
  for (const suspect& s : suspects) {
    bool is_told_again = before != nullptr && before->row == s.row;
    if (!is_told_again) (may_be_there(s.code) ? waiting_ : group_).push_back(s.row);
    before = &s;
  }
  expected_->repeats = !waiting_.empty();
  return insert_one_by_one();
}

// Of the rows of the group, which a LOAD DATA has stored. A row that was dropped for its key has used up an id, and one
// that failed a check has not.
task<std::optional<complaint>> batch_insertion::read_ids(std::optional<std::string> first) {
  if (!tells_ids()) co_return std::nullopt;
  std::string id = quote_identifier(into_->id_column);
  text_ = "SELECT " + id + " FROM " + quote_identifier(into_->name) + " WHERE " + id + " >= " + first.value_or("0") +
          " ORDER BY " + id + " LIMIT " + std::to_string(group_.size());
  task<bool> asking = wire_->run(text_, answers_);
  bool answered = co_await std::move(asking);
  if (!answered) co_return wire_->complaint_of_session();
  take_ids(group_, answers_.front());
  co_return std::nullopt;
}

// Which of the rows of the last statement it gave warnings for, in their order; none when the server does not tell
// (https://mariadb.com/kb/en/get-diagnostics/: ROW_NUMBER, from 10.7 on).
task<std::vector<batch_insertion::suspect>> batch_insertion::find_suspects(lenient_run& run, unsigned warnings,
                                                                           std::span<const std::uint32_t> of,
                                                                           lenient_way way) {
  std::vector<suspect> suspects;
  bool tells = facts_->is_mariadb && facts_->version >= first_to_number_rows;
  if (!tells || warnings == 0 || warnings > most_warnings) co_return suspects;
  text_.clear();
  for (unsigned i = 1; i <= warnings; ++i)
    text_.append("GET DIAGNOSTICS CONDITION ")
        .append(std::to_string(i))
        .append(" @penstock_row = ROW_NUMBER, @penstock_code = MYSQL_ERRNO;SELECT @penstock_row, @penstock_code;");
  text_.append("SET @penstock_row = NULL, @penstock_code = NULL");
  task<bool> asking = wire_->run(text_, answers_);
  bool answered = co_await std::move(asking);
  if (!answered) run.failed = failure_to_tell();
  if (!answered) co_return suspects;
  // A LOAD DATA does not count a row that failed a check.
  std::int64_t uncounted = 0;
  for (const text_result& told : answers_) {
    if (told.rows.empty()) continue;
    auto code = static_cast<unsigned>(number_in(told.rows[0][1]));
    std::int64_t place = number_in(told.rows[0][0]) + uncounted - 1;
    if (place < 0 || static_cast<std::size_t>(place) >= of.size()) co_return std::vector<suspect>();
    suspects.push_back({of[static_cast<std::size_t>(place)], code});
    if (code == check_failed && way == lenient_way::loading) ++uncounted;
  }
  co_return suspects;
}

}  // namespace penstock::db::mariadb

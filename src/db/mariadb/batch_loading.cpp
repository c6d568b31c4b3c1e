#include "batch_insertion.h"
#include "penstock/db/error.h"
#include "wire_text.h"

#include <algorithm>
#include <utility>

#include <mysqld_error.h>

// LOAD DATA LOCAL from memory. It goes on behind an error and leaves a warning: a row of which one row of many is
// dropped, or stored with another value. So nothing that it stored is kept unless it had no warning, or it only dropped
// rows and it is certain which. Otherwise it is undone, and the rows go in again without those that the warnings name;
// what is in doubt after that goes in by INSERT.

namespace penstock::db::mariadb {
namespace {

// Below, one trip more costs what the server saves.
constexpr std::size_t fewest_rows = 256;
// As many as a server keeps (max_error_count).
constexpr unsigned most_warnings = 64;
constexpr unsigned loading_is_disabled = 3948;  // MySQL's; MariaDB says ER_NOT_ALLOWED_COMMAND
constexpr unsigned check_failed = 4025;         // ER_CONSTRAINT_FAILED, which MySQL's header lacks

bool drops_row(unsigned code) noexcept {
  return code == ER_DUP_ENTRY || code == check_failed || code == ER_NO_REFERENCED_ROW_2;
}

}  // namespace

// With Galera a LOAD DATA may be committed in parts, and ids have gaps. MySQL 8.0 refuses good rows of later INSERTs
// once a LOAD DATA has ended with a null in a column that takes none ("Column cannot be null").
bool batch_insertion::should_load(bool bulk_allowed) const {
  return bulk_allowed && facts_->takes_files && !facts_->has_cluster && waiting_.size() >= fewest_rows &&
         !expected_->repeats && (into_->id_column.empty() || facts_->holds_id_lock) &&
         (facts_->is_mariadb || !has_nulls());
}

bool batch_insertion::has_nulls() const {
  return std::any_of(waiting_.begin(), waiting_.end(), [this](std::uint32_t row) {
    std::span<const cell> cells = rows_->row(row);
    return std::any_of(cells.begin(), cells.end(), [](const cell& c) { return c.type == cell::kind::null; });
  });
}

// The rows that still need an outcome are waiting afterwards.
task<std::optional<complaint>> batch_insertion::load() {
  task<bool> loading = run_load("SAVEPOINT penstock_rows;");
  bool ran = co_await std::move(loading);
  if (!ran) {
    complaint said = wire_->complaint_of_session();
    if (!opened_) co_return said;
    if (said.code == ER_NOT_ALLOWED_COMMAND || said.code == loading_is_disabled || refuses_row(said))
      co_return std::nullopt;
    co_return said;
  }
  if (answers_[1].warnings != 0 || answers_[1].changed != waiting_.size()) co_return co_await load_others();
  take_ids(waiting_, static_cast<std::uint64_t>(number_in(answers_[2].rows.at(0).at(0))));
  report_->method = "load_data";
  waiting_.clear();
  co_return std::nullopt;
}

// With an answer for the statement about the savepoint, one for the LOAD DATA, and one for the first id.
task<bool> batch_insertion::run_load(std::string_view savepoint) {
  struct offering {
    explicit offering(wire& to, file_source& lines) noexcept : w(to) { w.offer_file(&lines); }
    offering(const offering&) = delete;
    offering& operator=(const offering&) = delete;
    ~offering() { w.offer_file(nullptr); }
    wire& w;
  };
  lines_.open(*rows_, waiting_);
  text_.assign(savepoint).append("LOAD DATA LOCAL INFILE 'rows' INTO TABLE ").append(quote_identifier(into_->name));
  text_.append(" CHARACTER SET binary FIELDS TERMINATED BY '\\t' ESCAPED BY '\\\\' LINES TERMINATED BY '\\n' ");
  text_.append(names_).append(";SELECT LAST_INSERT_ID()");
  wire_->count_round_trip();  // the server asks for the lines first
  offering lines(*wire_, lines_);
  task<bool> loading = send(3);
  co_return co_await std::move(loading);
}

task<std::optional<complaint>> batch_insertion::load_others() {
  std::size_t dropped = waiting_.size() - std::min<std::size_t>(waiting_.size(), answers_[1].changed);
  std::optional<std::string> first_id = answers_[2].rows.at(0).at(0);
  task<std::vector<suspect>> finding = find_suspects(answers_[1].warnings);
  std::vector<suspect> suspects = co_await std::move(finding);
  if (!wire_->connected()) co_return wire_->complaint_of_session();
  std::vector<std::uint32_t> all = waiting_;
  auto is_suspect = [&](std::uint32_t row) {
    return std::any_of(suspects.begin(), suspects.end(), [&](const suspect& s) { return s.row == row; });
  };
  std::erase_if(waiting_, is_suspect);
  if (!suspects.empty() && suspects.size() == dropped && certain_when_refused(suspects)) {
    std::size_t refusals_before = report_->refusals.size();
    task<std::optional<complaint>> reading = read_ids(first_id);
    std::optional<complaint> said = co_await std::move(reading);
    if (said) co_return said;
    task<std::optional<complaint>> inserting = insert_suspects(suspects);
    said = co_await std::move(inserting);
    if (said || suspects.size() == 1 || all_refused(suspects)) co_return said;
    report_->refusals.resize(refusals_before);
    for (std::uint32_t row : all) report_->rows[row] = {};
    suspects.clear();
  }
  bool worth_it = !suspects.empty() && !waiting_.empty();
  if (worth_it) {
    task<bool> loading = run_load("ROLLBACK TO SAVEPOINT penstock_rows;");
    bool ran = co_await std::move(loading);
    if (!ran) co_return wire_->complaint_of_session();
  }
  if (worth_it && answers_[1].warnings == 0 && answers_[1].changed == waiting_.size()) {
    take_ids(waiting_, static_cast<std::uint64_t>(number_in(answers_[2].rows.at(0).at(0))));
    co_return co_await insert_suspects(std::move(suspects));
  }
  waiting_ = std::move(all);
  text_ = "ROLLBACK TO SAVEPOINT penstock_rows";
  task<bool> undoing = wire_->run(text_, answers_);
  bool undone = co_await std::move(undoing);
  if (!undone) co_return wire_->complaint_of_session();
  co_return std::nullopt;
}

// One row that was dropped can't be mistaken. Of several, the server's numbers may mean others than they seem to; but a
// row that the table's CHECK refuses once more, alone, is not one that was stored.
bool batch_insertion::certain_when_refused(const std::vector<suspect>& suspects) noexcept {
  if (suspects.size() == 1) return drops_row(suspects.front().code);
  return std::all_of(suspects.begin(), suspects.end(), [](const auto& s) { return s.code == check_failed; });
}

bool batch_insertion::all_refused(const std::vector<suspect>& suspects) const {
  return std::all_of(suspects.begin(), suspects.end(),
                     [&](const suspect& s) { return report_->rows[s.row].what == row_outcome::status::refused; });
}

// All others are stored. Rows that repeat a key wait, so that keys are looked up; the rest go in one by one, so that
// each is refused for what is wrong with it, even when a later row with its key was stored.
task<std::optional<complaint>> batch_insertion::insert_suspects(std::vector<suspect> suspects) {
  report_->method = "load_data";
  waiting_.clear();
  group_.clear();
  for (const suspect& s : suspects) {
    std::vector<std::uint32_t>& to = s.code == ER_DUP_ENTRY && !into_->unique_key.empty() ? waiting_ : group_;
    if (to.empty() || to.back() != s.row) to.push_back(s.row);
  }
  expected_->repeats = !waiting_.empty();
  return insert_one_by_one();
}

// A row that was dropped for its key has used up an id, and one that failed a check has not.
task<std::optional<complaint>> batch_insertion::read_ids(std::optional<std::string> first) {
  if (into_->id_column.empty()) co_return std::nullopt;
  std::string id = quote_identifier(into_->id_column);
  text_ = "SELECT " + id + " FROM " + quote_identifier(into_->name) + " WHERE " + id + " >= " + first.value_or("0") +
          " ORDER BY " + id + " LIMIT " + std::to_string(waiting_.size());
  task<bool> asking = wire_->run(text_, answers_);
  bool answered = co_await std::move(asking);
  if (!answered) co_return wire_->complaint_of_session();
  take_ids(waiting_, answers_.front());
  co_return std::nullopt;
}

// In the order of the rows; none when the server does not tell
// (https://mariadb.com/kb/en/get-diagnostics/: ROW_NUMBER, from 10.7 on).
task<std::vector<batch_insertion::suspect>> batch_insertion::find_suspects(unsigned warnings) {
  std::vector<suspect> suspects;
  if (!facts_->is_mariadb || facts_->version < 100700 || warnings == 0 || warnings > most_warnings) co_return suspects;
  text_.clear();
  for (unsigned i = 1; i <= warnings; ++i)
    text_.append("GET DIAGNOSTICS CONDITION ")
        .append(std::to_string(i))
        .append(" @penstock_row = ROW_NUMBER, @penstock_code = MYSQL_ERRNO;SELECT @penstock_row, @penstock_code;");
  text_.append("SET @penstock_row = NULL, @penstock_code = NULL");
  task<bool> asking = wire_->run(text_, answers_);
  bool answered = co_await std::move(asking);
  if (!answered) co_return suspects;
  // The server does not count a row that failed a check.
  std::int64_t uncounted = 0;
  for (const text_result& told : answers_) {
    if (told.rows.empty()) continue;
    auto code = static_cast<unsigned>(number_in(told.rows[0][1]));
    std::int64_t place = number_in(told.rows[0][0]) + uncounted - 1;
    if (place < 0 || static_cast<std::size_t>(place) >= waiting_.size()) co_return std::vector<suspect>();
    suspects.push_back({waiting_[static_cast<std::size_t>(place)], code});
    if (code == check_failed) ++uncounted;
  }
  co_return suspects;
}

}  // namespace penstock::db::mariadb

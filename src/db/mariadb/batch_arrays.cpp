#include "batch_insertion.h"
#include "penstock/async/yield.h"
#include "penstock/db/error.h"
#include "penstock/net/held_end.h"
#include "sql.h"
#include "wire_text.h"

#include <algorithm>
#include <utility>

// Array binding: one prepared statement, executed for many rows in one trip. A row that is refused undoes the whole
// statement; its rows then go in by another way, and so do the next batches until one is without such rows.
//
// The server does not count the rows of such a statement beforehand, so those of another session may get ids among
// theirs. It tells each row's id when asked to, which costs it a tenth of the time. For many rows it is not asked: they
// ascend, from the first, which it tells anyway. When the table has none above the one that the last row has if they
// are without gaps, then they are. Otherwise the rows go in again, and are asked for.

namespace penstock::db::mariadb {
namespace {

// Below, a text costs the server more but a trip less: it opens the transaction too.
constexpr std::size_t fewest_rows = 256;
constexpr std::size_t most_rows = 10'000;
// Below, two trips more cost more than the server saves.
constexpr std::size_t fewest_counted = 2'000;
// Whoever else writes to the table is likely to go on, and rows that go in twice cost as much as ids save in ten times.
constexpr unsigned most_told_after_gaps = 64;
constexpr unsigned longer_each_time = 8;

complaint out_of_step() {
  return {2000, "HY000", "the server did not return an id for each row of a batch; bulk=values does without"};
}

}  // namespace

// MariaDB 10.6 answers an array with nothing that can be read when a trigger has chosen the ids that it is to return.
bool batch_insertion::should_use_arrays(bool bulk_allowed) const {
  return bulk_allowed && facts_->takes_arrays && !may_choose_ids() && !expected_->repeats && !expected_->refusals &&
         waiting_.size() >= fewest_rows;
}

// Galera changes the step between ids whenever a node comes or goes.
bool batch_insertion::should_count_ids() const {
  return tells_ids() && group_.size() >= fewest_counted && expected_->to_be_told == 0 && !facts_->has_cluster &&
         !has_triggers_;
}

// Stores rows from the first that waits on, until one is refused or none is left; those that are left are waiting
// afterwards, and so are rows that are too long for a packet of all of their values.
task<std::optional<complaint>> batch_insertion::insert_arrays() {
  semaphore::permit turn;
  std::vector<std::uint32_t> left;
  while (next_ < waiting_.size()) {
    std::size_t before = next_;
    take_group(most_rows);
    if (!fits_in_text(group_.front())) {  // and so alone
      left.push_back(group_.front());
      continue;
    }
    if (!arrays_.hold(*rows_, group_)) {
      mixed_kinds_ = true;
      next_ = before;
      break;
    }
    bool counts_ids = should_count_ids();
    task<std::optional<complaint>> opening = counts_ids ? open_with_savepoint() : guard();
    std::optional<complaint> said = co_await std::move(opening);
    if (said) co_return said;
    task<std::optional<complaint>> inserting = counts_ids ? insert_array_counted(turn) : insert_array_told(turn);
    said = co_await std::move(inserting);
    if (said && !refuses_row(*said)) co_return said;
    if (said) {
      undo_is_due_ = is_guarded();
      next_ = before;
      break;
    }
  }
  if (next_ > left.size()) report_->method = "bulk";
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(next_));
  waiting_.insert(waiting_.begin(), left.begin(), left.end());
  next_ = 0;
  co_return std::nullopt;
}

// The server tells the rows' ids.
task<std::optional<complaint>> batch_insertion::insert_array_told(semaphore::permit& turn) {
  if (expected_->to_be_told > 0) --expected_->to_be_told;
  std::string sql = insert_with_places();
  if (tells_ids()) sql += " RETURNING " + quote_identifier(into_->id_column);
  task<MYSQL_STMT*> executing = execute_array(std::move(sql), arrays_.binds(), group_.size(), turn);
  MYSQL_STMT* statement = co_await std::move(executing);
  if (statement == nullptr) co_return statements_->refused();
  if (wire_->number() != 0) co_return complaint_of_statement(statement);
  if (!tells_ids()) co_return std::nullopt;
  task<std::optional<complaint>> reading = read_told_ids(statement);
  std::optional<complaint> said = co_await std::move(reading);
  if (said) co_return said;
  if (told_ids_.size() != group_.size()) co_return out_of_step();
  for (std::size_t i = 0; i < group_.size(); ++i) report_->rows[group_[i]].id = told_ids_[i];
  co_return std::nullopt;
}

// Behind a savepoint.
task<std::optional<complaint>> batch_insertion::insert_array_counted(semaphore::permit& turn) {
  task<MYSQL_STMT*> executing = execute_array(insert_with_places(), arrays_.binds(), group_.size(), turn);
  MYSQL_STMT* statement = co_await std::move(executing);
  if (statement == nullptr) co_return statements_->refused();
  if (wire_->number() != 0) co_return complaint_of_statement(statement);
  std::uint64_t first = mysql_stmt_insert_id(statement);
  std::uint64_t last = first + (group_.size() - 1) * facts_->id_step;
  text_ = "SELECT MAX(" + quote_identifier(into_->id_column) + ") FROM " + quote_identifier(into_->name);
  task<bool> asking = wire_->run(text_, answers_, 1);
  bool answered = co_await std::move(asking);
  if (!answered) co_return wire_->complaint_of_session();
  if (first != 0 && static_cast<std::uint64_t>(number_in(answers_.front().rows.at(0).at(0))) == last) {
    take_ids(group_, first);
    expected_->told_after_gaps = std::max(1U, expected_->told_after_gaps - 1);
    co_return std::nullopt;
  }
  expected_->to_be_told = expected_->told_after_gaps;
  expected_->told_after_gaps = std::min(most_told_after_gaps, expected_->told_after_gaps * longer_each_time);
  text_ = "ROLLBACK TO SAVEPOINT penstock_rows";
  task<bool> undoing = wire_->run(text_, answers_, 1);
  bool undone = co_await std::move(undoing);
  if (!undone) co_return wire_->complaint_of_session();
  task<std::optional<complaint>> again = insert_array_told(turn);
  co_return co_await std::move(again);
}

// An odd row is left, and so is one that is alone because of its length.
task<batch_insertion::lenient_run> batch_insertion::insert_ignoring(std::string_view savepoint) {
  lenient_run run;
  text_.assign(savepoint);
  task<bool> opening = send(1);
  bool opened = co_await std::move(opening);
  if (!opened) run.failed = wire_->complaint_of_session();
  semaphore::permit turn;
  for (next_ = 0; next_ < waiting_.size() && !run.failed && !run.gave_up;) {
    take_group(most_rows);
    if (group_.size() == 1) {
      run.left.push_back(group_.front());
      continue;
    }
    if (group_.size() % 2 != 0) {
      group_.pop_back();
      --next_;
    }
    task<void> inserting = insert_pairs(run, turn);
    co_await std::move(inserting);
  }
  next_ = 0;
  co_return run;
}

// Two rows a statement: with a single one the server takes a failed check for an error in spite of IGNORE.
task<void> batch_insertion::insert_pairs(lenient_run& run, semaphore::permit& turn) {
  pair_binds_.clear();
  for (std::size_t which = 0; which < pairs_.size(); ++which) {
    std::vector<std::uint32_t>& half = halves_[which];
    half.clear();
    for (std::size_t i = which; i < group_.size(); i += pairs_.size()) half.push_back(group_[i]);
    if (!pairs_[which].hold(*rows_, half)) {
      mixed_kinds_ = true;
      run.give_up();
      co_return;
    }
    pair_binds_.insert(pair_binds_.end(), pairs_[which].binds(), pairs_[which].binds() + rows_->columns());
  }
  std::string sql = insert_with_places(pairs_.size(), "INSERT IGNORE");
  if (tells_ids()) sql += " RETURNING " + quote_identifier(into_->id_column);
  task<MYSQL_STMT*> executing = execute_array(std::move(sql), pair_binds_.data(), group_.size() / pairs_.size(), turn);
  MYSQL_STMT* statement = co_await std::move(executing);
  std::optional<complaint> said;
  if (statement == nullptr)
    said = statements_->refused();
  else if (wire_->number() != 0)
    said = complaint_of_statement(statement);
  if (!said && tells_ids()) {
    task<std::optional<complaint>> reading = read_told_ids(statement);
    said = co_await std::move(reading);
  }
  if (said) {
    if (refuses_row(*said))
      run.give_up();
    else
      run.failed = std::move(said);
    co_return;
  }
  std::size_t stored = tells_ids() ? told_ids_.size() : mysql_stmt_affected_rows(statement);
  unsigned warnings = mysql_stmt_warning_count(statement);
  std::size_t suspects_before = run.suspects.size();
  if (warnings != 0 || stored != group_.size()) {
    task<void> looking = look_for_suspects(run, group_, stored, warnings, lenient_way::ignoring);
    co_await std::move(looking);
  }
  if (!run.certain || !tells_ids()) co_return;
  std::size_t next_id = 0;
  std::size_t next_suspect = suspects_before;
  for (std::uint32_t row : group_) {
    if (next_suspect < run.suspects.size() && run.suspects[next_suspect].row == row)
      ++next_suspect;
    else
      report_->rows[row].id = told_ids_.at(next_id++);
  }
}

// Gives null when the server does not take the statement; whether it was carried out, the wire tells. The turn is taken
// for the first rows and passed on behind the last.
task<MYSQL_STMT*> batch_insertion::execute_array(std::string sql, MYSQL_BIND* binds, std::size_t executions,
                                                 semaphore::permit& turn) {
  task<MYSQL_STMT*> preparing = statements_->prepare(*wire_, std::move(sql));
  MYSQL_STMT* statement = co_await std::move(preparing);
  if (statement == nullptr) co_return nullptr;
  auto size = static_cast<unsigned>(executions);
  mysql_stmt_attr_set(statement, STMT_ATTR_ARRAY_SIZE, &size);
  mysql_stmt_bind_param(statement, binds);
  wire_->count_round_trip();
  bool takes_turn = next_ == group_.size() && waiting_.size() >= insertion_turns::fewest_rows;
  // When the turn comes, the server should have all of the rows but their end.
  std::optional<net::held_end> end;
  if (takes_turn) end.emplace(wire_->socket());
  if (takes_turn && !end->holds()) {
    task<semaphore::permit> taking = turns_->take(into_->name);
    turn = co_await std::move(taking);
    wire_->throw_if_closed();
  }
  wire_->start<mysql_stmt_execute_start, mysql_stmt_execute_cont>(statement);
  if (takes_turn && end->holds()) {
    task<semaphore::permit> taking = turns_->take(into_->name);
    turn = co_await std::move(taking);
    end.reset();
    wire_->throw_if_closed();
  }
  if (wire_->under_way()) co_await wire_->done();
  // It should have the next batch's rows before this one's ids are known here: its wait for the turn ends, and then the
  // limit on that wait.
  if (next_ == waiting_.size()) {
    turn.release();
    co_await yield();
    co_await yield();
    wire_->throw_if_closed();
  }
  co_return statement;
}

// Those that the server returns, row by row.
task<std::optional<complaint>> batch_insertion::read_told_ids(MYSQL_STMT* statement) {
  told_ids_.clear();
  MYSQL_BIND id{};
  long long number = 0;
  id.buffer_type = MYSQL_TYPE_LONGLONG;
  id.buffer = &number;
  mysql_stmt_bind_result(statement, &id);
  wire_->start<mysql_stmt_store_result_start, mysql_stmt_store_result_cont>(statement);
  if (wire_->under_way()) co_await wire_->done();
  if (wire_->number() != 0) co_return complaint_of_statement(statement);
  while (mysql_stmt_fetch(statement) == 0) told_ids_.push_back(number);
  wire_->start<mysql_stmt_free_result_start, mysql_stmt_free_result_cont>(statement);
  if (wire_->under_way()) co_await wire_->done();
  if (mysql_stmt_more_results(statement) != 0) co_return out_of_step();
  co_return std::nullopt;
}

}  // namespace penstock::db::mariadb

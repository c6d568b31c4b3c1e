#include "batch_insertion.h"
#include "penstock/async/yield.h"
#include "penstock/db/error.h"

#include <algorithm>
#include <utility>

// Array binding: one prepared statement, executed for many rows in one trip. A row that is refused undoes the whole
// statement; its rows then go in by another way, and so do the next batches until one is without such rows.

namespace penstock::db::mariadb {
namespace {

// Below, a text costs the server more but a trip less: it opens the transaction too.
constexpr std::size_t fewest_rows = 256;
constexpr std::size_t most_rows = 10'000;

complaint out_of_step() {
  return {2000, "HY000", "the server did not return an id for each row of a batch; bulk=values does without"};
}

}  // namespace

bool batch_insertion::should_use_arrays(bool bulk_allowed) const {
  return bulk_allowed && facts_->takes_arrays && !expected_->repeats && !expected_->refusals &&
         waiting_.size() >= fewest_rows;
}

// Stores rows from the first that waits on, until one is refused or none is left; those that are left are waiting
// afterwards.
task<std::optional<complaint>> batch_insertion::insert_arrays() {
  semaphore::permit turn;
  while (next_ < waiting_.size()) {
    std::size_t before = next_;
    take_group(most_rows);
    if (!arrays_.hold(*rows_, group_)) {
      next_ = before;
      break;
    }
    if (before == 0 && waiting_.size() >= insertion_turns::fewest_rows) {
      task<semaphore::permit> taking = turns_->take(into_->name);
      turn = co_await std::move(taking);
    }
    task<std::optional<complaint>> inserting = insert_array(turn);
    std::optional<complaint> said = co_await std::move(inserting);
    if (said && !refuses_row(*said)) co_return said;
    if (said) {
      next_ = before;
      break;
    }
  }
  if (next_ > 0) report_->method = "bulk";
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(next_));
  next_ = 0;
  co_return std::nullopt;
}

task<std::optional<complaint>> batch_insertion::insert_array(semaphore::permit& turn) {
  std::string sql = insert_with_places();
  if (!into_->id_column.empty()) sql += " RETURNING " + quote_identifier(into_->id_column);
  task<MYSQL_STMT*> preparing = statements_->prepare(*wire_, std::move(sql));
  MYSQL_STMT* statement = co_await std::move(preparing);
  if (statement == nullptr) co_return statements_->refused();
  auto size = static_cast<unsigned>(group_.size());
  mysql_stmt_attr_set(statement, STMT_ATTR_ARRAY_SIZE, &size);
  mysql_stmt_bind_param(statement, arrays_.binds());
  wire_->count_round_trip();
  wire_->start<mysql_stmt_execute_start, mysql_stmt_execute_cont>(statement);
  if (wire_->under_way()) co_await wire_->done();
  if (wire_->number() != 0) co_return complaint_of_statement(statement);
  // The server is done, and should have the next batch's rows before this one's ids are read here: its wait for the
  // turn ends, and then the limit on that wait.
  if (next_ == waiting_.size()) {
    turn.release();
    co_await yield();
    co_await yield();
  }
  if (into_->id_column.empty()) co_return std::nullopt;
  MYSQL_BIND id{};
  long long number = 0;
  id.buffer_type = MYSQL_TYPE_LONGLONG;
  id.buffer = &number;
  mysql_stmt_bind_result(statement, &id);
  wire_->start<mysql_stmt_store_result_start, mysql_stmt_store_result_cont>(statement);
  if (wire_->under_way()) co_await wire_->done();
  if (wire_->number() != 0) co_return complaint_of_statement(statement);
  std::size_t told = 0;
  for (; mysql_stmt_fetch(statement) == 0; ++told)
    if (told < group_.size()) report_->rows[group_[told]].id = number;
  wire_->start<mysql_stmt_free_result_start, mysql_stmt_free_result_cont>(statement);
  if (wire_->under_way()) co_await wire_->done();
  if (told != group_.size() || mysql_stmt_more_results(statement) != 0) co_return out_of_step();
  co_return std::nullopt;
}

}  // namespace penstock::db::mariadb

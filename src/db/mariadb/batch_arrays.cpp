#include "batch_insertion.h"
#include "penstock/db/error.h"

#include <algorithm>
#include <utility>

// Array binding: one prepared statement, executed for many rows in one trip. A row that is refused undoes the whole
// statement; its rows then go in by INSERT.

namespace penstock::db::mariadb {
namespace {

// Below, texts are as fast, and need no statement to be prepared.
constexpr std::size_t fewest_rows = 256;
constexpr std::size_t most_rows = 1'000;

complaint out_of_step() {
  return {2000, "HY000", "the server did not return an id for each row of a batch; bulk=values does without"};
}

}  // namespace

bool batch_insertion::should_use_arrays(bool bulk_allowed) const {
  unsigned long enough = into_->id_column.empty() ? 100206 : 100500;  // 10.5 returns ids
  return bulk_allowed && facts_->is_mariadb && facts_->version >= enough && !repeats_expected_ &&
         waiting_.size() - next_ >= fewest_rows;
}

// Stores rows from the first that waits on, until one is refused or none is left.
task<std::optional<complaint>> batch_insertion::insert_arrays() {
  while (next_ < waiting_.size()) {
    std::size_t before = next_;
    take_group(most_rows);
    if (!arrays_.hold(*rows_, group_)) {
      next_ = before;
      break;
    }
    task<std::optional<complaint>> inserting = insert_array();
    std::optional<complaint> said = co_await std::move(inserting);
    if (said && !refuses_row(*said)) co_return said;
    if (said) {
      next_ = before;
      break;
    }
  }
  if (next_ == waiting_.size()) report_->method = "bulk";
  co_return std::nullopt;
}

task<std::optional<complaint>> batch_insertion::insert_array() {
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
  if (into_->id_column.empty()) co_return std::nullopt;
  MYSQL_BIND id{};
  long long number = 0;
  id.buffer_type = MYSQL_TYPE_LONGLONG;
  id.buffer = &number;
  mysql_stmt_bind_result(statement, &id);
  std::size_t told = 0;
  while (true) {
    wire_->start<mysql_stmt_fetch_start, mysql_stmt_fetch_cont>(statement);
    if (wire_->under_way()) co_await wire_->done();
    if (wire_->number() == MYSQL_NO_DATA) break;
    if (wire_->number() != 0) co_return complaint_of_statement(statement);
    if (told < group_.size()) report_->rows[group_[told]].id = number;
    ++told;
  }
  wire_->start<mysql_stmt_free_result_start, mysql_stmt_free_result_cont>(statement);
  if (wire_->under_way()) co_await wire_->done();
  if (told != group_.size() || mysql_stmt_more_results(statement) != 0) co_return out_of_step();
  co_return std::nullopt;
}

}  // namespace penstock::db::mariadb

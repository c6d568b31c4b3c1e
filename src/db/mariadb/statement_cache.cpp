#include "statement_cache.h"

#include "penstock/db/error.h"

#include <iterator>
#include <utility>

// A statement whose preparation was cut short stays in its list, not prepared, until it is asked for again; and so does
// one that can't be executed again.

namespace penstock::db::mariadb {
namespace {
// A server takes 16,382 in all (max_prepared_stmt_count), which this leaves to some 250 sessions.
constexpr std::size_t most_statements = 64;
}  // namespace

task<MYSQL_STMT*> statement_cache::prepare(wire& w, std::string sql, std::string_view kinds) {
  w.throw_if_closed();
  const std::size_t size = sql.size();
  std::string key = std::move(sql.append(kinds));
  forget_where_chosen_otherwise(w);
  auto found = by_key_.find(key);
  if (found != by_key_.end() && found->second->prepared) {
    entries_.splice(entries_.begin(), entries_, found->second);
    co_return found->second->statement;
  }
  if (found != by_key_.end()) {
    task<void> dropping = drop(w, found->second);
    co_await std::move(dropping);
  }
  while (entries_.size() >= most_statements) {
    task<void> dropping = drop(w, std::prev(entries_.end()));
    co_await std::move(dropping);
  }
  MYSQL_STMT* statement = mysql_stmt_init(w.handle());
  if (statement == nullptr) throw database_error(db_errc::other, "no memory for a prepared statement");
  entries_.push_front({std::move(key), statement});
  place here = entries_.begin();
  by_key_.emplace(here->key, here);
  w.count_round_trip();
  w.start<mysql_stmt_prepare_start, mysql_stmt_prepare_cont>(statement, here->key.data(), size);
  if (w.under_way()) co_await w.done();
  here->prepared = w.number() == 0;
  if (here->prepared) co_return statement;
  refused_ = complaint_of_statement(statement);
  task<void> dropping = drop(w, here);
  co_await std::move(dropping);
  co_return nullptr;
}

// A statement stays with the database that was chosen when it was prepared; the server tells of each choice.
void statement_cache::forget_where_chosen_otherwise(wire& w) {
  const char* chosen = w.handle()->db == nullptr ? "" : w.handle()->db;
  if (chosen_ == chosen) return;
  for (entry& e : entries_) e.prepared = false;
  chosen_ = chosen;
}

task<void> statement_cache::drop(wire& w, place which) {
  // The call frees the statement whatever comes of it.
  MYSQL_STMT* statement = which->statement;
  by_key_.erase(which->key);
  entries_.erase(which);
  task<void> closing = w.close_statement(statement);
  co_await std::move(closing);
}

void statement_cache::clear() noexcept {
  by_key_.clear();
  for (entry& e : entries_) mysql_stmt_close(e.statement);
  entries_.clear();
}

// What a server says among the rows, the library notes for the session alone.
complaint complaint_of_statement(MYSQL_STMT* statement) {
  if (mysql_stmt_errno(statement) == 0 && statement->mysql != nullptr)
    return {mysql_errno(statement->mysql), mysql_sqlstate(statement->mysql), mysql_error(statement->mysql)};
  return {mysql_stmt_errno(statement), mysql_stmt_sqlstate(statement), mysql_stmt_error(statement)};
}

}  // namespace penstock::db::mariadb

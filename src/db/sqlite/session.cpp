#include "session.h"

#include "../piece.h"
#include "failure.h"
#include "penstock/db/error.h"
#include "sql.h"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <memory>
#include <utility>

#include <sqlite3.h>

namespace penstock::db::sqlite {
namespace {

constexpr std::size_t most_statements = 64;
constexpr std::size_t unbounded = std::numeric_limits<std::size_t>::max();
// Virtual-machine steps between two looks for an interrupt: some ten microseconds.
constexpr int steps_between_looks = 1'000;

database_error not_stored(const table_definition& into) {
  return {db_errc::other, "SQLite, insert into " + into.name +
                              ": a row was accepted but not stored; take away the trigger that drops it"};
}

row_refusal not_bound(const table_column& column, int bound) {
  std::string why = bound == SQLITE_MISMATCH
                        ? "the column is " + std::string(name_of(column.type)) + " and can't keep this value as it is"
                        : sqlite3_errstr(bound);
  return {code_name(db_errc::data), "column '" + column.name + "': " + why};
}

}  // namespace

class session::use {
 public:
  explicit use(sqlite3_stmt* s) noexcept : statement_(s) {}
  use(const use&) = delete;
  use& operator=(const use&) = delete;
  ~use() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }
  sqlite3_stmt* get() const noexcept { return statement_; }

 private:
  sqlite3_stmt* statement_;
};

session::session(location where) : where_(std::move(where)) {
  try {
    open();
  } catch (...) {
    sqlite3_close(handle_);
    throw;
  }
}

session::~session() {
  stop_reading();
  for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(handle_);
}

void session::open() {
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  if (!where_.was_moved->load()) flags |= SQLITE_OPEN_CREATE;
  if (where_.file.starts_with("file:")) flags |= SQLITE_OPEN_URI;
  int opened = sqlite3_open_v2(where_.file.c_str(), &handle_, flags, nullptr);
  bool is_missing = (opened & 0xff) == SQLITE_CANTOPEN && sqlite3_system_errno(handle_) == ENOENT;
  if (is_missing && where_.was_moved->load()) throw_moved(where_.name);
  if (opened != SQLITE_OK) throw_open_failure(handle_, where_.name);
  sqlite3_progress_handler(handle_, steps_between_looks, &look_for_interrupt, this);
}

void session::configure() {
  // WAL survives a crash with FULL at one sync a commit (https://www.sqlite.org/pragma.html#pragma_synchronous).
  for (const char* pragma : {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON",
                             "PRAGMA cache_size=-16384", "PRAGMA temp_store=MEMORY"})
    if (sqlite3_exec(handle_, pragma, nullptr, nullptr, nullptr) != SQLITE_OK) throw_open_failure(handle_, where_.name);
}

int session::look_for_interrupt(void* self) noexcept {
  return static_cast<session*>(self)->interruption_.requested() ? 1 : 0;
}

void session::fail(const std::string& doing) const {
  throw_if_interrupted();  // SQLite calls that an error in the text, when it was still reading it
  // What it has read is out of date, or will be when the lock is free: waiting can't help
  // (https://www.sqlite.org/isolation.html).
  if (was_reading_ && (sqlite3_errcode(handle_) & 0xff) == SQLITE_BUSY)
    throw_serialization_failure(handle_, where_.name, doing);
  throw_failure(handle_, where_.name, doing);
}

void session::throw_if_interrupted() const {
  if (interruption_.requested()) throw database_error(db_errc::interrupted, "interrupted", SQLITE_INTERRUPT);
}

bool session::worth_waiting(const database_error& failure) noexcept {
  return failure.errc() == db_errc::lock_timeout && (failure.server_code() & 0xff) == SQLITE_BUSY;
}

bool session::holds_write_lock() const noexcept { return sqlite3_txn_state(handle_, nullptr) == SQLITE_TXN_WRITE; }

void session::enter(sqlite3_stmt* statement) {
  if (sqlite3_stmt_readonly(statement) != 0) return;
  if (queueing_ && sqlite3_txn_state(handle_, nullptr) == SQLITE_TXN_NONE)
    throw database_error(db_errc::lock_timeout, "others wait for the lock already", SQLITE_BUSY);
  wrote_ = true;
}

session::use session::prepare(const std::string& sql) {
  if (!in_transaction()) throw_if_moved();
  was_reading_ = sqlite3_txn_state(handle_, nullptr) == SQLITE_TXN_READ;
  auto found = statements_.find(sql);
  if (found != statements_.end()) return use(found->second);
  sqlite3_stmt* statement = compile(sql);
  if (statements_.size() >= most_statements) {
    sqlite3_finalize(statements_.begin()->second);
    statements_.erase(statements_.begin());
  }
  statements_.emplace(sql, statement);
  return use(statement);
}

sqlite3_stmt* session::compile(const std::string& sql) {
  sqlite3_stmt* statement = nullptr;
  const char* rest = nullptr;
  if (sqlite3_prepare_v3(handle_, sql.c_str(), static_cast<int>(sql.size() + 1), SQLITE_PREPARE_PERSISTENT, &statement,
                         &rest) != SQLITE_OK)
    fail("prepare");
  if (statement == nullptr) throw database_error(db_errc::syntax, "SQLite: the statement is empty");
  sqlite3_stmt* second = nullptr;
  bool more = sqlite3_prepare_v2(handle_, rest, -1, &second, nullptr) != SQLITE_OK || second != nullptr;
  sqlite3_finalize(second);
  if (!more) return statement;
  sqlite3_finalize(statement);
  throw_if_interrupted();
  throw database_error(db_errc::syntax, "SQLite: one statement at a time, but more follows: " + std::string(rest));
}

void session::bind_values(sqlite3_stmt* statement, const parameters& values) {
  if (static_cast<std::size_t>(sqlite3_bind_parameter_count(statement)) != values.size())
    throw database_error(db_errc::syntax, "the statement has " +
                                              std::to_string(sqlite3_bind_parameter_count(statement)) +
                                              " parameters, but was given " + std::to_string(values.size()));
  texts_.resize(std::max(texts_.size(), values.size()));
  for (std::size_t i = 0; i < values.size(); ++i)
    if (int bound = bind_value(statement, static_cast<int>(i) + 1, values[i], texts_); bound != SQLITE_OK)
      throw database_error(db_errc::data, "parameter " + std::to_string(i + 1) + ": " + sqlite3_errstr(bound), bound);
}

namespace {

// What the last step gave: SQLITE_ROW when so many rows, or bytes, were read and there may be more. A table may have
// changed since the statement was prepared, so its columns are known only once it has been stepped.
int read_rows(sqlite3_stmt* statement, result& into, std::size_t most_rows, std::size_t most_bytes) {
  int step = SQLITE_ROW;
  std::size_t bytes = 0;
  while (into.rows.size() < most_rows && bytes < most_bytes && (step = sqlite3_step(statement)) == SQLITE_ROW) {
    auto& row = into.rows.emplace_back();
    int columns = sqlite3_column_count(statement);
    row.reserve(static_cast<std::size_t>(columns));
    for (int i = 0; i < columns; ++i) row.push_back(column_value(statement, i));
    bytes += bytes_of(row);
  }
  int columns = sqlite3_column_count(statement);
  for (int i = 0; i < columns; ++i) into.columns.emplace_back(sqlite3_column_name(statement, i));
  return step;
}

}  // namespace

result session::query(const std::string& sql, const parameters& values) {
  use statement = prepare(sql);
  enter(statement.get());
  bind_values(statement.get(), values);
  result found;
  if (read_rows(statement.get(), found, unbounded, unbounded) != SQLITE_DONE) fail("query");
  return found;
}

void session::start_reading(const std::string& sql, const parameters& values) {
  stop_reading();
  if (!in_transaction()) throw_if_moved();
  was_reading_ = sqlite3_txn_state(handle_, nullptr) == SQLITE_TXN_READ;
  reading_ = compile(sql);
  enter(reading_);
  bind_values(reading_, values);
}

session::piece session::read_some(std::size_t max_rows) {
  piece some{{}, false};
  int step = read_rows(reading_, some.rows, max_rows, most_piece_bytes);
  if (step != SQLITE_ROW && step != SQLITE_DONE) fail("query");
  some.is_last = step == SQLITE_DONE;
  return some;
}

void session::stop_reading() noexcept {
  sqlite3_finalize(reading_);
  reading_ = nullptr;
}

std::uint64_t session::execute(const std::string& sql, const parameters& values) { return run(sql, values, "execute"); }

std::uint64_t session::run(const std::string& sql, const parameters& values, const char* doing) {
  use statement = prepare(sql);
  enter(statement.get());
  bind_values(statement.get(), values);
  int step = 0;
  while ((step = sqlite3_step(statement.get())) == SQLITE_ROW) {
  }
  if (step != SQLITE_DONE) fail(doing);
  return static_cast<std::uint64_t>(sqlite3_changes64(handle_));
}

// IMMEDIATE takes the write lock at once: a later upgrade could fail with SQLITE_BUSY in the middle.
void session::begin() { run("BEGIN IMMEDIATE", {}, "begin"); }
void session::commit() {
  throw_if_moved();
  run("COMMIT", {}, "commit");
}

void session::rollback() noexcept {
  // Some failures have rolled back already (https://www.sqlite.org/lang_transaction.html).
  if (in_transaction()) sqlite3_exec(handle_, "ROLLBACK", nullptr, nullptr, nullptr);
}

bool session::in_transaction() const noexcept { return sqlite3_get_autocommit(handle_) == 0; }

void session::throw_if_moved() {
  int moved = 0;
  sqlite3_file_control(handle_, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
  if (moved == 0) return;
  moved_ = true;
  where_.was_moved->store(true);
  throw_moved(where_.name);
}

bool session::insert_batch(const table_definition& into, const row_batch& rows, batch_report& report) {
  report.clear();
  begin();
  try {
    insert_rows(into, rows, report);
    return try_commit();
  } catch (...) {
    rollback();
    report.clear();
    throw;
  }
}

bool session::try_commit() {
  try {
    commit();
    return true;
  } catch (const database_error& e) {
    if (!worth_waiting(e) || !in_transaction()) throw;
    return false;
  }
}

void session::insert_rows(const table_definition& into, const row_batch& rows, batch_report& report) {
  report.clear();
  if (rows.columns() != into.columns.size())
    throw database_error(db_errc::data, "insert into " + into.name + ": the batch has " +
                                            std::to_string(rows.columns()) + " columns, but the table's definition " +
                                            std::to_string(into.columns.size()));
  bool apart = needs_rows_apart(into.name);
  use insert = prepare(insert_sql(into));
  enter(insert.get());
  texts_.resize(std::max(texts_.size(), rows.columns()));
  insert_each(insert.get(), into, rows, apart, report);
  report.method = "statement";
}

// A failing INSERT undoes itself alone, not the transaction (conflict resolution ABORT), so rows are tried once each.
void session::insert_each(sqlite3_stmt* insert, const table_definition& into, const row_batch& rows, bool apart,
                          batch_report& report) {
  report.rows.resize(rows.rows());
  for (std::size_t r = 0; r < rows.rows(); ++r) {
    row_outcome& outcome = report.rows[r];
    std::optional<row_refusal> refused =
        apart ? try_row_apart(insert, into, rows.row(r), outcome) : try_row(insert, into, rows.row(r), outcome);
    if (!refused) continue;
    outcome.what = row_outcome::status::refused;
    outcome.refusal = static_cast<std::int32_t>(report.refusals.size());
    report.refusals.push_back(*std::move(refused));
  }
}

std::optional<row_refusal> session::try_row(sqlite3_stmt* insert, const table_definition& into,
                                            std::span<const cell> row, row_outcome& outcome) {
  for (std::size_t i = 0; i < row.size(); ++i)
    if (int bound = bind_cell_to(insert, static_cast<int>(i) + 1, row[i], into.columns[i].type, texts_);
        bound != SQLITE_OK)
      return not_bound(into.columns[i], bound);
  std::optional<row_refusal> refused;
  if (sqlite3_step(insert) == SQLITE_DONE) {
    bool stored = sqlite3_changes(handle_) > 0;
    if (!stored && into.unique_key.empty()) throw not_stored(into);
    outcome.what = stored ? row_outcome::status::stored : row_outcome::status::duplicate;
    if (stored && !into.id_column.empty()) outcome.id = sqlite3_last_insert_rowid(handle_);
  } else {
    refused = refusal_of(into);
  }
  sqlite3_reset(insert);
  if (!in_transaction())
    throw database_error(db_errc::other, "SQLite, insert into " + into.name +
                                             ": a trigger rolled the whole batch back with one row ('" +
                                             refused.value_or(row_refusal()).message + "'); let it RAISE(ABORT)");
  return refused;
}

row_refusal session::refusal_of(const table_definition& into) {
  db_errc errc = classify(sqlite3_extended_errcode(handle_));
  std::string said = sqlite3_errmsg(handle_);
  if (errc == db_errc::syntax) {
    // What a function says of the row's values, unless the table has changed since the statement was prepared.
    throw_if_interrupted();
    sqlite3_finalize(compile(insert_sql(into)));
    errc = db_errc::data;
  }
  if (errc != db_errc::constraint && errc != db_errc::data) fail("insert into " + into.name);
  return {code_name(errc), std::move(said)};
}

std::optional<row_refusal> session::try_row_apart(sqlite3_stmt* insert, const table_definition& into,
                                                  std::span<const cell> row, row_outcome& outcome) {
  bool broken_before = breaks_foreign_keys();
  execute_plain("SAVEPOINT penstock_row");
  std::optional<row_refusal> refused = try_row(insert, into, row, outcome);
  if (!refused && !broken_before && breaks_foreign_keys())
    refused = {code_name(db_errc::constraint), "FOREIGN KEY constraint failed"};
  bool repeats = !refused && outcome.what == row_outcome::status::duplicate;
  if (refused || repeats) execute_plain("ROLLBACK TO penstock_row");
  if (repeats) confirm_duplicate(into, row);  // its trigger's own rows are gone
  execute_plain("RELEASE penstock_row");
  return refused;
}

void session::confirm_duplicate(const table_definition& into, std::span<const cell> row) {
  std::string sql;
  std::vector<std::size_t> key;
  for (std::size_t i = 0; i < into.columns.size(); ++i) {
    const std::string& name = into.columns[i].name;
    if (std::find(into.unique_key.begin(), into.unique_key.end(), name) == into.unique_key.end()) continue;
    sql += (key.empty() ? "SELECT 1 FROM " + quote_identifier(into.name) + " WHERE " : " AND ") +
           quote_identifier(name) + " = ?";
    key.push_back(i);
  }
  std::unique_ptr<sqlite3_stmt, decltype(&sqlite3_finalize)> looking(compile(sql), &sqlite3_finalize);
  for (std::size_t i = 0; i < key.size(); ++i)
    bind_cell_to(looking.get(), static_cast<int>(i) + 1, row[key[i]], into.columns[key[i]].type, texts_);
  if (sqlite3_step(looking.get()) != SQLITE_ROW) throw not_stored(into);
}

// What a trigger did stays behind its RAISE(FAIL) and before a row that is there already, and a deferred foreign key is
// looked at by the COMMIT only, which fails for the neighbours too.
bool session::needs_rows_apart(const std::string& table) {
  static const std::string sql =
      "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE) OR "
      "EXISTS (SELECT 1 FROM pragma_foreign_key_list(?1))";
  return std::get<std::int64_t>(query(sql, {table}).rows.at(0).at(0)) != 0;
}

bool session::breaks_foreign_keys() const noexcept {
  int unresolved = 0;
  int highest = 0;
  sqlite3_db_status(handle_, SQLITE_DBSTATUS_DEFERRED_FKS, &unresolved, &highest, 0);
  return unresolved != 0;
}

// Past the cache of statements, which could drop the one under way.
void session::execute_plain(const char* sql) {
  if (sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) fail(sql);
}

}  // namespace penstock::db::sqlite

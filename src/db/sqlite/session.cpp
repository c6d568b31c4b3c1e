#include "session.h"

#include "../definition_faults.h"
#include "../piece.h"
#include "failure.h"
#include "penstock/db/error.h"
#include "sql.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <limits>
#include <memory>
#include <utility>

#include <sqlite3.h>

namespace penstock::db::sqlite {
namespace {

constexpr std::size_t most_statements = 128;
constexpr std::size_t unbounded = std::numeric_limits<std::size_t>::max();
// Virtual-machine steps between two looks for an interrupt: some ten microseconds.
constexpr int steps_between_looks = 1'000;

}  // namespace

session::use::~use() {
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

session::session(location where) : where_(std::move(where)) {
  try {
    open();
  } catch (...) {
    sqlite3_close(handle_);
    throw;
  }
}

session::~session() {
  if (file_) file_->leave(*this);
  sqlite3_close(let_go().handle);
}

void session::open() {
  // Asked beforehand: where SQLite can't open a file for writing it tries to read it only, and another process may be
  // making it just then.
  std::error_code ignored;
  bool is_there = !in_memory() && std::filesystem::exists(where_.file, ignored);
  if (!is_there && !in_memory()) shared_file::at(shared_file::resolve(where_.file))->check_absence(where_.name);
  int opened = open_handle(is_there ? 0 : SQLITE_OPEN_CREATE);
  if (is_there && (opened & 0xff) == SQLITE_CANTOPEN && sqlite3_system_errno(handle_) == ENOENT)
    throw_moved(where_.name);
  if (opened != SQLITE_OK) throw_open_failure(handle_, where_.name);
  sqlite3_progress_handler(handle_, steps_between_looks, &look_for_interrupt, this);
  interruption_.attach(handle_);
  const char* path = sqlite3_db_filename(handle_, "main");
  if (in_memory() || path == nullptr || *path == '\0') return;
  file_ = shared_file::at(path);
  {
    std::lock_guard lock(where_.kept->mutex);
    where_.kept->file = file_;
  }
  file_->enter(*this, handle_, where_.name);  // the last thing: from now on others may close the handle
}

int session::open_handle(int flags) {
  sqlite3_close(std::exchange(handle_, nullptr));
  flags |= SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  if (in_memory()) flags |= SQLITE_OPEN_URI;
  return sqlite3_open_v2(where_.file.c_str(), &handle_, flags, nullptr);
}

bool session::in_memory() const noexcept { return where_.name == ":memory:"; }

void session::configure() {
  throw_if_moved();
  // WAL survives a crash with FULL at one sync a commit (https://www.sqlite.org/pragma.html#pragma_synchronous). The
  // last one reads, so that the session has FILE-wal open, should its path lead elsewhere later.
  // A reader that takes long makes FILE-wal long: it is cut once that is over.
  for (const char* pragma :
       {"PRAGMA journal_mode=WAL", "PRAGMA journal_size_limit=67108864", "PRAGMA synchronous=FULL",
        "PRAGMA foreign_keys=ON", "PRAGMA cache_size=-16384", "PRAGMA temp_store=MEMORY", "PRAGMA schema_version"})
    if (sqlite3_exec(handle_, pragma, nullptr, nullptr, nullptr) != SQLITE_OK) {
      throw_if_interrupted();
      throw_open_failure(handle_, where_.name);
    }
  has_read_ = true;
  choose_double_quotes();
}

session::released session::let_go() noexcept {
  std::lock_guard turn(in_use_);
  if (handle_ == nullptr) return {nullptr, has_read_};
  sqlite3_progress_handler(handle_, 0, nullptr, nullptr);
  end_reading();
  for (auto& [sql, known] : statements_) sqlite3_finalize(known.statement);
  statements_.clear();
  rollback();
  interruption_.attach(nullptr);
  return {std::exchange(handle_, nullptr), has_read_};
}

int session::look_for_interrupt(void* self) noexcept {
  auto* s = static_cast<session*>(self);
  return s->interruption_.requested() || s->is_retired() ? 1 : 0;
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
  if (is_retired()) throw_moved(where_.name);
}

bool session::worth_waiting(const database_error& failure) noexcept {
  return failure.errc() == db_errc::lock_timeout && (failure.server_code() & 0xff) == SQLITE_BUSY;
}

bool session::holds_write_lock() const noexcept {
  std::lock_guard turn(in_use_);
  return writing();
}

bool session::writing() const noexcept {
  return handle_ != nullptr && sqlite3_txn_state(handle_, nullptr) == SQLITE_TXN_WRITE;
}

bool session::take_released() noexcept {
  std::lock_guard turn(in_use_);
  return !writing() && !transacting() && std::exchange(wrote_, false);
}

void session::enter(sqlite3_stmt* statement) {
  if (sqlite3_stmt_readonly(statement) != 0) return;
  if (queueing_ && sqlite3_txn_state(handle_, nullptr) == SQLITE_TXN_NONE)
    throw database_error(db_errc::lock_timeout, "others wait for the lock already", SQLITE_BUSY);
  wrote_ = true;
}

void session::note_loss(const database_error& cause) {
  db_errc errc = cause.errc() == db_errc::interrupted ? db_errc::other : cause.errc();
  lost_.emplace(errc, "the transaction was rolled back: " + cause.message());
}

void session::require_whole_transaction() const {
  if (lost_) throw *lost_;
}

session::use session::prepare(const std::string& sql) {
  require_whole_transaction();
  if (!transacting()) throw_if_moved();
  was_reading_ = sqlite3_txn_state(handle_, nullptr) == SQLITE_TXN_READ;
  auto found = statements_.find(sql);
  if (found != statements_.end()) {
    found->second.last_use = ++uses_;
    return use(found->second.statement);
  }
  sqlite3_stmt* statement = compile(sql);
  if (statements_.size() >= most_statements) forget_oldest_statement();
  statements_.emplace(sql, cached_statement{statement, ++uses_});
  return use(statement);
}

void session::forget_oldest_statement() noexcept {
  auto oldest = std::min_element(statements_.begin(), statements_.end(),
                                 [](const auto& a, const auto& b) { return a.second.last_use < b.second.last_use; });
  sqlite3_finalize(oldest->second.statement);
  statements_.erase(oldest);
}

namespace {

// Whether there is more than blanks, comments and semicolons. SQLite itself is not asked, since it carries out a PRAGMA
// while it compiles it.
bool has_statement(std::string_view sql) noexcept {
  while (!sql.empty()) {
    std::size_t end = 0;
    if (sql.starts_with("--"))
      end = sql.find('\n');
    else if (sql.starts_with("/*"))
      end = sql.find("*/", 2);
    else if (std::string_view(" \t\n\f\r;").find(sql.front()) == sql.npos)
      return true;
    if (end == sql.npos) return false;
    sql.remove_prefix(sql.starts_with("/*") ? end + 2 : end + 1);
  }
  return false;
}

}  // namespace

sqlite3_stmt* session::compile(const std::string& sql) {
  // SQLite would take it for the end.
  if (sql.find('\0') != std::string::npos) throw database_error(db_errc::syntax, "the statement has a zero byte");
  sqlite3_stmt* statement = nullptr;
  const char* rest = nullptr;
  if (sqlite3_prepare_v3(handle_, sql.c_str(), static_cast<int>(sql.size() + 1), SQLITE_PREPARE_PERSISTENT, &statement,
                         &rest) != SQLITE_OK)
    fail("prepare");
  if (statement == nullptr) throw database_error(db_errc::syntax, "SQLite: the statement is empty");
  if (!has_statement(rest)) return statement;
  sqlite3_finalize(statement);
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
  end_reading();
  require_whole_transaction();
  if (!transacting()) throw_if_moved();
  was_reading_ = sqlite3_txn_state(handle_, nullptr) == SQLITE_TXN_READ;
  reading_ = compile(sql);
  enter(reading_);
  bind_values(reading_, values);
}

session::piece session::read_some(std::size_t max_rows) {
  if (reading_ == nullptr) throw_moved(where_.name);  // closed between two pieces
  piece some{{}, false};
  int step = read_rows(reading_, some.rows, max_rows, most_piece_bytes);
  if (step != SQLITE_ROW && step != SQLITE_DONE) fail("query");
  some.is_last = step == SQLITE_DONE;
  return some;
}

void session::stop_reading() noexcept {
  std::lock_guard turn(in_use_);
  end_reading();
}

void session::end_reading() noexcept {
  sqlite3_finalize(reading_);
  reading_ = nullptr;
}

std::uint64_t session::execute(const std::string& sql, const parameters& values) { return run(sql, values, "execute"); }

std::uint64_t session::run(const std::string& sql, const parameters& values, const char* doing) {
  use statement = prepare(sql);
  enter(statement.get());
  bind_values(statement.get(), values);
  sqlite3_int64 before = sqlite3_total_changes64(handle_);
  int step = 0;
  while ((step = sqlite3_step(statement.get())) == SQLITE_ROW) {
  }
  if (step != SQLITE_DONE) fail(doing);
  // What changes no rows leaves the count of the statement before it (https://www.sqlite.org/c3ref/changes.html).
  bool changed = sqlite3_total_changes64(handle_) != before;
  return changed ? static_cast<std::uint64_t>(sqlite3_changes64(handle_)) : 0;
}

// A file that may only be read is opened all the same (https://www.sqlite.org/c3ref/open.html).
void session::require_writable() const {
  if (handle_ != nullptr && sqlite3_db_readonly(handle_, "main") == 1) throw_unwritable(where_.name);
}

// IMMEDIATE takes the write lock at once: a later upgrade could fail with SQLITE_BUSY in the middle.
void session::begin() { run("BEGIN IMMEDIATE", {}, "begin"); }
void session::commit() {
  committing_ = true;
  throw_if_moved();
  require_whole_transaction();
  if (!transacting()) throw database_error(db_errc::other, "no transaction is open: begin one first");
  try {
    run("COMMIT", {}, "commit");
  } catch (const database_error& e) {
    if ((e.server_code() & 0xff) == SQLITE_IOERR) throw_left_to_recovery(e);
    throw;
  }
}

void session::rollback() noexcept {
  // Some failures have rolled back already (https://www.sqlite.org/lang_transaction.html).
  if (transacting()) sqlite3_exec(handle_, "ROLLBACK", nullptr, nullptr, nullptr);
  lost_.reset();
}

void session::lose_transaction() {
  rollback();
  note_loss(database_error(db_errc::other, "a statement of it was cancelled"));
}

bool session::in_transaction() const noexcept {
  std::lock_guard turn(in_use_);
  return transacting() || lost_;
}

bool session::transacting() const noexcept { return handle_ != nullptr && sqlite3_get_autocommit(handle_) == 0; }

bool session::moved() const noexcept {
  std::lock_guard turn(in_use_);
  return handle_ == nullptr || is_retired();
}

bool session::file_has_moved() const noexcept {
  std::lock_guard turn(in_use_);
  return shared_file::has_moved(handle_);
}

bool session::is_retired() const noexcept { return file_ && file_->moved(); }

void session::throw_if_moved() {
  if (handle_ != nullptr && !is_retired() && !shared_file::has_moved(handle_)) return;
  if (handle_ != nullptr && file_) file_->note_moved();
  throw_moved(where_.name);
}

bool session::insert_batch(const table_definition& into, const row_batch& rows, batch_report& report) {
  report.clear();
  begin();
  try {
    insert_rows(into, rows, report);
    interruption_.disarm();  // what it would end is stored, or nearly so
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
    if (!worth_waiting(e) || !transacting()) throw;
    return false;
  }
}

void session::insert_rows(const table_definition& into, const row_batch& rows, batch_report& report) {
  require_whole_transaction();
  report.clear();
  require_width(into, rows);
  report.rows.resize(rows.rows());
  require_fit(into);
  if (way_in way = way_into(into.name); way == way_in::grouped)
    insert_grouped(into, rows, report);
  else
    insert_each(into, rows, 0, rows.rows(), way, report);
  report.method = "statement";
}

}  // namespace penstock::db::sqlite

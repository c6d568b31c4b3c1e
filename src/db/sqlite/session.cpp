#include "session.h"

#include "penstock/db/error.h"
#include "sql.h"

#include <array>
#include <utility>

#include <sqlite3.h>

namespace penstock::db::sqlite {
namespace {

constexpr std::size_t most_statements = 64;
constexpr int busy_timeout_ms = 5'000;

db_errc classify(int extended) {
  switch (extended & 0xff) {
    case SQLITE_CONSTRAINT:
      return (extended == SQLITE_CONSTRAINT_DATATYPE) ? db_errc::data : db_errc::constraint;
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
      return db_errc::data;
    case SQLITE_BUSY:
      return extended == SQLITE_BUSY_SNAPSHOT ? db_errc::serialization : db_errc::lock_timeout;
    case SQLITE_LOCKED:
      return db_errc::lock_timeout;
    case SQLITE_READONLY:
      return db_errc::read_only;
    case SQLITE_FULL:
      return db_errc::full;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return db_errc::corrupt;
    case SQLITE_INTERRUPT:
      return db_errc::interrupted;
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return db_errc::auth;
    case SQLITE_ERROR:
      return db_errc::syntax;
    default:
      return db_errc::other;
  }
}

// SQLite takes a null pointer for NULL; an empty text still has a place.
const char* not_null(const char* data) { return data == nullptr ? "" : data; }

void bind_text(sqlite3_stmt* statement, int index, std::string_view text) {
  sqlite3_bind_text64(statement, index, not_null(text.data()), text.size(), SQLITE_STATIC, SQLITE_UTF8);
}

void bind_timestamp(sqlite3_stmt* statement, int index, timestamp t) {
  std::string text = format_timestamp(t);
  sqlite3_bind_text64(statement, index, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
}

void bind_cell(sqlite3_stmt* statement, int index, const cell& c) {
  switch (c.type) {
    case cell::kind::null:
      sqlite3_bind_null(statement, index);
      break;
    case cell::kind::boolean:
    case cell::kind::integer:
      sqlite3_bind_int64(statement, index, c.integer);
      break;
    case cell::kind::real:
      sqlite3_bind_double(statement, index, c.real);
      break;
    case cell::kind::text:
      bind_text(statement, index, c.text());
      break;
    case cell::kind::timestamp:
      bind_timestamp(statement, index, timestamp(std::chrono::microseconds(c.integer)));
      break;
    case cell::kind::blob:
      sqlite3_bind_blob64(statement, index, not_null(c.data), c.size, SQLITE_STATIC);
      break;
  }
}

value column_value(sqlite3_stmt* statement, int index) {
  switch (sqlite3_column_type(statement, index)) {
    case SQLITE_NULL:
      return std::monostate();
    case SQLITE_INTEGER:
      return static_cast<std::int64_t>(sqlite3_column_int64(statement, index));
    case SQLITE_FLOAT:
      return sqlite3_column_double(statement, index);
    case SQLITE_BLOB: {
      auto* data = static_cast<const std::byte*>(sqlite3_column_blob(statement, index));
      return blob{{data, data + sqlite3_column_bytes(statement, index)}};
    }
    default: {
      auto* data = reinterpret_cast<const char*>(sqlite3_column_text(statement, index));
      return std::string(data, static_cast<std::size_t>(sqlite3_column_bytes(statement, index)));
    }
  }
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

session::session(const std::string& path) : path_(path) {
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  if (path.starts_with("file:")) flags |= SQLITE_OPEN_URI;
  try {
    if (sqlite3_open_v2(path.c_str(), &handle_, flags, nullptr) != SQLITE_OK) fail("open");
    sqlite3_busy_timeout(handle_, busy_timeout_ms);
    // WAL survives a crash with FULL at one sync a commit (https://www.sqlite.org/pragma.html#pragma_synchronous).
    for (const char* pragma : {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON",
                               "PRAGMA cache_size=-16384", "PRAGMA temp_store=MEMORY"})
      if (sqlite3_exec(handle_, pragma, nullptr, nullptr, nullptr) != SQLITE_OK) fail("open");
  } catch (...) {
    sqlite3_close(handle_);
    throw;
  }
}

session::~session() {
  for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(handle_);
}

void session::fail(const std::string& doing) const {
  int code = handle_ == nullptr ? SQLITE_NOMEM : sqlite3_extended_errcode(handle_);
  std::string said = handle_ == nullptr ? "out of memory" : sqlite3_errmsg(handle_);
  throw database_error(classify(code), "SQLite '" + path_ + "', " + doing + ": " + said, code);
}

session::use session::prepare(const std::string& sql) {
  auto found = statements_.find(sql);
  if (found != statements_.end()) return use(found->second);
  sqlite3_stmt* statement = nullptr;
  const char* rest = nullptr;
  if (sqlite3_prepare_v3(handle_, sql.c_str(), static_cast<int>(sql.size() + 1), SQLITE_PREPARE_PERSISTENT, &statement,
                         &rest) != SQLITE_OK)
    fail("prepare");
  if (statement == nullptr) throw database_error(db_errc::syntax, "SQLite: the statement is empty");
  if (statements_.size() >= most_statements) {
    sqlite3_finalize(statements_.begin()->second);
    statements_.erase(statements_.begin());
  }
  statements_.emplace(sql, statement);
  return use(statement);
}

void session::bind_values(sqlite3_stmt* statement, const parameters& values) {
  if (static_cast<std::size_t>(sqlite3_bind_parameter_count(statement)) != values.size())
    throw database_error(db_errc::syntax, "the statement has " +
                                              std::to_string(sqlite3_bind_parameter_count(statement)) +
                                              " parameters, but was given " + std::to_string(values.size()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    int index = static_cast<int>(i) + 1;
    std::visit(
        [&](const auto& v) {
          using T = std::decay_t<decltype(v)>;
          if constexpr (std::is_same_v<T, std::monostate>)
            sqlite3_bind_null(statement, index);
          else if constexpr (std::is_same_v<T, std::string>)
            bind_text(statement, index, v);
          else if constexpr (std::is_same_v<T, double>)
            sqlite3_bind_double(statement, index, v);
          else if constexpr (std::is_same_v<T, timestamp>)
            bind_timestamp(statement, index, v);
          else if constexpr (std::is_same_v<T, blob>)
            sqlite3_bind_blob64(statement, index, v.bytes.empty() ? "" : static_cast<const void*>(v.bytes.data()),
                                v.bytes.size(), SQLITE_STATIC);
          else
            sqlite3_bind_int64(statement, index, static_cast<std::int64_t>(v));
        },
        values[i]);
  }
}

result session::query(const std::string& sql, const parameters& values) {
  use statement = prepare(sql);
  bind_values(statement.get(), values);
  result found;
  int columns = sqlite3_column_count(statement.get());
  for (int i = 0; i < columns; ++i) found.columns.emplace_back(sqlite3_column_name(statement.get(), i));
  int step = 0;
  while ((step = sqlite3_step(statement.get())) == SQLITE_ROW) {
    auto& row = found.rows.emplace_back();
    for (int i = 0; i < columns; ++i) row.push_back(column_value(statement.get(), i));
  }
  if (step != SQLITE_DONE) fail("query");
  return found;
}

std::uint64_t session::execute(const std::string& sql, const parameters& values) {
  use statement = prepare(sql);
  bind_values(statement.get(), values);
  int step = 0;
  while ((step = sqlite3_step(statement.get())) == SQLITE_ROW) {
  }
  if (step != SQLITE_DONE) fail("execute");
  return static_cast<std::uint64_t>(sqlite3_changes64(handle_));
}

// IMMEDIATE takes the write lock at once: a later upgrade could fail with SQLITE_BUSY in the middle.
void session::begin() { execute("BEGIN IMMEDIATE", {}); }
void session::commit() { execute("COMMIT", {}); }

void session::rollback() noexcept {
  // Some failures have rolled back already (https://www.sqlite.org/lang_transaction.html).
  if (sqlite3_get_autocommit(handle_) == 0) sqlite3_exec(handle_, "ROLLBACK", nullptr, nullptr, nullptr);
}

void session::insert_batch(const table_definition& into, const row_batch& rows, batch_report& report) {
  report.clear();
  begin();
  try {
    use insert = prepare(insert_sql(into));
    insert_rows(insert.get(), into, rows, report);
    commit();
  } catch (...) {
    rollback();
    report.clear();
    throw;
  }
}

// A failing INSERT undoes itself alone, not the transaction (conflict resolution ABORT), so rows are tried once each.
void session::insert_rows(sqlite3_stmt* insert, const table_definition& into, const row_batch& rows,
                          batch_report& report) {
  report.rows.resize(rows.rows());
  for (std::size_t r = 0; r < rows.rows(); ++r) {
    int index = 0;
    for (const cell& c : rows.row(r)) bind_cell(insert, ++index, c);
    row_outcome& outcome = report.rows[r];
    int step = sqlite3_step(insert);
    if (step == SQLITE_DONE) {
      bool stored = into.unique_key.empty() || sqlite3_changes(handle_) > 0;
      outcome.what = stored ? row_outcome::status::stored : row_outcome::status::duplicate;
      if (stored && !into.id_column.empty()) outcome.id = sqlite3_last_insert_rowid(handle_);
    } else {
      db_errc errc = classify(sqlite3_extended_errcode(handle_));
      if (errc != db_errc::constraint && errc != db_errc::data) fail("insert into " + into.name);
      outcome.what = row_outcome::status::refused;
      outcome.refusal = static_cast<std::int32_t>(report.refusals.size());
      report.refusals.push_back({code_name(errc), sqlite3_errmsg(handle_)});
    }
    sqlite3_reset(insert);
  }
}

void session::prepare_table(const table_definition& definition) {
  execute(create_table_sql(definition), {});
  result columns = query("SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info(?)", {definition.name});
  std::vector<existing_column> existing;
  for (auto& row : columns.rows) {
    bool has_default = !std::holds_alternative<std::monostate>(row[3]);
    bool primary = std::get<std::int64_t>(row[4]) != 0;
    existing.push_back({std::get<std::string>(row[0]), std::get<std::string>(row[1]),
                        std::get<std::int64_t>(row[2]) != 0 && !has_default && !primary});
  }
  result indexes = query(
      "SELECT l.seq, i.name FROM pragma_index_list(?) AS l JOIN pragma_index_info(l.name) AS i WHERE l.\"unique\" "
      "ORDER BY l.seq, i.seqno",
      {definition.name});
  std::vector<std::vector<std::string>> keys;
  std::int64_t last = -1;
  for (auto& row : indexes.rows) {
    if (std::get<std::int64_t>(row[0]) != last) keys.emplace_back();
    last = std::get<std::int64_t>(row[0]);
    keys.back().push_back(std::get<std::string>(row[1]));
  }
  std::vector<std::string> differences = table_differences(definition, existing, keys);
  if (differences.empty()) return;
  std::string list;
  for (const std::string& difference : differences) list += (list.empty() ? "" : "; ") + difference;
  throw database_error(db_errc::table_drift, "table '" + definition.name + "' exists but does not fit: " + list);
}

void session::reset() { rollback(); }

bool session::in_transaction() const noexcept { return sqlite3_get_autocommit(handle_) == 0; }

void session::interrupt() noexcept { sqlite3_interrupt(handle_); }

}  // namespace penstock::db::sqlite

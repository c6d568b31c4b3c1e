#pragma once

// The blocking half of the SQLite driver: one sqlite3 handle, used by one thread at a time. Invariants: outside a
// call no transaction of ours is open unless the caller opened it with BEGIN; cached statements are reset.

#include "penstock/db/connection.h"

#include <atomic>
#include <string>
#include <unordered_map>

struct sqlite3;
struct sqlite3_stmt;

namespace penstock::db::sqlite {

class session {
 public:
  explicit session(const std::string& path);
  session(const session&) = delete;
  session& operator=(const session&) = delete;
  ~session();

  result query(const std::string& sql, const parameters& values);
  std::uint64_t execute(const std::string& sql, const parameters& values);
  void insert_batch(const table_definition& into, const row_batch& rows, batch_report& report);
  void prepare_table(const table_definition& definition);
  void begin();
  void commit();
  void reset();
  // From the thread that owns the session, when no call is under way.
  bool in_transaction() const noexcept;
  // From any thread: ends the statement that runs now.
  void interrupt() noexcept;

 private:
  // Resets its statement when it goes, so that no read transaction is left open.
  class use;

  use prepare(const std::string& sql);
  [[noreturn]] void fail(const std::string& doing) const;
  void rollback() noexcept;
  void insert_rows(sqlite3_stmt* insert, const table_definition& into, const row_batch& rows, batch_report& report);
  void bind_values(sqlite3_stmt* statement, const parameters& values);

  sqlite3* handle_ = nullptr;
  std::string path_;
  std::unordered_map<std::string, sqlite3_stmt*> statements_;
};

}  // namespace penstock::db::sqlite

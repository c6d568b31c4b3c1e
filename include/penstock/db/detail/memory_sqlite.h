#pragma once

// SQLite in memory, without a loop: every call is done when it returns, on the calling thread. What a simulated server
// executes its SQL with; anything else uses `database("sqlite::memory:")`.

#include "penstock/db/connection.h"

#include <cstdint>
#include <memory>
#include <string>

namespace penstock::db::detail {

// A session. One that meets another's transaction throws `db_errc::lock_timeout` at once and has changed nothing.
class memory_session {
 public:
  explicit memory_session(const std::string& file);
  memory_session(const memory_session&) = delete;
  memory_session& operator=(const memory_session&) = delete;
  ~memory_session();

  result query(const std::string& sql, const parameters& values);
  std::uint64_t execute(const std::string& sql, const parameters& values);
  void insert_rows(const table_definition& into, const row_batch& rows, batch_report& report);
  void prepare_table(const table_definition& definition);
  void begin();
  void commit();
  void rollback() noexcept;
  bool in_transaction() const noexcept;

 private:
  struct implementation;
  std::unique_ptr<implementation> implementation_;
};

// A database; gone with this and its last session.
class memory_database {
 public:
  memory_database();
  std::unique_ptr<memory_session> open() const { return std::make_unique<memory_session>(file_); }

 private:
  std::string file_;
  std::unique_ptr<memory_session> anchor_;  // SQLite drops a database in memory with its last session
};

}  // namespace penstock::db::detail

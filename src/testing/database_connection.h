#pragma once

// The client's side of a simulated database's session: what a pool is lent.

#include "database_server.h"
#include "penstock/db/connection.h"
#include "penstock/db/error.h"
#include "penstock/testing/ledger.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>

namespace penstock::testing {

class database_connection final : public db::connection {
 public:
  database_connection(std::shared_ptr<database_server> home, std::unique_ptr<server_session> session);
  ~database_connection() override { close(); }

  task<db::result> query(std::string sql, db::parameters values) override;
  task<std::uint64_t> query_each(std::string sql, db::parameters values, db::row_consumer take,
                                 std::size_t max_rows) override;
  task<std::uint64_t> execute(std::string sql, db::parameters values) override;
  task<void> insert_rows(const db::table_definition& into, const db::row_batch& rows,
                         db::batch_report& report) override;
  task<void> begin_batch(db::opening_statement& first, const db::table_definition& into, const db::row_batch& rows,
                         db::batch_report& report) override;
  task<void> begin() override;
  task<void> commit() override;
  task<void> rollback() override;
  task<void> prepare_table(const db::table_definition& definition) override;
  task<void> reset() override;
  task<void> ping() override;
  db::session_state state() const noexcept override;
  void close() noexcept override;
  void opened_at(const std::source_location& where) override;

 private:
  class operation;

  template <class Work>
  task<void> run(std::string_view what, std::string_view sql, Work& work, bool ends_transaction = false);
  task<void> undo(std::string_view what);
  void insert_now(const db::table_definition& into, const db::row_batch& rows, db::batch_report& report);
  // Waits for the server; throws when the session is gone by then.
  task<void> travel(duration time);
  task<void> wait_in_vain();
  void refuse(const fate& f, bool opens_transaction);
  void require_whole_transaction() const;
  void throw_if_gone();
  [[noreturn]] void lose(bool commits_later = false);

  std::shared_ptr<database_server> home_;
  std::unique_ptr<server_session> session_;  // null once lost or closed
  std::optional<ledger_entry> open_;
  bool busy_ = false;
  bool committing_ = false;
  bool cut_short_ = false;                    // an operation was cancelled: only a rollback or a reset makes it clean
  std::optional<db::database_error> undone_;  // why the transaction was rolled back, until somebody ends it
};

}  // namespace penstock::testing

#pragma once

// A session with PostgreSQL. Invariants: one operation at a time; BEGIN is put off until the first statement of its
// transaction, and travels with that; an operation that was cut short leaves the session dirty, and it serves nothing
// but `rollback` and `reset` then, which take in what is still to come; after a reset that was, or failed, it is dirty
// until the next one has ended.

#include "examination.h"
#include "insert_plan.h"
#include "penstock/db/connection.h"
#include "penstock/db/error.h"
#include "repeated_keys.h"
#include "server_context.h"
#include "statement_cache.h"
#include "wire.h"

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace penstock::db::postgres {

// The table's version, which every change of it changes.
extern const std::string version_sql;

// A table's name for SQL: "schema.table" means a table of that schema.
std::string quote_table(const std::string& name);

class session final : public connection {
 public:
  session(std::shared_ptr<server_context> home, server_address at, connection_handle connected);
  ~session() override { close(); }

  task<result> query(std::string sql, parameters values) override;
  task<std::uint64_t> query_each(std::string sql, parameters values, row_consumer take, std::size_t max_rows) override;
  task<result> find_by_key(const table_definition& in, std::vector<std::string> columns, parameters first,
                           std::vector<std::string> last) override;
  task<std::uint64_t> execute(std::string sql, parameters values) override;
  task<void> insert_rows(const table_definition& into, const row_batch& rows, batch_report& report) override;
  task<void> insert_batch(const table_definition& into, const row_batch& rows, batch_report& report) override;
  task<void> begin_batch(opening_statement& first, const table_definition& into, const row_batch& rows,
                         batch_report& report) override;
  task<void> begin() override;
  task<void> begin_for_batches() override;
  task<void> commit() override;
  task<void> rollback() override;
  task<void> limit_lock_waits(duration most) override;
  task<void> prepare_table(const table_definition& definition) override;
  task<void> prepare_inserts(const table_definition& into) override;
  std::vector<std::string> creation_faults(const table_definition& definition) const override;
  task<void> reset() override;
  task<void> ping() override;
  task<std::vector<finding>> examine(const expected_load& load) override;
  std::string quoted_table(std::string_view name) const override { return quote_table(std::string(name)); }
  session_state state() const noexcept override;
  bool altered() const noexcept override { return altered_; }
  void close() noexcept override;

  // What a new session does first. Throws `db_errc::read_only` when a primary is wanted and this takes no writes.
  task<void> introduce();

 private:
  friend class batch_insert;
  friend class copy_insert;

  // While it lives, a server that is silent for too long counts as lost.
  class silence_limit {
   public:
    explicit silence_limit(session& s) : session_(s) { s.wire_->limit_silence(s.home_->url.silence_timeout); }
    silence_limit(const silence_limit&) = delete;
    silence_limit& operator=(const silence_limit&) = delete;
    ~silence_limit() { session_.wire_->limit_silence(duration::zero()); }

   private:
    session& session_;
  };

  // What a pooler does between this and the server.
  enum class pooling { of_sessions, of_transactions, of_transactions_with_statements, without_another_session };

  task<pooling> look_at_pooler();
  static finding finding_about(pooling how, std::size_t sessions);
  // Finds out besides whether there is a pooler.
  task<bool> takes_no_writes();
  task<void> set_appearances();
  task<connection_handle> another_login();
  std::vector<std::string> settings_of_transaction() const;
  database_error read_only_server() const;
  task<void> require_primary();
  // Throws unless an operation may begin.
  wire& open_wire() const;
  wire& connected_wire() const;
  bool in_transaction() const noexcept;
  // By what the server says of itself: not before version 14.
  bool is_read_only_where_a_primary_is_wanted() const noexcept;
  const char* begin_sql() const noexcept;
  // Gives how many commands that takes.
  std::size_t send_begin(wire& w);
  std::size_t send_evictions(wire& w);
  void note_traces(const std::string& sql);
  // Throws while the session's characters are not ours.
  void require_known_characters(const std::string& doing) const;
  enum class planning { as_ever, by_index };
  // Runs a statement once; its results go to `take`.
  task<void> run(const std::string& sql, const parameters& values, const result_taker& take,
                 planning how = planning::as_ever);
  static result_taker keeping_rows(result& in);
  static void send_planning_by_index(wire& w, bool inside);
  static void send_planning_as_ever(wire& w);
  task<statement*> prepared(const std::string& sql);
  task<void> prepare_on_server(statement& s, const std::string& text, const std::vector<Oid>& types);
  // True when the failure says that the server does not have a prepared statement, and all were forgotten.
  bool forgets_lost_statements(const PGresult* failed);
  // True when the failure says that the prepared statement is of no use any more, and it was forgotten.
  bool forgets_stale_plan(const statement* s, const PGresult* failed);
  // How the table differs from what is wanted; nothing where there is none.
  task<std::optional<std::vector<std::string>>> find_differences(const table_definition& definition);
  // Throws `db_errc::table_drift` when a definition that did fit does not any more.
  task<void> require_fit(const table_definition& into);
  // Why the server would insert no row, whatever the row is; empty where it would.
  task<std::string> server_difference(const table_definition& definition);
  task<void> create_table(const table_definition& definition);
  // Null when there is none for this definition.
  insert_plan* known_plan(const table_definition& into) noexcept;
  task<insert_plan*> plan_for(const table_definition& into);
  void forget_plan(const std::string& table) noexcept;
  void forget_statement(const std::string& sql) noexcept;
  // A statement without parameters that gives the table's version.
  task<std::string> version_statement(const std::string& table);
  // Throws `db_errc::serialization` when the table is not the one that was planned for.
  task<void> check_version(insert_plan& plan, const std::string& version);
  // Whether the table does not have the key of some row that counts as a repeat. Such rows are to do then.
  task<bool> finds_missing_keys(const insert_plan& plan, const row_batch& rows, const batch_report& report);
  // Takes down a refusal that may be no row's fault.
  void note_doubt(const PGresult* refused);
  // Throws `db_errc::table_drift` where one of these is the table's.
  task<void> settle_doubts(const table_definition& into);
  // Whether row-level security keeps this account from storing any row.
  task<bool> may_not_pass_policies(const table_definition& into);
  task<void> settle_range(const table_definition& into, const std::string& said);
  task<std::uint64_t> read_each(const statement* s, std::size_t rows_at, const row_consumer& take, std::size_t max_rows,
                                std::optional<database_error>& failed, bool& stale);
  task<void> leave_early(bool in_savepoint);
  task<void> end_reading(bool in_savepoint);

  std::shared_ptr<server_context> home_;
  server_address at_;
  time_point opened_ = scheduler::current().now();
  std::string server_;
  bool is_pooled_ = false;        // by somebody between: the server's session may be another one's in between
  bool looks_otherwise_ = false;  // what values look like was set by another at the login
  std::unique_ptr<wire> wire_;
  statement_cache statements_;
  std::uint64_t lost_statements_ = 0;  // how often they were not there
  arguments arguments_;
  arguments opening_values_;
  row_arrays arrays_;
  // What batches need again and again.
  std::string copy_data_;
  std::vector<std::size_t> copy_order_;
  repeated_keys repeats_;
  std::vector<unsigned char> to_do_;  // for each row, whether it has no outcome yet and is to be sent
  struct doubt {
    enum class about { ids, partitions, column, range, policies } what;
    std::string schema;
    std::string table;
    std::string name;  // of the constraint, or the column
    std::string said;
  };
  std::vector<doubt> doubts_;
  bool begin_is_due_ = false;
  bool half_reset_ = false;   // what values look like may be as it was at the login
  bool for_batches_ = false;  // the transaction, alone
  bool altered_ = false;
  std::optional<std::int64_t> lock_wait_;  // milliseconds at most, where that was said
  bool plan_was_stale_ = false;
  bool had_known_plan_ = false;  // a batch of this transaction, from before it
  std::uint64_t transactions_ = 0;
  opening_statement* opening_ = nullptr;                   // of the batch that is being stored
  std::map<std::string, insert_plan, std::less<>> plans_;  // by table; batches for several take turns in a session
};

}  // namespace penstock::db::postgres

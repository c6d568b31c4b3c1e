#pragma once

// A database server in virtual time: it executes real SQL, on SQLite in memory, and fails in every way in which servers
// and the connections to them do. Pools and services run on it unchanged.
//
//   penstock::testing::database store;
//   db::pool p(store.server());
//   store.restart(2s);                        // or store.set_faults(…), store.on_statement(…)
//   EXPECT_EQ(store.count("SELECT count(*) FROM item"), 7);

#include "penstock/db/connection.h"
#include "penstock/testing/database_faults.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace penstock::testing {

/// How a database behaves when nothing fails.
struct database_options {
  std::string name = "simulated:test";  ///< What logs and errors call it.
  /// Of each statement, there and back; drawn each time.
  duration least_latency = std::chrono::microseconds(200);
  duration most_latency = std::chrono::milliseconds(2);
  duration connect_latency = std::chrono::milliseconds(5);
  std::size_t most_sessions = 150;                        ///< One more gets `db_errc::too_many_connections`.
  duration lock_timeout = std::chrono::seconds(5);        ///< Then a statement that waits gets `db_errc::lock_timeout`.
  duration give_up = std::chrono::seconds(30);            ///< After which clients take a server for lost.
  duration notice_lost = std::chrono::milliseconds(200);  ///< Within which it notices lost clients; theirs is locked.
};

/// A database with its server. Its sessions may outlive it. Belongs to one simulation, inside which all of it is
/// called, save the constructor. Everything it draws comes from `simulation::random_for("database")`.
///
/// Transactions are real, and one is open at a time: whoever else comes waits for its end, first come first served, in
/// virtual time. So no row is ever locked while another is free, as it may be with a real server. Sessions stand in the
/// simulation's ledger, and `should_fail` is asked at "database.connect" and for each statement, such as
/// "database.query"; for COMMIT twice, before and after it was carried out ("database.commit answer").
class database {
 public:
  explicit database(const database_options& options = {});
  database(const database&) = delete;
  database& operator=(const database&) = delete;
  ~database();

  /// What a pool or a service takes. COMMITs may be ambiguous there.
  db::database server() const;

  /// Asks `decide` what becomes of each statement; null: what `set_faults` says.
  void on_statement(std::function<fate(const statement&)> decide);
  /// Lets faults happen by chance from now on, where `on_statement` says nothing.
  void set_faults(const database_faults& chances);
  /// Ends every session, as a crash does: what was not committed is gone. Connects are refused for `away`.
  void restart(duration away = {});
  /// Refuses connects, with an error of this class; nullopt takes them again.
  void refuse_connects(std::optional<db::db_errc> why);
  /// Refuses what writes, with `db_errc::read_only`.
  void set_read_only(bool on);
  void limit_sessions(std::size_t most);  ///< Changes `most_sessions`; those that are open stay.
  /// Ends all of the above; the database works as its options say. Sessions stay.
  void heal();

  /// The rows of a query, past all latency and faults. Throws `db_errc::lock_timeout` while a transaction is open.
  db::result rows(const std::string& sql, const db::parameters& values = {}) const;
  /// As above, the number in the first row and column.
  std::int64_t count(const std::string& sql, const db::parameters& values = {}) const;
  /// Sessions that are open, those of lost clients included.
  std::size_t sessions() const noexcept;
  /// Statements that have come so far.
  std::uint64_t statements() const noexcept;
  /// A line for each session, with what it does and since when, and who holds the lock. It is a section of the report
  /// of a run that fails (testing/report_section.h).
  std::string processlist() const;

 private:
  std::shared_ptr<class database_server> server_;
};

}  // namespace penstock::testing

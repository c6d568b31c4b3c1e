#pragma once

// One session with a database, whatever the database is.
//
//   std::unique_ptr<connection> c = co_await database("sqlite:shop.db").connect();
//   result r = co_await c->query("SELECT name FROM customer WHERE id = ?", {std::int64_t{7}});

#include "penstock/async/task.h"
#include "penstock/db/row_batch.h"
#include "penstock/db/table.h"
#include "penstock/db/value.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::db {

/// Parameters of a statement, for its `?` in order.
using parameters = std::vector<value>;

/// The rows of a query, all of them: ask for so many at a time (LIMIT) where there may be many.
struct result {
  std::vector<std::string> columns;
  std::vector<std::vector<value>> rows;
};

/// What became of one row of a batch.
struct row_outcome {
  enum class status : std::uint8_t { stored, duplicate, refused };

  std::int64_t id = 0;        ///< Of a stored row where the table has an id; 0 otherwise.
  std::int32_t refusal = -1;  ///< Of a refused row: its place in `batch_report::refusals`.
  status what = status::stored;
};

/// Why the database refused a row.
struct row_refusal {
  std::string_view code;  ///< The stable code, such as "db.constraint".
  std::string message;    ///< What the server said.
};

/// What became of a batch that was committed; keeps its memory from one batch to the next.
struct batch_report {
  std::vector<row_outcome> rows;
  std::vector<row_refusal> refusals;

  void clear() noexcept {
    rows.clear();
    refusals.clear();
  }
};

/// A session. Serves one operation at a time; the caller keeps to that. Belongs to its loop. Destroying it closes it.
///
/// Every operation throws `database_error`, or `operation_cancelled` when it was cancelled: a statement under way is
/// interrupted, and a transaction that was open is rolled back.
class connection {
 public:
  connection() = default;
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;
  virtual ~connection() = default;

  /// Runs a statement and gives its rows.
  virtual task<result> query(std::string sql, parameters values = {}) = 0;
  /// Runs a statement and gives the number of rows it changed.
  virtual task<std::uint64_t> execute(std::string sql, parameters values = {}) = 0;
  /// Stores the rows of a batch in one transaction; a row the database refuses, or one whose unique key is there
  /// already, harms no other. `report` gets an outcome a row. When it throws, no row was stored, save with
  /// `db_errc::ambiguous_commit`. Not cut short by a cancellation once it runs. `rows` and `report` must outlive it.
  virtual task<void> insert_batch(const table_definition& into, const row_batch& rows, batch_report& report) = 0;
  /// Makes the table when it is missing; throws `db_errc::table_drift` naming each difference when it is another.
  virtual task<void> prepare_table(const table_definition& definition) = 0;
  /// Brings the session back to how it was when new: open transactions are rolled back.
  virtual task<void> reset() = 0;
  /// Throws when the session is dead.
  virtual task<void> ping() = 0;
  /// Ends the session. Idempotent; operations after it throw `db_errc::connection_lost`.
  virtual void close() noexcept = 0;
};

/// A database, named by a URL: "sqlite:file.db", "sqlite::memory:". Cheap to copy.
class database {
 public:
  /// Throws `database_error` with `db_errc::bad_url` for a URL of no known driver.
  explicit database(std::string url);

  /// The URL without its password, for logs.
  const std::string& name() const noexcept { return name_; }
  /// Opens a session.
  task<std::unique_ptr<connection>> connect() const;

 private:
  std::string name_;
  std::string path_;
};

}  // namespace penstock::db

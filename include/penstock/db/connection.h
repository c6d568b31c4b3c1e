#pragma once

// One session with a database, whatever the database is. Where several tasks share sessions, take them from a pool
// (pool.h); for statements that belong together, see transaction.h.
//
//   std::unique_ptr<connection> c = co_await database("sqlite:shop.db").connect();
//   result r = co_await c->query("SELECT name FROM customer WHERE id = ?", parameters_of(7));

#include "penstock/async/task.h"
#include "penstock/db/examination.h"
#include "penstock/db/row_batch.h"
#include "penstock/db/table.h"
#include "penstock/db/value.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::db {

/// Parameters of a statement, for its `?` in order.
using parameters = std::vector<value>;

/// Parameters from ordinary values: whole numbers that fit in 64 bits with a sign, real numbers, texts, and whatever a
/// `value` can hold. (GCC 12 does not compile a braced list inside a co_await.)
template <class... T>
parameters parameters_of(T&&... held) {
  parameters list;
  list.reserve(sizeof...(T));
  (list.push_back(to_value(std::forward<T>(held))), ...);
  return list;
}

/// The rows of a query.
struct result {
  std::vector<std::string> columns;
  std::vector<std::vector<value>> rows;
};

/// What became of one row of a batch.
struct row_outcome {
  enum class status : std::uint8_t { stored, duplicate, refused };

  std::int64_t id = 0;  ///< Of a stored row where the table has an id; 0 otherwise, and maybe where none are wanted.
  std::int32_t refusal = -1;  ///< Of a refused row: its place in `batch_report::refusals`.
  status what = status::stored;
};

/// Why the database refused a row.
struct row_refusal {
  std::string_view code;  ///< The stable code, such as "db.constraint".
  std::string message;    ///< What the server said.
  /// A column that must have a value got none: where the rows do not fill it, the table is at fault and no row.
  bool lacks_value = false;
};

/// What became of the rows of a batch; keeps its memory from one batch to the next.
struct batch_report {
  /// Said before: whether the stored rows' ids are to be told. MariaDB stores many rows faster without. `clear` keeps
  /// it.
  bool wants_ids = true;
  std::vector<row_outcome> rows;
  std::vector<row_refusal> refusals;
  std::string_view method;      ///< How the rows went in, for metrics: "statement", "values", "copy", …
  std::size_t round_trips = 0;  ///< Times the server was waited for; 0 where there is no server.

  void clear() noexcept {
    rows.clear();
    refusals.clear();
    method = {};
    round_trips = 0;
  }
};

/// A statement that opens the transaction of a batch: see `connection::begin_batch`.
struct opening_statement {
  std::string sql;
  parameters values;
  std::uint64_t changed = 0;  ///< Rows that it changed, once it has run.
};

/// Takes the rows of a large result, some at a time; the next ones come when its task has ended.
using row_consumer = std::function<task<void>(const result& some)>;

/// What is known about a session without asking the server.
enum class session_state : std::uint8_t {
  clean,  ///< No transaction is open and nothing is under way. Settings that statements changed do not count: see
          ///< `altered`.
  dirty,  ///< A transaction is open, or an operation was cut short: `reset` makes it clean.
  dead,   ///< Closed or lost: it takes no operation any more.
};

/// A session. Serves one operation at a time; the caller keeps to that. Belongs to its loop. Destroying it closes it.
///
/// Statements mark their parameters with `?`, whatever the database calls them. Names in double quotes are identifiers
/// (`quote_identifier`), on MariaDB and MySQL too.
///
/// Every operation throws `database_error`, or `operation_cancelled` when it was cancelled: a statement that runs, or
/// waits for another session's lock, is interrupted, and the transaction that it was part of is rolled back, at once or
/// by `reset`. A server is asked to end what was cut short by `reset`, `rollback`, or as the next session is opened
/// after `close`: until then it may go on, and take effect where it is no part of a transaction.
class connection {
 public:
  connection() = default;
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;
  virtual ~connection() = default;

  /// Runs a statement and gives its rows, of a CALL its first result's: on PostgreSQL, the row of its OUT parameters.
  virtual task<result> query(std::string sql, parameters values = {}) = 0;
  /// As `query`, where there may be many rows: hands them to `take`, at most `max_rows` (0 counts as 1) and about a
  /// megabyte at a time and in order, so that memory is bounded however many there are. Gives their number. What `take`
  /// throws ends the statement and is passed on; `take` must not use this session.
  virtual task<std::uint64_t> query_each(std::string sql, parameters values, row_consumer take,
                                         std::size_t max_rows = 1'000) = 0;
  /// Rows of a table by its unique key: those that have the values `first` in all its columns but the last, and one of
  /// the texts `last` in that. Gives `columns` of them, in no order. Goes by the key's index whatever the server knows
  /// of the table: a plan made while it was small would read all of it later. `last` may be long; what it repeats may
  /// be given again; where it is empty, the server is not asked. Throws `db_errc::syntax` when `first` has more values
  /// or fewer. `in` must outlive it.
  virtual task<result> find_by_key(const table_definition& in, std::vector<std::string> columns, parameters first,
                                   std::vector<std::string> last);
  /// Runs a statement and gives the number of rows it changed: 0 for a query, whose rows are passed over. MariaDB does
  /// not tell it of a statement with RETURNING; it is the number of rows that this gives back there.
  virtual task<std::uint64_t> execute(std::string sql, parameters values = {}) = 0;
  /// Stores the rows of a batch inside the transaction that is open; a row the database refuses, or one whose unique
  /// key is there already, harms no other. `report` gets an outcome a row, which holds once the transaction is
  /// committed. When it throws, the transaction is to be rolled back. `rows` and `report` must outlive it. Deferred
  /// constraints of the table are checked row by row; on PostgreSQL to the end of the transaction, together with those
  /// of its partitions, and with all others where the table has triggers or is a view.
  virtual task<void> insert_rows(const table_definition& into, const row_batch& rows, batch_report& report) = 0;
  /// As above, in a transaction of its own, on PostgreSQL at READ COMMITTED. When it throws, no row was stored, save
  /// with `db_errc::ambiguous_commit`. Not cut short by a cancellation once it runs; SQLite's is, up to its COMMIT, and
  /// then no row was stored either.
  virtual task<void> insert_batch(const table_definition& into, const row_batch& rows, batch_report& report);
  /// Opens a transaction as `begin_for_batches` does, runs `first` in it, and stores the rows of a batch as
  /// `insert_rows` does, in as few trips to the server as that takes. The transaction stays open: look at
  /// `first.changed` before committing it, for where nothing was changed, rows may have been stored or not. When it
  /// throws, the transaction is to be rolled back, if one is open. The arguments must outlive it.
  virtual task<void> begin_batch(opening_statement& first, const table_definition& into, const row_batch& rows,
                                 batch_report& report);
  /// Opens a transaction, ready to write. See `transaction`, which closes it on every path.
  virtual task<void> begin() = 0;
  /// As `begin`, for a transaction whose batches are to be stored as in one of their own: on PostgreSQL at READ
  /// COMMITTED, whatever the isolation of others is.
  virtual task<void> begin_for_batches();
  /// Commits it. Not cut short by a cancellation once it runs; SQLite's, while it waits for another session's lock, and
  /// it is rolled back then. Throws `db_errc::ambiguous_commit` when the connection died meanwhile, and on SQLite
  /// when the disk failed: it is undone then, but a crash before the next commit may bring it back; `db_errc::other`
  /// where there is no transaction; and on PostgreSQL `db_errc::serialization` for a constraint that may be newer than
  /// what was known of a batch's table: stored anew, the row that breaks it is refused alone.
  virtual task<void> commit() = 0;
  /// Rolls it back; nothing when none is open.
  virtual task<void> rollback() = 0;
  /// Bounds how long a statement waits for a lock that another session holds, before `db_errc::lock_timeout`; until it
  /// is said anew, or `reset`. Call it between transactions. PostgreSQL counts milliseconds, from 1 on; MariaDB whole
  /// seconds, and does not wait at all below one; MySQL whole seconds, but below 100 ms the session has each statement
  /// ended that takes longer than 100 ms to 1 s (KILL QUERY over a connection more). A trip only where the bound was
  /// another. A pool does not undo it: whoever leases such a session next says their own. Does nothing where sessions
  /// have no such bound: by default, and on SQLite, which has one in its URL.
  virtual task<void> limit_lock_waits(duration most);
  /// Makes the table when it is missing; throws `db_errc::table_drift` naming each difference when it is another.
  /// `definition` must outlive it.
  virtual task<void> prepare_table(const table_definition& definition) = 0;
  /// A temporary would be gone before the task begins.
  task<void> prepare_table(table_definition&& definition) = delete;
  /// Asks beforehand what the first batch for a table would have to ask, so that it goes as fast as the next ones.
  /// Stores nothing and takes no ids. Does nothing where there is nothing to ask; by default.
  virtual task<void> prepare_inserts(const table_definition& into);
  /// Why `prepare_table` can't make such a table when it is missing, a sentence for each reason: a name that is too
  /// long, a key that the database has no index for. No trip to the server.
  virtual std::vector<std::string> creation_faults(const table_definition&) const { return {}; }
  /// Brings the session back to how it was when new: open transactions are rolled back, and settings, variables,
  /// temporary tables and locks undone.
  virtual task<void> reset() = 0;
  /// Throws when the session is dead.
  virtual task<void> ping() = 0;
  /// Looks at the server's version and settings and at this account's rights, and says what threatens durability, what
  /// is missing and what is slow; the first finding names the server. Changes nothing. `load` must outlive it.
  virtual task<std::vector<finding>> examine(const expected_load& load);
  /// The name of a table, as definitions have it, for SQL: PostgreSQL takes "schema.table" for a table of that schema.
  virtual std::string quoted_table(std::string_view name) const { return quote_identifier(name); }
  /// What is known about the session; no trip to the server.
  virtual session_state state() const noexcept = 0;
  /// True when a statement may have left something in the session that `reset` undoes, though it is clean: a setting, a
  /// variable, a temporary table, a lock. A pool resets such a session before it lends it again. Goes by the texts of
  /// the statements: what functions and triggers do is not seen.
  virtual bool altered() const noexcept { return false; }
  /// Ends the session. Idempotent; operations after it throw `db_errc::connection_lost`. So does one under way beside
  /// it, if it is not cancelled first, or has all that it needs: it may then come to its end. What SQLite does not let
  /// be interrupted, such as a commit, ends first, and the file is closed behind it. A wait for another session's lock
  /// on SQLite goes on until it is time to try again.
  virtual void close() noexcept = 0;
  /// Told once, where in the source it was opened: a test kit's session says so when it is left open.
  virtual void opened_at(const std::source_location&) {}
};

/// Opens sessions: the one thing that differs between databases before there is a session. Implement it to connect to
/// a database of your own, such as a simulated one in a test.
class driver {
 public:
  driver() = default;
  driver(const driver&) = delete;
  driver& operator=(const driver&) = delete;
  virtual ~driver() = default;

  /// What logs and errors call the database: its URL without the password.
  virtual const std::string& name() const noexcept = 0;
  /// Opens a session, and gives no null. Cancellable. Throws `database_error`; a transient one may be tried again.
  virtual task<std::unique_ptr<connection>> connect() = 0;
  /// False where no network lies between: what a COMMIT did can be seen at once, without a marker.
  virtual bool commits_can_be_ambiguous() const noexcept { return true; }
};

/// A database: where sessions come from. Cheap to copy; copies share their driver. That of a server belongs to one
/// loop.
class database {
 public:
  /// By URL: "sqlite:file.db" (and "?busy_timeout=5s" behind it: how long a statement waits for a lock that another
  /// session or process holds, before `db_errc::lock_timeout`), or "sqlite::memory:" for one in memory, which the
  /// sessions of this object and its copies share and which is gone with them. Sessions of one loop get the write lock
  /// in the order in which they asked for it. A statement that would write in a transaction that began by reading does
  /// not wait: it throws `db_errc::serialization` when another session writes or wrote. Throws `database_error` with
  /// `db_errc::bad_url` for a URL of no known driver.
  explicit database(const std::string& url);
  /// By a driver of your own, which must not be null.
  explicit database(std::shared_ptr<driver> d) noexcept : driver_(std::move(d)) {}

  /// The URL without its password, for logs.
  const std::string& name() const noexcept { return driver_->name(); }
  /// Opens a session; `where` is what `connection::opened_at` is told.
  task<std::unique_ptr<connection>> connect(std::source_location where = std::source_location::current()) const;
  /// False where no network lies between: what a COMMIT did can be seen at once, without a marker.
  bool commits_can_be_ambiguous() const noexcept { return driver_->commits_can_be_ambiguous(); }

 private:
  std::shared_ptr<driver> driver_;
};

}  // namespace penstock::db

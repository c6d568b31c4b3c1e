#pragma once

// The blocking half of the SQLite driver: one sqlite3 handle, used by one thread at a time. Invariants: between calls
// no transaction is open unless the caller opened it; cached statements are reset; a call that was interrupted has
// rolled back. The handle is there until the file is found to be moved: then it is closed, by any thread, when no call
// is under way, and each call throws. No call waits for another session's lock: it throws `db_errc::lock_timeout` at
// once, has then changed nothing, and may be made again where `worth_waiting` says so.

#include "../fitting_tables.h"
#include "binding.h"
#include "interruption.h"
#include "location.h"
#include "penstock/db/connection.h"
#include "penstock/db/error.h"

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

struct sqlite3;
struct sqlite3_stmt;

namespace penstock::db::sqlite {

class session {
 public:
  // Opens the file; nothing is read from it before `configure`.
  explicit session(location where);
  session(const session&) = delete;
  session& operator=(const session&) = delete;
  ~session();

  // The first call. Throws as an opening that failed.
  void configure();
  result query(const std::string& sql, const parameters& values);
  std::uint64_t execute(const std::string& sql, const parameters& values);
  void insert_rows(const table_definition& into, const row_batch& rows, batch_report& report);
  // False when the rows are in and only COMMIT met a lock: `commit` or `rollback` ends it.
  bool insert_batch(const table_definition& into, const row_batch& rows, batch_report& report);
  struct piece {
    result rows;
    bool is_last;  // the statement is over
  };
  // Up to `max_rows` more rows of the statement that `start_reading` began, fewer where they are long.
  // Once rows were read, a lock that is met ends the statement.
  void start_reading(const std::string& sql, const parameters& values);
  piece read_some(std::size_t max_rows);
  void stop_reading() noexcept;
  void prepare_table(const table_definition& definition);
  void begin();
  void commit();
  void rollback() noexcept;
  // As when SQLite rolls it back by itself.
  void lose_transaction();
  // From the thread that owns the session, when no call is under way. One that SQLite has rolled back by itself lasts
  // until `rollback`: what follows in it would be stored by itself.
  bool in_transaction() const noexcept;
  // Throws `db_errc::connection_lost` when the file's path leads to another one, or to none: the system goes on taking
  // what is written to such a file, and nobody finds it again. The session is of no use then.
  void throw_if_moved();
  void require_writable() const;
  bool moved() const noexcept;

  // Runs one of the above while no other thread has the session.
  template <class Fn>
  std::invoke_result_t<Fn&> exclusively(Fn fn);
  // For `shared_file`: whether the path leads elsewhere, and the handle, now the caller's to close. Waits until no call
  // is under way.
  bool file_has_moved() const noexcept;
  struct released {
    sqlite3* handle;  // null when it is gone already
    bool has_read;    // so that it has FILE-wal open
  };
  released let_go() noexcept;

  // For the thread that owns the session, around calls that may meet a lock. While `queueing` is on, a call that would
  // take the write lock throws as if it met one.
  void set_queueing(bool on) noexcept { queueing_ = on; }
  duration busy_timeout() const noexcept { return where_.busy_timeout; }
  bool holds_write_lock() const noexcept;
  // True when a call failed with a lock that another session may let go of.
  static bool worth_waiting(const database_error& failure) noexcept;
  // True once after the session let go of the write lock.
  bool take_released() noexcept;

  // Runs one of the above so that `interrupt` ends it early, with `db_errc::interrupted`. Call `allow_interrupt` before
  // the call goes to the worker; `interrupt` may then come from any thread, at any time.
  void allow_interrupt() noexcept { interruption_.arm(); }
  template <class Fn>
  std::invoke_result_t<Fn&> interruptible(Fn fn);
  void interrupt() noexcept { interruption_.request(); }
  // From the loop's thread: ends what runs, as far as that can be interrupted; no call is to begin after it.
  void hang_up() noexcept {
    closed_ = true;
    interrupt();
  }
  bool closed() const noexcept { return closed_; }
  void throw_if_closed() const {
    if (closed_) throw database_error(db_errc::connection_lost, where_.name + ": the session was closed");
  }

 private:
  // Resets its statement when it goes, so that no read transaction is left open.
  class use {
   public:
    explicit use(sqlite3_stmt* s) noexcept : statement_(s) {}
    use(const use&) = delete;
    use& operator=(const use&) = delete;
    ~use();
    sqlite3_stmt* get() const noexcept { return statement_; }

   private:
    sqlite3_stmt* statement_;
  };

  void open();
  int open_handle(int flags);
  bool in_memory() const noexcept;
  // They may hold texts where the file's triggers or views may count on it.
  void choose_double_quotes();
  // As their namesakes, inside a call.
  bool transacting() const noexcept;
  bool writing() const noexcept;
  void end_reading() noexcept;
  // The file was found to be moved, so that the session ends with its call.
  bool is_retired() const noexcept;
  static int look_for_interrupt(void* self) noexcept;
  void note_loss(const database_error& cause);
  void require_whole_transaction() const;
  // Before a statement's first step.
  void enter(sqlite3_stmt* statement);
  use prepare(const std::string& sql);
  std::uint64_t run(const std::string& sql, const parameters& values, const char* doing);
  // False when a lock is in the way; the transaction is still open then.
  bool try_commit();
  sqlite3_stmt* compile(const std::string& sql);
  // Compares a table that was found to fit, by whatever session, once more where the schema is another by now.
  void require_fit(const table_definition& into);
  void note_compared(const table_definition& fitting, std::int64_t version);
  std::int64_t schema_version();
  // Nothing where the table is not there.
  std::vector<std::string> differences_of(const table_definition& definition);
  // Why the table takes no row, whatever the row is; empty where it does.
  std::string refusal_to_insert(const table_definition& definition);
  [[noreturn]] void fail(const std::string& doing) const;
  void throw_if_interrupted() const;
  enum class way_in { grouped, each, apart, apart_as_declared };  // see on_conflict
  // Of the rows from `first` to before `end`.
  void insert_each(const table_definition& into, const row_batch& rows, std::size_t first, std::size_t end, way_in way,
                   batch_report& report);
  // All rows, those that the database takes many at a time.
  void insert_grouped(const table_definition& into, const row_batch& rows, batch_report& report);
  // Groups of `size` rows from `first` on, until one does not go in; gives the first row that did not.
  std::size_t insert_groups(const table_definition& into, const row_batch& rows, std::size_t first, std::size_t size,
                            batch_report& report);
  // False when one of the rows is refused or there already: none of them is in then.
  bool try_group(sqlite3_stmt* insert, const table_definition& into, const row_batch& rows, std::size_t first,
                 std::size_t size);
  // Why the row is refused; else `outcome` has the rest.
  std::optional<row_refusal> try_row(sqlite3_stmt* insert, const table_definition& into, std::span<const cell> row,
                                     row_outcome& outcome);
  // What the last step says against its row; throws what is no row's fault.
  row_refusal refusal_of(const table_definition& into);
  std::optional<row_refusal> try_row_apart(sqlite3_stmt* insert, const table_definition& into,
                                           std::span<const cell> row, row_outcome& outcome);
  // Throws when a row that counts as a repeat has a key that the table does not have: a trigger has dropped it.
  void confirm_duplicate(const table_definition& into, std::span<const cell> row);
  // How a table takes its rows: many at a time; one by one, where it is virtual and tells only the last id; or each
  // with what it gives rise to undone by itself.
  way_in way_into(const std::string& table);
  bool breaks_foreign_keys() const noexcept;
  void execute_plain(const char* sql);
  void run_plain(sqlite3_stmt* statement);
  void bind_values(sqlite3_stmt* statement, const parameters& values);

  location where_;
  sqlite3* handle_ = nullptr;
  interruption interruption_;
  std::shared_ptr<shared_file> file_;  // null for one in memory
  mutable std::mutex in_use_;          // guards the handle and what depends on it
  bool has_read_ = false;
  bool closed_ = false;  // for the loop's thread
  bool queueing_ = false;
  bool wrote_ = false;        // may have had the write lock since `take_released`
  bool was_reading_ = false;  // the statement began in a transaction that had only read
  bool committing_ = false;
  std::optional<database_error> lost_;  // the transaction was rolled back for it, and nobody has rolled it back yet
  struct cached_statement {
    sqlite3_stmt* statement;
    std::uint64_t last_use;
  };
  void forget_oldest_statement() noexcept;

  std::unordered_map<std::string, cached_statement> statements_;
  std::uint64_t uses_ = 0;           // of statements, so far
  sqlite3_stmt* reading_ = nullptr;  // not of the cache, which may drop any
  timestamp_texts texts_;
  fitting_tables compared_;        // with the schema of this version:
  std::int64_t compared_in_ = -1;  // see schema_version
};

template <class Fn>
std::invoke_result_t<Fn&> session::exclusively(Fn fn) {
  struct retirement {
    ~retirement() {
      if (of.is_retired()) of.file_->retire();
    }
    session& of;
  };
  retirement at_end{*this};  // once the turn is over
  std::lock_guard turn(in_use_);
  const bool inside = transacting();
  committing_ = false;
  try {
    return fn();
  } catch (const database_error& e) {
    if (inside && !transacting() && !committing_) note_loss(e);
    throw;
  }
}

template <class Fn>
std::invoke_result_t<Fn&> session::interruptible(Fn fn) {
  struct disarming {
    ~disarming() { gate.disarm(); }
    interruption& gate;
  };
  try {
    disarming at_end{interruption_};
    throw_if_interrupted();
    return fn();
  } catch (const database_error& e) {
    if (e.errc() == db_errc::interrupted) rollback();
    throw;
  }
}

}  // namespace penstock::db::sqlite

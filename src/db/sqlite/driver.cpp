#include "driver.h"

#include "../statement_effects.h"
#include "examination.h"
#include "lock_wait.h"
#include "penstock/async/cancel.h"
#include "penstock/async/on_worker.h"
#include "penstock/async/scheduler.h"
#include "penstock/async/scheduler_observer.h"
#include "penstock/db/error.h"
#include "session.h"

#include <algorithm>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

// Every operation is one trip to a worker thread, or several where it meets another session's lock: between two tries
// it waits on the loop, since a worker that waits would be missing to the session that has the lock. Invariant: the
// session is touched by one thread at a time: the worker's during a trip, and the loop's when none is under way; only
// `interrupt` comes from the loop meanwhile.

namespace penstock::db::sqlite {
namespace {

// What a cancel does to a trip that is under way. The caller waits until the worker has let go of the session anyway.
// One that ends the transaction ends it also where it still waited.
enum class on_cancel { finish, interrupt, end_transaction };

template <class T, class Work>
task<T> trip(session& s, Work& work, on_cancel how) {
  s.throw_if_closed();
  if (how != on_cancel::interrupt) {
    auto call = on_worker([&] { return s.exclusively(work); });
    co_return co_await call;
  }
  s.allow_interrupt();
  auto stoppable = [&] { return s.interruptible(work); };
  auto call = on_worker([&] { return s.exclusively(stoppable); }, [&s]() noexcept { s.interrupt(); });
  try {
    co_return co_await call;
  } catch (const database_error& e) {
    if (e.errc() != db_errc::interrupted) throw;
    throw_if_cancelled();
    s.throw_if_closed();
    throw;
  }
}

// A transaction that is somebody else's to end takes no more statements until then.
task<void> undo(session& s, bool ends_transaction) {
  if (s.closed() || !s.in_transaction()) co_return;
  auto work = [&] { ends_transaction ? s.rollback() : s.lose_transaction(); };
  task<void> rolling_back = shield(trip<void>(s, work, on_cancel::finish));
  co_await std::move(rolling_back);
}

// Tells the line when the session has let go of the lock.
class release_notice {
 public:
  release_notice(session& s, lock_line& line) noexcept : session_(s), line_(line) {}
  release_notice(const release_notice&) = delete;
  release_notice& operator=(const release_notice&) = delete;
  ~release_notice() {
    if (session_.take_released()) line_.released();
  }

 private:
  session& session_;
  lock_line& line_;
};

// Waits before the next try, or throws what the last one failed with. A cancelled wait leaves no lock held; a
// transaction that goes on is for its owner to roll back.
task<void> wait_or_rethrow(session& s, lock_wait& wait, bool goes_on, std::exception_ptr failure) {
  std::exception_ptr cut;
  bool again = false;
  try {
    task<bool> waiting = wait.next(s.holds_write_lock());
    again = co_await std::move(waiting);
  } catch (const operation_cancelled&) {
    cut = std::current_exception();
  }
  if (cut) {
    task<void> undoing = undo(s, !goes_on);
    co_await std::move(undoing);
    std::rethrow_exception(cut);
  }
  if (!again) std::rethrow_exception(failure);
}

// Tries until no other session's lock is in the way, or the busy timeout is over.
template <class T, class Work>
task<T> until_unlocked(session& s, lock_line& line, Work& work, on_cancel how) {
  release_notice at_end(s, line);  // after the place in the line was given up
  lock_wait wait(line, s.busy_timeout());
  const bool inside = s.in_transaction();
  s.set_queueing(wait.must_queue());
  for (;;) {
    std::exception_ptr failure;
    try {
      task<T> trying = trip<T>(s, work, how);
      co_return co_await std::move(trying);
    } catch (const database_error& e) {
      // What ended the transaction can't be made good by one statement of it.
      if (!session::worth_waiting(e) || s.in_transaction() != inside) throw;
      failure = std::current_exception();
    }
    s.set_queueing(false);
    task<void> waiting = wait_or_rethrow(s, wait, inside && how != on_cancel::end_transaction, std::move(failure));
    co_await std::move(waiting);
  }
}

task<std::unique_ptr<session>> open_file(const location& where, std::shared_ptr<lock_line> line) {
  auto call = on_worker([&] { return std::make_unique<session>(where); });
  std::unique_ptr<session> opened = co_await call;
  auto work = [&] { opened->configure(); };
  task<void> configuring = until_unlocked<void>(*opened, *line, work, on_cancel::finish);
  co_await std::move(configuring);
  co_return opened;
}

// Tells the line when the file is closed, which may give up a lock.
std::shared_ptr<session> shared(std::unique_ptr<session> s, std::shared_ptr<lock_line> line) {
  auto close = [line = std::move(line)](session* last) {
    delete last;
    line->released();
  };
  return {s.release(), std::move(close)};
}

// An operation holds its session, so that `close` beside it waits for no worker: the file is closed behind the last.
class sqlite_connection final : public connection {
 public:
  sqlite_connection(std::shared_ptr<session> s, std::shared_ptr<lock_line> line, location where) noexcept
      : session_(std::move(s)), line_(std::move(line)), where_(std::move(where)) {}
  ~sqlite_connection() override { close(); }

  task<result> query(std::string sql, parameters values) override {
    const std::shared_ptr<session> held = open_for(sql);
    session& s = *held;
    auto work = [&] { return s.query(sql, values); };
    task<result> running = until_unlocked<result>(s, *line_, work, on_cancel::interrupt);
    co_return co_await std::move(running);
  }

  task<std::uint64_t> execute(std::string sql, parameters values) override {
    const std::shared_ptr<session> held = open_for(sql);
    session& s = *held;
    auto work = [&] { return s.execute(sql, values); };
    task<std::uint64_t> running = until_unlocked<std::uint64_t>(s, *line_, work, on_cancel::interrupt);
    co_return co_await std::move(running);
  }

  task<std::uint64_t> query_each(std::string sql, parameters values, row_consumer take, std::size_t max_rows) override {
    max_rows = std::max<std::size_t>(max_rows, 1);
    const std::shared_ptr<session> held = open_for(sql);
    session& s = *held;
    release_notice at_end(s, *line_);
    reading under_way(s);
    auto start = [&] {
      s.start_reading(sql, values);
      return s.read_some(max_rows);
    };
    task<session::piece> starting = until_unlocked<session::piece>(s, *line_, start, on_cancel::interrupt);
    session::piece some = co_await std::move(starting);
    auto work = [&] { return s.read_some(max_rows); };
    std::uint64_t count = 0;
    while (!some.rows.rows.empty()) {
      count += some.rows.rows.size();
      task<void> taking = take(some.rows);
      co_await std::move(taking);
      if (some.is_last) break;
      // Not tried again: the statement would begin anew, with rows that were handed over already.
      task<session::piece> running = trip<session::piece>(s, work, on_cancel::interrupt);
      some = co_await std::move(running);
    }
    co_return count;
  }

  task<void> insert_rows(const table_definition& into, const row_batch& rows, batch_report& report) override {
    const std::shared_ptr<session> held = open_session();
    session& s = *held;
    if (!s.in_transaction()) throw database_error(db_errc::other, "insert_rows needs a transaction: begin one first");
    auto work = [&] { s.insert_rows(into, rows, report); };
    task<void> running = until_unlocked<void>(s, *line_, work, on_cancel::interrupt);
    co_await std::move(running);
  }

  // In one trip to the worker instead of three, where no lock is in the way.
  task<void> insert_batch(const table_definition& into, const row_batch& rows, batch_report& report) override {
    const std::shared_ptr<session> held = open_session();
    session& s = *held;
    if (s.in_transaction())
      throw database_error(db_errc::other, "a batch is a transaction of its own: end the one that is open first");
    auto work = [&] { return s.insert_batch(into, rows, report); };
    task<bool> storing = until_unlocked<bool>(s, *line_, work, on_cancel::interrupt);
    bool committed = co_await std::move(storing);
    if (committed) co_return;
    std::exception_ptr failure;
    try {
      task<void> committing = commit();
      co_await std::move(committing);
    } catch (...) {
      failure = std::current_exception();
    }
    if (!failure) co_return;
    report.clear();
    release_notice at_end(s, *line_);
    task<void> undoing = undo(s, true);
    co_await std::move(undoing);
    std::rethrow_exception(failure);
  }

  task<void> begin() override {
    const std::shared_ptr<session> held = open_session();
    session& s = *held;
    auto work = [&] { s.begin(); };
    task<void> running = until_unlocked<void>(s, *line_, work, on_cancel::interrupt);
    co_await std::move(running);
  }

  task<void> commit() override {
    const std::shared_ptr<session> held = open_session();
    session& s = *held;
    auto work = [&] { s.commit(); };
    task<void> running = until_unlocked<void>(s, *line_, work, on_cancel::end_transaction);
    co_await std::move(running);
  }

  task<void> rollback() override {
    const std::shared_ptr<session> held = open_session();
    session& s = *held;
    release_notice at_end(s, *line_);
    if (!s.in_transaction()) co_return;
    auto work = [&] { s.rollback(); };
    task<void> rolling_back = trip<void>(s, work, on_cancel::finish);
    co_await std::move(rolling_back);
  }

  task<void> prepare_table(const table_definition& definition) override {
    const std::shared_ptr<session> held = open_session();
    session& s = *held;
    auto work = [&] { s.prepare_table(definition); };
    task<void> running = until_unlocked<void>(s, *line_, work, on_cancel::finish);
    co_await std::move(running);
  }

  // What statements have set and made for the session is gone with it: opening the file again takes less than finding
  // out what that was.
  task<void> reset() override {
    task<void> rolling_back = rollback();
    co_await std::move(rolling_back);
    if (!altered_) co_return;
    task<std::unique_ptr<session>> opening = open_file(where_, line_);
    std::unique_ptr<session> opened = co_await std::move(opening);
    open_session();  // throws where it was closed meanwhile
    session_ = shared(std::move(opened), line_);
    altered_ = false;
  }

  task<void> ping() override {
    const std::shared_ptr<session> held = open_session();
    session& s = *held;
    auto work = [&] { s.throw_if_moved(); };
    task<void> looking = trip<void>(s, work, on_cancel::finish);
    co_await std::move(looking);
  }

  task<std::vector<finding>> examine(const expected_load&) override { return examine_file(*this); }

  session_state state() const noexcept override {
    if (!session_ || session_->moved()) return session_state::dead;
    return session_->in_transaction() ? session_state::dirty : session_state::clean;
  }

  bool altered() const noexcept override { return altered_; }

  void close() noexcept override {
    if (!session_) return;
    session_->hang_up();
    session_.reset();
  }

 private:
  // Ends a read that its consumer left early. The worker has let go of the session by then.
  struct reading {
    explicit reading(session& r) noexcept : of(r) {}
    reading(const reading&) = delete;
    reading& operator=(const reading&) = delete;
    ~reading() { of.stop_reading(); }
    session& of;
  };

  std::shared_ptr<session> open_for(const std::string& sql) {
    altered_ = altered_ || leaves_traces(sql);
    return open_session();
  }

  std::shared_ptr<session> open_session() {
    if (!session_) throw database_error(db_errc::connection_lost, "the connection was closed");
    return session_;
  }

  std::shared_ptr<session> session_;  // null when closed
  std::shared_ptr<lock_line> line_;
  location where_;
  bool altered_ = false;
};

// The sessions of a database in memory find it by a name of its own. SQLite drops it with its last session, so the
// driver holds one.
class sqlite_driver final : public driver {
 public:
  explicit sqlite_driver(const std::string& text) : name_("sqlite:" + text), where_(parse_location(text)) {
    if (!in_memory()) return;
    if (text.starts_with("//")) name_ = "sqlite:" + text.substr(2);  // one name for all ways to write it
    where_.file = new_memory_file();
    anchor_.emplace(where_);
    anchor_->configure();
  }

  const std::string& name() const noexcept override { return name_; }
  bool commits_can_be_ambiguous() const noexcept override { return false; }

  task<std::unique_ptr<connection>> connect() override {
    if (!in_memory()) note_real_operation("opening '" + where_.name + "'");
    std::shared_ptr<lock_line> line = line_here();
    task<std::unique_ptr<session>> opening = open_file(where_, line);
    std::unique_ptr<session> opened = co_await std::move(opening);
    std::shared_ptr<session> kept = shared(std::move(opened), line);
    co_return std::make_unique<sqlite_connection>(std::move(kept), std::move(line), where_);
  }

 private:
  bool in_memory() const noexcept { return where_.name == ":memory:"; }
  // A line serves one thread: each loop has its own, as long as it has sessions.
  std::shared_ptr<lock_line> line_here() {
    std::lock_guard lock(lines_mutex_);
    std::erase_if(lines_, [](const auto& entry) { return entry.second.expired(); });
    std::weak_ptr<lock_line>& here = lines_[&scheduler::current()];
    std::shared_ptr<lock_line> line = here.lock();
    if (!line) here = line = std::make_shared<lock_line>();
    return line;
  }

  std::string name_;
  location where_;
  std::optional<session> anchor_;
  std::mutex lines_mutex_;
  std::map<scheduler*, std::weak_ptr<lock_line>> lines_;
};

}  // namespace

std::shared_ptr<driver> make_driver(const std::string& text) { return std::make_shared<sqlite_driver>(text); }

}  // namespace penstock::db::sqlite

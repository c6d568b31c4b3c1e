#include "driver.h"

#include "examination.h"
#include "penstock/async/cancel.h"
#include "penstock/async/on_worker.h"
#include "penstock/db/error.h"
#include "session.h"

#include <atomic>
#include <optional>
#include <utility>

// Every operation is one trip to a worker thread. Invariant: the session is touched by one thread at a time: the
// worker's during a call, and the loop's when none is under way; only `interrupt` comes from the loop meanwhile.

namespace penstock::db::sqlite {
namespace {

class sqlite_connection final : public connection {
 public:
  explicit sqlite_connection(std::unique_ptr<session> s) : session_(std::move(s)) {}

  task<result> query(std::string sql, parameters values) override {
    session& s = open_session();
    auto work = [&] { return s.query(sql, values); };
    task<result> running = interruptibly<result>(s, work);
    co_return co_await std::move(running);
  }

  task<std::uint64_t> execute(std::string sql, parameters values) override {
    session& s = open_session();
    auto work = [&] { return s.execute(sql, values); };
    task<std::uint64_t> running = interruptibly<std::uint64_t>(s, work);
    co_return co_await std::move(running);
  }

  task<std::uint64_t> query_each(std::string sql, parameters values, row_consumer take, std::size_t max_rows) override {
    session& s = open_session();
    reading under_way(s);
    auto start = [&] { s.start_reading(sql, values); };
    task<void> starting = interruptibly<void>(s, start);
    co_await std::move(starting);
    std::uint64_t count = 0;
    for (bool more = true; more;) {
      auto work = [&] { return s.read_some(max_rows); };
      task<result> running = interruptibly<result>(s, work);
      result some = co_await std::move(running);
      more = some.rows.size() == max_rows;
      count += some.rows.size();
      if (some.rows.empty()) break;
      task<void> taking = take(some);
      co_await std::move(taking);
    }
    co_return count;
  }

  task<void> insert_rows(const table_definition& into, const row_batch& rows, batch_report& report) override {
    session& s = open_session();
    if (!s.in_transaction()) throw database_error(db_errc::other, "insert_rows needs a transaction: begin one first");
    auto call = on_worker([&] { s.insert_rows(into, rows, report); });
    co_await call;
  }

  // In one trip to the worker instead of three.
  task<void> insert_batch(const table_definition& into, const row_batch& rows, batch_report& report) override {
    session& s = open_session();
    if (s.in_transaction())
      throw database_error(db_errc::other, "a batch is a transaction of its own: end the one that is open first");
    auto call = on_worker([&] { s.insert_batch(into, rows, report); });
    co_await call;
  }

  // Waiting for the write lock may be cut short.
  task<void> begin() override {
    session& s = open_session();
    auto work = [&] { s.begin(); };
    task<void> running = interruptibly<void>(s, work);
    co_await std::move(running);
  }

  task<void> commit() override {
    session& s = open_session();
    auto call = on_worker([&] { s.commit(); });
    co_await call;
  }

  task<void> rollback() override {
    session& s = open_session();
    if (!s.in_transaction()) co_return;
    auto call = on_worker([&] { s.rollback(); });
    co_await call;
  }

  task<void> prepare_table(const table_definition& definition) override {
    session& s = open_session();
    auto call = on_worker([&] { s.prepare_table(definition); });
    co_await call;
  }

  task<void> reset() override { return rollback(); }

  task<void> ping() override {
    open_session();
    co_return;
  }

  task<std::vector<finding>> examine(const expected_load&) override { return examine_file(*this); }

  session_state state() const noexcept override {
    if (!session_) return session_state::dead;
    return session_->in_transaction() ? session_state::dirty : session_state::clean;
  }

  void close() noexcept override { session_.reset(); }

 private:
  // Ends a read that its consumer left early. The worker has let go of the session by then.
  struct reading {
    explicit reading(session& r) noexcept : of(r) {}
    reading(const reading&) = delete;
    reading& operator=(const reading&) = delete;
    ~reading() { of.stop_reading(); }
    session& of;
  };

  session& open_session() {
    if (!session_) throw database_error(db_errc::connection_lost, "the connection was closed");
    return *session_;
  }

  // A cancel interrupts what runs; the caller still waits until the worker has let go of the session.
  template <class T, class Work>
  static task<T> interruptibly(session& s, Work& work) {
    s.allow_interrupt();

    auto call = on_worker([&] { return s.interruptible(work); }, [&s]() noexcept { s.interrupt(); });
    try {
      co_return co_await call;
    } catch (const database_error& e) {
      if (e.errc() != db_errc::interrupted) throw;
      throw_if_cancelled();
      throw;
    }
  }

  std::unique_ptr<session> session_;
};

// The sessions of a database in memory find it by a name of its own. SQLite drops it with its last session, so the
// driver holds one.
class sqlite_driver final : public driver {
 public:
  explicit sqlite_driver(const std::string& text) : name_("sqlite:" + text), where_(parse_location(text)) {
    if (where_.file != ":memory:") return;
    static std::atomic<std::uint64_t> count = 0;
    where_.file = "file:/penstock-" + std::to_string(++count) + "?vfs=memdb";
    anchor_.emplace(where_);
  }

  const std::string& name() const noexcept override { return name_; }
  bool commits_can_be_ambiguous() const noexcept override { return false; }

  task<std::unique_ptr<connection>> connect() override {
    auto call = on_worker([&] { return std::make_unique<session>(where_); });
    std::unique_ptr<session> opened = co_await call;
    co_return std::make_unique<sqlite_connection>(std::move(opened));
  }

 private:
  std::string name_;
  location where_;
  std::optional<session> anchor_;
};

}  // namespace

std::shared_ptr<driver> make_driver(const std::string& text) { return std::make_shared<sqlite_driver>(text); }

}  // namespace penstock::db::sqlite

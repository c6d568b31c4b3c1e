#include "driver.h"

#include "penstock/async/on_worker.h"
#include "penstock/db/error.h"
#include "session.h"

#include <atomic>
#include <optional>
#include <utility>

// Every operation is one trip to a worker thread. Invariant: the session is touched by one thread at a time: the
// worker's during a call, and the loop's when none is under way.

namespace penstock::db::sqlite {
namespace {

class sqlite_connection final : public connection {
 public:
  explicit sqlite_connection(std::unique_ptr<session> s) : session_(std::move(s)) {}

  task<result> query(std::string sql, parameters values) override {
    auto call = on_worker([&] { return open_session().query(sql, values); });
    co_return co_await call;
  }

  task<std::uint64_t> execute(std::string sql, parameters values) override {
    auto call = on_worker([&] { return open_session().execute(sql, values); });
    co_return co_await call;
  }

  task<void> insert_batch(const table_definition& into, const row_batch& rows, batch_report& report) override {
    auto call = on_worker([&] { open_session().insert_batch(into, rows, report); });
    co_await call;
  }

  task<void> prepare_table(const table_definition& definition) override {
    auto call = on_worker([&] { open_session().prepare_table(definition); });
    co_await call;
  }

  task<void> reset() override {
    auto call = on_worker([&] { open_session().reset(); });
    co_await call;
  }

  task<void> begin() override {
    auto call = on_worker([&] { open_session().begin(); });
    co_await call;
  }

  task<void> commit() override {
    auto call = on_worker([&] { open_session().commit(); });
    co_await call;
  }

  task<void> rollback() override { return reset(); }

  task<void> ping() override {
    open_session();
    co_return;
  }

  session_state state() const noexcept override {
    if (!session_) return session_state::dead;
    return session_->in_transaction() ? session_state::dirty : session_state::clean;
  }

  void close() noexcept override { session_.reset(); }

 private:
  session& open_session() {
    if (!session_) throw database_error(db_errc::connection_lost, "the connection was closed");
    return *session_;
  }

  std::unique_ptr<session> session_;
};

// The sessions of a database in memory find it by a name of its own. SQLite drops it with its last session, so the
// driver holds one.
class sqlite_driver final : public driver {
 public:
  explicit sqlite_driver(const std::string& path) : name_("sqlite:" + path), file_(path) {
    if (path != ":memory:") return;
    static std::atomic<std::uint64_t> count = 0;
    file_ = "file:/penstock-" + std::to_string(++count) + "?vfs=memdb";
    anchor_.emplace(file_);
  }

  const std::string& name() const noexcept override { return name_; }

  task<std::unique_ptr<connection>> connect() override {
    auto call = on_worker([&] { return std::make_unique<session>(file_); });
    std::unique_ptr<session> opened = co_await call;
    co_return std::make_unique<sqlite_connection>(std::move(opened));
  }

 private:
  std::string name_;
  std::string file_;
  std::optional<session> anchor_;
};

}  // namespace

std::shared_ptr<driver> make_driver(const std::string& path) {
  // "sqlite:///abs/file" and "sqlite://file" are widespread ways to write the same.
  return std::make_shared<sqlite_driver>(path.starts_with("//") ? path.substr(2) : path);
}

}  // namespace penstock::db::sqlite

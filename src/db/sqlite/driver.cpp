#include "driver.h"

#include "penstock/async/cancel.h"
#include "penstock/async/on_worker.h"
#include "penstock/db/error.h"
#include "session.h"

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

  task<void> ping() override {
    open_session();
    co_return;
  }

  void close() noexcept override { session_.reset(); }

 private:
  session& open_session() {
    if (!session_) throw database_error(db_errc::connection_lost, "the connection was closed");
    return *session_;
  }

  std::unique_ptr<session> session_;
};

}  // namespace

task<std::unique_ptr<connection>> open(std::string path) {
  auto call = on_worker([&] { return std::make_unique<session>(path); });
  std::unique_ptr<session> opened = co_await call;
  co_return std::make_unique<sqlite_connection>(std::move(opened));
}

}  // namespace penstock::db::sqlite

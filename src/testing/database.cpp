#include "penstock/testing/database.h"

#include "database_connection.h"
#include "database_server.h"
#include "penstock/async/timeout.h"
#include "penstock/db/error.h"
#include "penstock/testing/failure_point.h"

#include <utility>

namespace penstock::testing {
namespace {

class simulated_driver final : public db::driver {
 public:
  explicit simulated_driver(std::shared_ptr<database_server> s) noexcept : server_(std::move(s)) {}

  const std::string& name() const noexcept override { return server_->options.name; }
  task<std::unique_ptr<db::connection>> connect() override {
    std::shared_ptr<database_server> server = server_;
    if (should_fail("database.connect"))
      throw db::database_error(db::db_errc::connection_lost, server->options.name + ": connection refused");
    co_await sleep_for(server->options.connect_latency);
    co_return std::make_unique<database_connection>(server, server->open());
  }

 private:
  std::shared_ptr<database_server> server_;
};

}  // namespace

database::database(const database_options& options) : server_(std::make_shared<database_server>(options)) {}

database::~database() = default;

db::database database::server() const { return db::database(std::make_shared<simulated_driver>(server_)); }

void database::on_statement(std::function<fate(const statement&)> decide) { server_->script = std::move(decide); }

void database::set_faults(const database_faults& chances) { server_->set_faults(chances); }

void database::restart(duration away) { server_->restart(away); }

void database::refuse_connects(std::optional<db::db_errc> why) { server_->refuses = why; }

void database::set_read_only(bool on) { server_->set_read_only = on; }

void database::limit_sessions(std::size_t most) { server_->most_sessions = most; }

void database::heal() { server_->heal(); }

db::result database::rows(const std::string& sql, const db::parameters& values) const {
  return server_->data.open()->query(sql, values);
}

std::int64_t database::count(const std::string& sql, const db::parameters& values) const {
  return std::get<std::int64_t>(rows(sql, values).rows.at(0).at(0));
}

std::size_t database::sessions() const noexcept { return server_->sessions.size(); }

std::uint64_t database::statements() const noexcept { return server_->statements; }

std::string database::processlist() const { return server_->processlist(); }

}  // namespace penstock::testing

// The ingest service on a database that stores nothing and says so at once: what `penstock serve` costs without its
// store, for bench/ingest_peers.
//
//   storeless_server --listen 127.0.0.1:8082

#include <penstock/async/task_group.h>
#include <penstock/db/connection.h>
#include <penstock/http/server.h>
#include <penstock/ingest/service.h>
#include <penstock/net/event_loop.h>
#include <penstock/net/listener.h>
#include <penstock/net/signals.h>

#include <csignal>
#include <cstring>
#include <iostream>
#include <memory>
#include <string>

using namespace penstock;

namespace {

class forgetful_connection final : public db::connection {
 public:
  task<db::result> query(std::string, db::parameters) override { co_return db::result{}; }
  task<std::uint64_t> execute(std::string, db::parameters) override { co_return 0; }
  task<std::uint64_t> query_each(std::string, db::parameters, db::row_consumer, std::size_t) override { co_return 0; }
  task<void> insert_rows(const db::table_definition&, const db::row_batch& rows, db::batch_report& report) override {
    report.clear();
    report.rows.resize(rows.rows());
    for (db::row_outcome& row : report.rows) row.id = ++last_id_;
    co_return;
  }
  task<void> insert_batch(const db::table_definition& into, const db::row_batch& rows,
                          db::batch_report& report) override {
    return insert_rows(into, rows, report);
  }
  task<void> begin() override { co_return; }
  task<void> commit() override { co_return; }
  task<void> rollback() override { co_return; }
  task<void> prepare_table(const db::table_definition&) override { co_return; }
  task<void> reset() override { co_return; }
  task<void> ping() override { co_return; }
  db::session_state state() const noexcept override { return db::session_state::clean; }
  void close() noexcept override {}

 private:
  std::int64_t last_id_ = 0;
};

class forgetful_driver final : public db::driver {
 public:
  const std::string& name() const noexcept override { return name_; }
  bool commits_can_be_ambiguous() const noexcept override { return false; }
  task<std::unique_ptr<db::connection>> connect() override { co_return std::make_unique<forgetful_connection>(); }

 private:
  std::string name_ = "nothing:";
};

task<void> serve(net::endpoint where) {
  ingest::service_options options;
  options.streams.push_back({.name = "items", .table = "processed_data"});
  ingest::service service(db::database(std::make_shared<forgetful_driver>()), std::move(options));
  co_await service.open();
  http::router routes;
  service.add_routes(routes);
  http::server server(std::move(routes));
  net::signal_set quit{SIGINT, SIGTERM};
  std::unique_ptr<net::listener> listener = net::listen(where);
  std::cout << "listening on http://" << listener->local_endpoint().to_string() << std::endl;
  co_await with_task_group([&](task_group& group) -> task<void> {
    group.start(service.run(), "service");
    group.start_background(server.serve(*listener), "server");
    co_await quit.wait();
    service.stop();
  });
}

}  // namespace

int main(int count, char** arguments) try {
  bool named = count == 3 && std::strcmp(arguments[1], "--listen") == 0;
  net::run(serve(net::endpoint::parse(named ? arguments[2] : "127.0.0.1:8082")));
} catch (const std::exception& e) {
  std::cerr << "storeless_server: " << e.what() << "\n";
  return 1;
}

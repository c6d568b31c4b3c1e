// Uses a room of every kind: SQL, HTTP, the event loop, and the simulation.
#include <penstock/db/connection.h>
#include <penstock/http/server.h>
#include <penstock/ingest/coalescer.h>
#include <penstock/net/event_loop.h>
#include <penstock/testing/simulation.h>

#include <iostream>

using namespace penstock;

task<std::int64_t> count_rows() {
  db::database memory("sqlite::memory:");
  std::unique_ptr<db::connection> c = co_await memory.connect();
  db::parameters one{std::int64_t{1}};
  db::result r = co_await c->query("SELECT 41 + ?", one);
  co_return std::get<std::int64_t>(r.rows[0][0]);
}

int main() {
  ingest::coalescer idle_coalescer(1, [](ingest::batch&) -> task<void> { co_return; });
  http::server idle_server(http::router{});
  testing::simulation virtual_time;
  std::int64_t in_virtual_time = virtual_time.run(count_rows());
  std::int64_t in_real_time = net::run(count_rows());
  std::cout << in_virtual_time << " " << in_real_time << "\n";
  return in_virtual_time == 42 && in_real_time == 42 ? 0 : 1;
}

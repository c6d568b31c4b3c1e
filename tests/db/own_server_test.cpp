#include "own_server.h"

#include "patience.h"
#include <penstock/async/on_worker.h>
#include <penstock/async/task_group.h>
#include <penstock/db/pool.h>

#include <chrono>
#include <vector>

// A server that dies and comes back, one that is reached by its socket, and one that takes no writes.

namespace penstock::db {
namespace {

using namespace std::chrono_literals;

using own_server = own_server_test;

task<value> ask(connection& c, std::string sql) {
  task<result> asking = c.query(std::move(sql));
  result r = co_await std::move(asking);
  co_return r.rows.at(0).at(0);
}

task<std::optional<db_errc>> failure_of(connection& c, std::string sql) {
  try {
    task<std::uint64_t> running = c.execute(std::move(sql));
    co_await std::move(running);
  } catch (const database_error& e) {
    co_return e.errc();
  }
  co_return std::nullopt;
}

TEST_P(own_server, that_is_killed_and_comes_back_is_found_again_by_the_pool_within_two_seconds) {
  start();
  auto main = [&]() -> task<> {
    pool p(database(url_), {.min_size = 4, .max_size = 4, .acquire_timeout = 1min, .reconnect_max = 1s});
    task_group keeper;
    keeper.start_background(p.run(), "pool");
    {
      // All are there before the kill: PostgreSQL's children go on with a handshake when their server is dead already.
      std::vector<pool::lease> all;
      for (int i = 0; i < 4; ++i) all.push_back(co_await p.acquire());
    }
    {
      pool::lease c = co_await p.acquire();
      co_await c->execute("CREATE TABLE t(n INT)");
      co_await c->begin();
      co_await c->execute("INSERT INTO t VALUES (1)");
      kill();
      std::optional<db_errc> failed = co_await failure_of(*c, "INSERT INTO t VALUES (2)");
      EXPECT_EQ(failed, db_errc::connection_lost);
      EXPECT_EQ(c->state(), session_state::dead);
    }
    // Meanwhile the pool tries to connect, and fails.
    auto starting = on_worker([this] { start(); });
    co_await starting;
    time_point back = scheduler::current().now();
    pool::lease c = co_await p.acquire();
    EXPECT_LT(scheduler::current().now() - back, 2s);
    EXPECT_GT(p.stats().connect_failures, 0u);
    value rows = co_await ask(*c, "SELECT count(*) FROM t");
    EXPECT_EQ(rows, value(std::int64_t{0}));
    c.release();
    co_await p.close();
    co_await keeper.join();
  };
  net::run(main());
}

TEST_P(own_server, is_reached_by_its_socket) {
  start();
  std::size_t host = url_.find('@') + 1;
  std::string without_host = url_.substr(0, host) + url_.substr(url_.find('/', host));
  std::string port = url_.substr(url_.rfind(':') + 1, url_.rfind('/') - url_.rfind(':') - 1);
  std::string socket = server() + (is_postgresql() ? "/.s.PGSQL." + port : "/socket");
  auto main = [&]() -> task<> {
    task<std::unique_ptr<connection>> connecting = database(without_host + "?socket=" + socket).connect();
    std::unique_ptr<connection> c = co_await std::move(connecting);
    value over_network = co_await ask(
        *c, is_postgresql() ? "SELECT inet_client_addr() IS NOT NULL" : "SELECT USER() NOT LIKE '%@localhost'");
    EXPECT_TRUE(over_network == value(false) || over_network == value(std::int64_t{0}));
    std::optional<db_errc> failed = co_await failure_to_connect(without_host + "?socket=" + server() + "/none");
    EXPECT_EQ(failed, db_errc::connection_lost);
  };
  net::run(main());
}

TEST_P(own_server, that_takes_no_writes_is_passed_over) {
  start();
  stop();
  start(is_postgresql() ? "default_transaction_read_only=on" : "read-only=1");
  auto main = [&]() -> task<> {
    std::optional<db_errc> failed = co_await failure_to_connect(url_);
    EXPECT_EQ(failed, db_errc::read_only);
    task<std::unique_ptr<connection>> connecting = database(url_ + "?target=any").connect();
    std::unique_ptr<connection> c = co_await std::move(connecting);
    EXPECT_EQ(c->state(), session_state::clean);
  };
  net::run(main());
}

INSTANTIATE_TEST_SUITE_P(of, own_server, ::testing::ValuesIn(all_server_kinds), name_of_kind);

class own_postgresql : public own_server_test {};

TEST_P(own_postgresql, that_turns_read_only_makes_its_sessions_dead) {
  start();
  auto main = [&]() -> task<> {
    task<std::unique_ptr<connection>> connecting = database(patient(url_)).connect();
    std::unique_ptr<connection> c = co_await std::move(connecting);
    co_await c->execute("CREATE TABLE t (v INT)");
    co_await c->execute("ALTER SYSTEM SET default_transaction_read_only = on");
    co_await c->query("SELECT pg_reload_conf()");
    std::optional<db_errc> failed;
    while (!failed) failed = co_await failure_of(*c, "INSERT INTO t VALUES (1)");  // it hears of it within a moment
    EXPECT_EQ(failed, db_errc::read_only);
    EXPECT_EQ(c->state(), session_state::dead);
  };
  net::run(main());
}

INSTANTIATE_TEST_SUITE_P(of, own_postgresql, ::testing::Values(all_server_kinds[1]), name_of_kind);

}  // namespace
}  // namespace penstock::db

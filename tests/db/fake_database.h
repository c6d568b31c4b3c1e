#pragma once

// A database made of virtual time: sessions that take a while, fail on demand, and notice when they are used wrongly.

#include <penstock/async/cancel.h>
#include <penstock/async/event.h>
#include <penstock/async/timeout.h>
#include <penstock/db/connection.h>
#include <penstock/db/error.h>
#include <penstock/db/pool.h>
#include <penstock/testing/simulation.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace penstock::db {

using namespace std::chrono_literals;

// What a test sets, and what it looks at afterwards.
struct fake_server {
  duration connect_latency = 5ms;
  duration latency = 10ms;
  std::optional<db_errc> refuses;  // connects fail with this
  bool resets_fail = false;
  bool pings_find_it_lost = false;  // a ping is answered, and the session is no good all the same
  std::size_t most_sessions = 1'000;
  int epoch = 0;  // sessions of an earlier epoch are dead and learn it when they are used

  std::size_t open = 0;
  std::size_t most_open = 0;
  int connects = 0;
  int pings = 0;
  int resets = 0;
  int queries_on_dirty_sessions = 0;
  std::vector<std::string> statements;

  // As a restart does: every session is lost.
  void restart() { ++epoch; }
};

class fake_connection final : public connection {
 public:
  explicit fake_connection(std::shared_ptr<fake_server> s) : server_(std::move(s)), epoch_(server_->epoch) {
    ++server_->open;
    server_->most_open = std::max(server_->most_open, server_->open);
  }
  ~fake_connection() override { close(); }

  task<result> query(std::string sql, parameters) override {
    if (state_ != session_state::clean && !in_transaction_) ++server_->queries_on_dirty_sessions;
    altered_ = altered_ || sql.starts_with("SET");
    task<void> working = work(std::move(sql));
    co_await std::move(working);
    co_return result{};
  }
  task<std::uint64_t> execute(std::string sql, parameters values) override {
    task<result> done = query(std::move(sql), std::move(values));
    co_await std::move(done);
    co_return 0;
  }
  task<std::uint64_t> query_each(std::string sql, parameters values, row_consumer, std::size_t) override {
    return execute(std::move(sql), std::move(values));
  }
  task<void> insert_rows(const table_definition&, const row_batch&, batch_report&) override { return work("INSERT"); }
  task<void> begin() override {
    task<void> working = work("BEGIN");
    co_await std::move(working);
    in_transaction_ = true;
    state_ = session_state::dirty;
  }
  task<void> commit() override {
    task<void> working = work("COMMIT");
    co_await std::move(working);
    in_transaction_ = false;
    state_ = session_state::clean;
  }
  task<void> rollback() override {
    task<void> working = work("ROLLBACK");
    co_await std::move(working);
    in_transaction_ = false;
    state_ = session_state::clean;
  }
  task<void> prepare_table(const table_definition&) override { return work("CREATE TABLE"); }
  task<void> reset() override {
    ++server_->resets;
    task<void> working = work("RESET");
    co_await std::move(working);
    if (server_->resets_fail) throw database_error(db_errc::other, "cannot reset");
    in_transaction_ = false;
    altered_ = false;
    state_ = session_state::clean;
  }
  task<void> ping() override {
    ++server_->pings;
    task<void> working = work("PING");
    co_await std::move(working);
    if (server_->pings_find_it_lost) state_ = session_state::dead;
  }
  session_state state() const noexcept override { return busy_ ? session_state::dirty : state_; }
  bool altered() const noexcept override { return altered_; }
  void close() noexcept override {
    EXPECT_FALSE(busy_) << "closed in the middle of an operation";
    if (std::exchange(closed_, true)) return;
    --server_->open;
    state_ = session_state::dead;
  }

 private:
  struct in_use {
    explicit in_use(fake_connection& c) : self(c) {
      EXPECT_FALSE(self.busy_) << "two operations at a time on one session";
      self.busy_ = true;
    }
    in_use(const in_use&) = delete;
    in_use& operator=(const in_use&) = delete;
    ~in_use() { self.busy_ = false; }
    fake_connection& self;
  };

  task<void> work(std::string statement) {
    session_state before = state_;
    in_use here(*this);
    server_->statements.push_back(std::move(statement));
    if (state_ != session_state::dead) state_ = session_state::dirty;  // should it be cut short
    co_await sleep_for(server_->latency);
    if (epoch_ != server_->epoch || before == session_state::dead) {
      state_ = session_state::dead;
      throw database_error(db_errc::connection_lost, "the server closed the connection");
    }
    state_ = before;
  }

  std::shared_ptr<fake_server> server_;
  int epoch_;
  session_state state_ = session_state::clean;
  bool in_transaction_ = false;
  bool altered_ = false;
  bool busy_ = false;
  bool closed_ = false;
};

class fake_driver final : public driver {
 public:
  explicit fake_driver(std::shared_ptr<fake_server> s) : server_(std::move(s)) {}
  const std::string& name() const noexcept override { return name_; }
  task<std::unique_ptr<connection>> connect() override {
    ++server_->connects;
    co_await sleep_for(server_->connect_latency);
    if (server_->refuses) throw database_error(*server_->refuses, "no new sessions");
    if (server_->open >= server_->most_sessions)
      throw database_error(db_errc::too_many_connections, "too many sessions");
    co_return std::make_unique<fake_connection>(server_);
  }

 private:
  std::shared_ptr<fake_server> server_;
  std::string name_ = "fake:shop";
};

// Runs `body(pool&, fake_server&)` in virtual time; at its end every session must be closed.
template <class Body>
void with_fake_pool(const pool_options& options, Body body) {
  auto server = std::make_shared<fake_server>();
  {
    penstock::testing::simulation sim;
    auto main = [&]() -> task<> {
      pool p(database(std::make_shared<fake_driver>(server)), options);
      task<void> running = body(p, *server);
      co_await std::move(running);
      co_await p.close();
      pool_stats left = p.stats();
      EXPECT_EQ(left.in_use + left.idle + left.pending + left.waiting, 0u);
    };
    sim.run(main());
  }
  EXPECT_EQ(server->open, 0u) << "sessions were left open";
  EXPECT_EQ(server->queries_on_dirty_sessions, 0);
}

// As with_fake_pool, with the pool's own upkeep running.
template <class Body>
void with_kept_pool(const pool_options& options, Body body) {
  with_fake_pool(options, [&](pool& p, fake_server& server) -> task<> {
    task_group keeper;
    keeper.start_background(p.run(), "pool");
    task<void> running = body(p, server);
    co_await std::move(running);
    co_await p.close();
    co_await keeper.join();
  });
}

inline task<void> use(pool& p, duration for_how_long) {
  pool::lease c = co_await p.acquire();
  co_await sleep_for(for_how_long);
}

// The class of the database_error that a task ends with; none when it ends well.
template <class T>
task<std::optional<db_errc>> failure_of(task<T> t) {
  try {
    static_cast<void>(co_await std::move(t));
  } catch (const database_error& e) {
    co_return std::optional<db_errc>(e.errc());
  }
  co_return std::nullopt;
}

}  // namespace penstock::db

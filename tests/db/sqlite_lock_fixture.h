#pragma once

// Sessions that wait for one another's locks. In virtual time, where statements take none; a second `database` of the
// same file stands for another process: its sessions wait in no common line.

#include "temporary_folder.h"
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/db/connection.h>
#include <penstock/db/error.h>
#include <penstock/testing/allow_real_io.h>
#include <penstock/testing/simulation.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace penstock::db {

using namespace std::chrono_literals;

inline task<std::int64_t> count(connection& c) {
  result r = co_await c.query("SELECT count(*) FROM t");
  co_return std::get<std::int64_t>(r.rows[0][0]);
}

// Runs `body(file, holder, url)` in virtual time, on a file with the table t and a session of it.
template <class Body>
void with_sessions(Body body) {
  temporary_folder folder;
  auto main = [&]() -> task<> {
    std::string url = folder.url("test.db");
    database file(url);
    std::unique_ptr<connection> holder = co_await file.connect();
    co_await holder->execute("CREATE TABLE t(x INTEGER)");
    task<void> running = body(file, *holder, url);
    co_await std::move(running);
  };
  penstock::testing::allow_real_io files;
  penstock::testing::simulation sim;
  sim.run(main());
}

inline task<void> insert(connection& c, int x) {
  task<std::uint64_t> inserting = c.execute("INSERT INTO t VALUES (?)", parameters_of(x));
  co_await std::move(inserting);
}

inline task<void> insert_in_transaction(connection& c, int x) {
  co_await c.begin();
  co_await insert(c, x);
  co_await c.commit();
}

inline task<void> commit_after(duration pause, connection& c) {
  co_await sleep_for(pause);
  co_await c.commit();
}

// The class of the error that a task ends with.
template <class T>
task<std::optional<db_errc>> error_of(task<T> t) {
  try {
    co_await std::move(t);
  } catch (const database_error& e) {
    EXPECT_TRUE(e.is_transient()) << e.message();
    EXPECT_NE(e.message().find("test.db"), std::string::npos) << e.message();
    co_return e.errc();
  }
  co_return std::nullopt;
}

inline task<bool> is_cut_short(duration limit, task<void> t) {
  try {
    task<void> limited = with_timeout(limit, std::move(t));
    co_await std::move(limited);
  } catch (const timed_out&) {
    co_return true;
  }
  co_return false;
}

class stopwatch {
 public:
  duration elapsed() const { return scheduler::current().now() - start_; }

 private:
  time_point start_ = scheduler::current().now();
};

}  // namespace penstock::db

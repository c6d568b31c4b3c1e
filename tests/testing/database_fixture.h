#pragma once

// A simulated database with one table, and what the tests do with it.

#include <penstock/async/timeout.h>
#include <penstock/db/error.h>
#include <penstock/testing/database.h>
#include <penstock/testing/simulation.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace penstock::testing {

using namespace std::chrono_literals;
using db::db_errc;
using session = std::unique_ptr<db::connection>;

inline const db::table_definition& items() {
  static const db::table_definition table = [] {
    db::table_definition t;
    t.name = "item";
    t.columns = {{"name", db::column_type::text, true}};
    t.unique_key = {"name"};
    return t;
  }();
  return table;
}

inline db::row_batch named(const std::vector<std::string>& names) {
  db::row_batch rows(1);
  for (const std::string& name : names) {
    rows.add_text(name);
    rows.commit_row();
  }
  return rows;
}

// Runs `body(database&)` over a database with the table; nothing may be left open at its end.
template <class Body>
void with_database(Body body, std::uint64_t seed = 1, const database_options& options = {}) {
  simulation sim({.seed = seed});
  database store(options);
  auto main = [&]() -> task<> {
    session c = co_await store.server().connect();
    co_await c->prepare_table(items());
    c->close();
    task<> running = body(store);
    co_await std::move(running);
  };
  sim.run(main());
  EXPECT_EQ(describe(sim.open_things().open()), "");
}

template <class T>
task<std::optional<db_errc>> failure_of(task<T> t) {
  try {
    static_cast<void>(co_await std::move(t));
  } catch (const db::database_error& e) {
    co_return std::optional<db_errc>(e.errc());
  }
  co_return std::nullopt;
}
inline task<std::optional<db_errc>> failure_of(task<void> t) {
  try {
    co_await std::move(t);
  } catch (const db::database_error& e) {
    co_return std::optional<db_errc>(e.errc());
  }
  co_return std::nullopt;
}

inline task<void> insert(db::connection& c, std::string name) {
  task<std::uint64_t> inserting = c.execute("INSERT INTO item(name) VALUES (?)", db::parameters_of(name));
  co_await std::move(inserting);
}

inline std::int64_t stored(const database& store) { return store.count("SELECT count(*) FROM item"); }

// The next statement of this kind gets this fate, and those after it none.
inline void once(database& store, std::string what, fate f) {
  auto waiting = std::make_shared<bool>(true);
  store.on_statement([=](const statement& s) {
    if (!*waiting || s.what != what) return fate::done();
    *waiting = false;
    return f;
  });
}

}  // namespace penstock::testing

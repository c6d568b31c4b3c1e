#pragma once

// A test's body with a session of an SQLite database in memory.

#include <penstock/db/connection.h>
#include <penstock/testing/simulation.h>

#include <memory>
#include <utility>

namespace penstock::db {

template <class Body>
void with_memory_database(Body body) {
  penstock::testing::simulation sim;
  auto main = [&]() -> task<> {
    std::unique_ptr<connection> c = co_await database("sqlite::memory:").connect();
    task<void> running = body(*c);
    co_await std::move(running);
  };
  sim.run(main());
}

}  // namespace penstock::db

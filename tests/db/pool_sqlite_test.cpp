#include <penstock/db/pool.h>
#include <penstock/testing/simulation.h>

#include <gtest/gtest.h>

// The pool and SQLite together.

namespace penstock::db {
namespace {

TEST(pool_sqlite, sessions_of_one_database_in_memory_share_it_and_others_do_not) {
  penstock::testing::simulation sim;
  auto main = [&]() -> task<> {
    database shared("sqlite::memory:");
    auto fill = [](pool& p) -> task<int> {
      pool::lease one = co_await p.acquire();
      pool::lease two = co_await p.acquire();
      co_await one->execute("CREATE TABLE thing(name TEXT)");
      co_await two->execute("INSERT INTO thing VALUES ('hat')");
      result seen = co_await one->query("SELECT name FROM thing");
      co_return static_cast<int>(seen.rows.size());
    };
    task<int> filling = with_pool(shared, {.max_size = 2}, fill);
    int first = co_await std::move(filling);
    EXPECT_EQ(first, 1);
    std::unique_ptr<connection> later = co_await shared.connect();
    result still_there = co_await later->query("SELECT name FROM thing");
    EXPECT_EQ(still_there.rows.size(), 1u);
    std::unique_ptr<connection> other = co_await database("sqlite::memory:").connect();
    result nothing = co_await other->query("SELECT name FROM sqlite_schema");
    EXPECT_EQ(nothing.rows.size(), 0u);
  };
  sim.run(main());
}

}  // namespace
}  // namespace penstock::db

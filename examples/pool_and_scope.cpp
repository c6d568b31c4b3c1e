// Sharing database sessions: a pool that is closed on every path, and a transaction that is undone when it fails.
//
//   pool_and_scope

#include <penstock/async/map_bounded.h>
#include <penstock/db/pool.h>
#include <penstock/db/transaction.h>
#include <penstock/net/event_loop.h>

#include <iostream>
#include <stdexcept>

using namespace penstock;

task<std::int64_t> total(db::pool& pool) {
  db::pool::lease session = co_await pool.acquire();
  db::result r = co_await session->query("SELECT sum(balance) FROM account");
  co_return std::get<std::int64_t>(r.rows[0][0]);
}

// Takes a session for itself, and gives it back when it ends, however it ends.
task<void> move_money(db::pool& pool, std::int64_t amount) {
  db::pool::lease session = co_await pool.acquire();
  auto body = [&](db::connection& c) -> task<> {
    co_await c.execute("UPDATE account SET balance = balance - ? WHERE name = 'ann'", db::parameters_of(amount));
    co_await c.execute("UPDATE account SET balance = balance + ? WHERE name = 'bob'", db::parameters_of(amount));
  };
  task<void> moving = db::transaction(*session, body);
  co_await std::move(moving);
}

task<std::int64_t> use_accounts(db::pool& pool) {
  {
    db::pool::lease session = co_await pool.acquire();
    co_await session->execute("CREATE TABLE account(name TEXT, balance INTEGER CHECK(balance >= 0))");
    co_await session->execute("INSERT INTO account VALUES ('ann', 100), ('bob', 0)");
  }
  for (int i = 0; i < 3; ++i) co_await move_money(pool, 30);
  try {
    co_await move_money(pool, 30);  // more than is left: the check refuses it, and all of it is undone
  } catch (const error& e) {
    std::cout << "refused: " << e.code() << "\n";
  }
  co_return co_await total(pool);
}

task<int> main_task() {
  db::database shop("sqlite::memory:");
  task<std::int64_t> scoped = db::with_pool(shop, {.min_size = 1, .max_size = 4}, use_accounts);
  std::int64_t sum = co_await std::move(scoped);
  std::cout << "still in the bank: " << sum << "\n";

  bool threw = false;
  auto failing = [](db::pool& pool) -> task<> {
    db::pool::lease session = co_await pool.acquire();
    throw std::runtime_error("the caller changed its mind");
  };
  try {
    task<void> failed = db::with_pool(shop, {}, failing);
    co_await std::move(failed);
  } catch (const std::runtime_error& e) {
    std::cout << "the pool is closed, and the exception is not lost: " << e.what() << "\n";
    threw = true;
  }
  co_return sum == 100 && threw ? 0 : 1;
}

int main() { return net::run(main_task()); }

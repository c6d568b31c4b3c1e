#include "conformance_fixture.h"
#include <penstock/async/gather.h>
#include <penstock/db/pool.h>

#include <set>
#include <vector>

// A thousand tasks over a pool of twenty, each cancelled at some moment in mid-query.

namespace penstock::db {
namespace {

class conformance_storm : public conformance_test {
 protected:
  struct tally {
    int done = 0;
    int cancelled = 0;
    std::set<std::int64_t> sessions;  // of the server, that were seen
  };

  std::string slow_query() const {
    if (is_postgresql()) return "SELECT pg_sleep(0.003)::text";
    if (is_mariadb()) return "SELECT SLEEP(0.003)";
    return "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT max(i) FROM n";
  }

  task<std::int64_t> session_number(connection& c) const {
    if (is_sqlite()) co_return 0;
    task<result> asking = c.query(is_postgresql() ? "SELECT pg_backend_pid()" : "SELECT CONNECTION_ID()");
    result r = co_await std::move(asking);
    co_return std::get<std::int64_t>(r.rows.at(0).at(0));
  }

  task<void> work(pool& p, int id, bool writes, tally& seen) {
    auto acquiring = p.acquire();
    pool::lease c = co_await std::move(acquiring);
    EXPECT_EQ(c->state(), session_state::clean);
    task<std::int64_t> asking = session_number(*c);
    seen.sessions.insert(co_await std::move(asking));
    if (writes) {
      std::string sql = "INSERT INTO " + quote_identifier(table_name()) + "(x) VALUES (?)";
      co_await c->begin();
      for (int i = 0; i < 2; ++i) {
        task<std::uint64_t> inserting = c->execute(sql, parameters_of(id));
        co_await std::move(inserting);
      }
      co_await c->commit();
    } else {
      task<result> reading = c->query(slow_query());
      co_await std::move(reading);
    }
  }

  task<void> user(pool& p, int id, tally& seen) {
    scheduler& s = scheduler::current();
    bool left_alone = id % 50 == 0;  // so that work gets done on the slowest machine too
    bool writes = !left_alone && s.random() % 3 == 0;
    duration limit = left_alone ? duration(10min) : std::chrono::microseconds(s.random() % 400'000);
    task<bool> limited = times_out(limit, work(p, id, writes, seen));
    bool cut = co_await std::move(limited);
    ++(cut ? seen.cancelled : seen.done);
  }

  // Each session of the pool is clean: nothing is open, and nothing holds a lock.
  task<void> check_whole(pool& p, std::size_t size) {
    std::vector<pool::lease> all;
    for (std::size_t i = 0; i < size; ++i) {
      auto acquiring = p.acquire();
      all.push_back(co_await std::move(acquiring));
      EXPECT_EQ(all.back()->state(), session_state::clean);
    }
    EXPECT_EQ(p.stats().in_use, size);
    std::string name = quote_identifier(table_name());
    task<result> asking = all[0]->query("SELECT x FROM " + name + " GROUP BY x HAVING count(*) <> 2");
    result halves = co_await std::move(asking);
    EXPECT_TRUE(halves.rows.empty()) << "half a transaction was committed";
    task<std::uint64_t> inserting = all[1]->execute("INSERT INTO " + name + "(x) VALUES (-1)");
    co_await std::move(inserting);
  }

  // The server ends sessions a moment after they were closed.
  task<void> expect_ended(connection& c, const std::set<std::int64_t>& sessions) {
    if (is_sqlite()) co_return;
    std::string list;
    for (std::int64_t one : sessions) list += (list.empty() ? "" : ", ") + std::to_string(one);
    std::string sql = is_postgresql()
                          ? "SELECT count(*) FROM pg_stat_activity WHERE pid IN (" + list + ")"
                          : "SELECT count(*) FROM information_schema.processlist WHERE id IN (" + list + ")";
    std::int64_t left = -1;
    for (int tries = 0; tries < 500 && left != 0; ++tries) {
      task<result> asking = c.query(sql);
      result r = co_await std::move(asking);
      left = std::get<std::int64_t>(r.rows.at(0).at(0));
      co_await sleep_for(10ms);  // another process ends them and tells nobody: it is asked again
    }
    EXPECT_EQ(left, 0) << "sessions stayed behind";
  }
};

TEST_P(conformance_storm, leaves_the_pool_whole_and_clean_and_no_session_behind) {
  with_connection([this](database& here, connection& c) -> task<> {
    table_definition numbers{table_name(), "id", {{"x", column_type::integer, true}}, {}};
    task<void> preparing = c.prepare_table(numbers);
    co_await std::move(preparing);
    tally seen;
    {
      pool p(here, {.max_size = 20, .acquire_timeout = 1min});
      task_group keeper;
      keeper.start_background(p.run(), "pool");
      std::vector<task<void>> users;
      for (int i = 0; i < 1'000; ++i) users.push_back(user(p, i, seen));
      task<void> all = gather(std::move(users));
      co_await std::move(all);
      task<void> checking = check_whole(p, 20);
      co_await std::move(checking);
      co_await p.close();
      co_await keeper.join();
    }
    EXPECT_EQ(seen.done + seen.cancelled, 1'000);
    EXPECT_GT(seen.done, 0);
    EXPECT_GT(seen.cancelled, 0);
    task<void> ending = expect_ended(c, seen.sessions);
    co_await std::move(ending);
  });
}

INSTANTIATE_TEST_SUITE_P(all, conformance_storm, ::testing::ValuesIn(all_databases), name_of_tested);

}  // namespace
}  // namespace penstock::db

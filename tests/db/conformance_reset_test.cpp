#include "conformance_fixture.h"
#include <penstock/db/pool.h>

#include <cstdlib>

// A reset that does not come to its end, the same on every database.

namespace penstock::db {
namespace {

// While it lives, libpq asks for a time zone that is not ours: the session's, after the server's own reset.
class other_time_zone {
 public:
  other_time_zone() { ::setenv("PGTZ", "Asia/Tokyo", 1); }
  other_time_zone(const other_time_zone&) = delete;
  other_time_zone& operator=(const other_time_zone&) = delete;
  ~other_time_zone() { ::unsetenv("PGTZ"); }
};

class conformance_reset : public conformance_test {
 protected:
  // True where all is as in a new session.
  std::string settings() const {
    if (is_postgresql()) return "SELECT current_setting('timezone') = 'UTC'";
    if (is_mariadb()) return "SELECT @@sql_mode LIKE '%ANSI_QUOTES%' AND @@time_zone = '+00:00'";
    return "SELECT count(*) = 0 FROM temp.sqlite_schema";
  }
  static task<bool> are_ours(connection& c, std::string settings) {
    task<result> asking = c.query(std::move(settings));
    result r = co_await std::move(asking);
    value told = r.rows.at(0).at(0);
    co_return told == value(true) || told == value(std::int64_t{1});
  }

  // At 0, 20, 40 … µs, until some resets in a row are over before: so at many moments of it, and one reset that was
  // over before by chance, as on a busy machine, ends nothing. Gives how many were cut short.
  template <class After>
  task<int> reset_cut_short(After after) {
    int cuts = 0;
    for (int tries = 0, over_before = 0; over_before < 5 && tries < 5'000; ++tries) {
      task<bool> trying = after(std::chrono::microseconds(20 * tries));
      bool cut = co_await std::move(trying);
      cuts += cut ? 1 : 0;
      over_before = cut ? 0 : over_before + 1;
    }
    co_return cuts;
  }
  // False for a session that was lost over it: what was cut short can't be ended while the server stands still.
  static task<bool> rolls_back(connection& c) {
    task<std::optional<db_errc>> rolling_back = failure_of(c.rollback());
    std::optional<db_errc> failed = co_await std::move(rolling_back);
    EXPECT_EQ(failed, c.state() == session_state::dead ? std::optional(db_errc::connection_lost) : std::nullopt);
    co_return !failed;
  }

 private:
  other_time_zone zone_;
};

TEST_P(conformance_reset, that_is_cut_short_and_rolled_back_leaves_no_session_with_other_settings_in_a_pool) {
  with_connection([this](database& here, connection&) -> task<> {
    auto body = [this](pool& sessions) -> task<void> {
      auto once = [&](duration limit) -> task<bool> {
        bool cut = false;
        {
          pool::lease first = co_await sessions.acquire();
          if (is_sqlite()) co_await first->execute("CREATE TEMPORARY TABLE left_behind(x integer)");
          task<bool> cutting = times_out(limit, first->reset());
          cut = co_await std::move(cutting);
          task<bool> rolling_back = rolls_back(*first);
          co_await std::move(rolling_back);
        }
        pool::lease next = co_await sessions.acquire();
        task<bool> asking = are_ours(*next, settings());
        EXPECT_TRUE(co_await std::move(asking)) << "after " << limit;
        co_return cut;
      };
      task<int> trying = reset_cut_short(once);
      EXPECT_GT(co_await std::move(trying), 0);
    };
    pool_options one;
    one.max_size = 1;
    one.validate_after_idle = 1h;
    task<void> pooled = with_pool(here, one, body);
    co_await std::move(pooled);
  });
}

TEST_P(conformance_reset, that_is_cut_short_leaves_a_session_that_refuses_or_is_right) {
  if (is_sqlite()) GTEST_SKIP() << "SQLite's session is another one once its file is open anew, and not before";
  with_connection([this](database& here, connection&) -> task<> {
    auto once = [&](duration limit) -> task<bool> {
      task<std::unique_ptr<connection>> connecting = here.connect();
      std::unique_ptr<connection> own = co_await std::move(connecting);
      connection& c = *own;
      task<bool> cutting = times_out(limit, c.reset());
      bool cut = co_await std::move(cutting);
      task<bool> rolling_back = rolls_back(c);
      bool is_lost = !co_await std::move(rolling_back);
      if (is_lost) co_return cut;
      bool is_usable = c.state() == session_state::clean;
      task<std::optional<db_errc>> asking = failure_of(c.query("SELECT 1"));
      EXPECT_EQ(co_await std::move(asking), is_usable ? std::nullopt : std::optional(db_errc::other));
      for (bool after_reset : {false, true}) {
        if (after_reset) co_await c.reset();
        if (!after_reset && !is_usable) continue;
        EXPECT_EQ(c.state(), session_state::clean);
        task<bool> looking = are_ours(c, settings());
        EXPECT_TRUE(co_await std::move(looking)) << "after " << limit;
      }
      co_return cut;
    };
    task<int> trying = reset_cut_short(once);
    EXPECT_GT(co_await std::move(trying), 0);
  });
}

INSTANTIATE_TEST_SUITE_P(all, conformance_reset, ::testing::ValuesIn(all_databases), name_of_tested);

}  // namespace
}  // namespace penstock::db

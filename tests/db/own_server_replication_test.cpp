#include "own_server.h"
#include "patience.h"
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>

#include <functional>
#include <string_view>
#include <vector>

// What is said of commits that the other servers of a URL may not have.

namespace penstock::db {
namespace {

class replication_examination : public own_server_test {
 protected:
  // Of the server, by a URL that names it, others, and these options.
  std::vector<finding> found(const std::string& others, const std::string& options = {}) const {
    std::string url = url_;
    url.insert(url.rfind('/'), others);
    std::vector<finding> told;
    auto main = [&]() -> task<> {
      task<std::unique_ptr<connection>> connecting = database(patient(url + options)).connect();
      std::unique_ptr<connection> c = co_await std::move(connecting);
      const expected_load load;
      task<std::vector<finding>> examining = c->examine(load);
      told = co_await std::move(examining);
    };
    net::run(main());
    return told;
  }
  void administer(std::string sql) const {
    auto main = [&]() -> task<> {
      task<std::unique_ptr<connection>> connecting = database(patient(url_)).connect();
      std::unique_ptr<connection> c = co_await std::move(connecting);
      task<std::uint64_t> running = c->execute(sql);
      co_await std::move(running);
    };
    net::run(main());
  }

  static std::string text_of(const std::vector<finding>& found) {
    std::string text;
    for (const finding& f : found) text.append(f.what).append(": ").append(f.means).append("\n");
    return text;
  }
  static bool says(const std::vector<finding>& found, std::string_view part) {
    return text_of(found).find(part) != std::string::npos;
  }

  static constexpr const char* another = ",127.0.0.1:1";
};

TEST_P(replication_examination, tells_of_commits_that_no_other_server_of_the_url_has) {
  start(is_postgresql() ? "" : "log-bin=log server-id=1");
  const char* lost_at_failover = "acknowledged items may be missing on the next one";
  EXPECT_TRUE(says(found(another), lost_at_failover)) << text_of(found(another));
  EXPECT_FALSE(says(found(""), lost_at_failover)) << text_of(found(""));
  EXPECT_FALSE(says(found(another, "?target=any"), lost_at_failover));
  if (is_postgresql()) {
    administer("ALTER SYSTEM SET synchronous_standby_names = 'standby'");
    stop();
    start();
    EXPECT_TRUE(says(found(another), "0 of 1 synchronous standbys"));
    EXPECT_FALSE(says(found(another), lost_at_failover)) << text_of(found(another));
  } else {
    administer("SET GLOBAL rpl_semi_sync_master_enabled = 1, GLOBAL rpl_semi_sync_master_timeout = 4294967295");
    EXPECT_TRUE(says(found(another), "Rpl_semi_sync_master_clients = 0")) << text_of(found(another));
    EXPECT_TRUE(says(found(another), "rpl_semi_sync_master_wait_point = AFTER_COMMIT")) << text_of(found(another));
    EXPECT_FALSE(says(found(another), "asynchronous"));
    EXPECT_TRUE(says(found(""), "may write while the server's read_only is on")) << text_of(found(""));
    EXPECT_FALSE(says(found("", "?target=any"), "may write while"));
    administer("SET GLOBAL read_only = 1");
    EXPECT_FALSE(says(found("", "?target=any"), "semi_sync"));
  }
}

class commit_without_standby : public replication_examination {
 protected:
  // The server tells nobody that a session waits: it is asked again.
  static task<void> cancel_what_waits(connection& watcher) {
    for (int tries = 0; tries < 1'000; ++tries) {
      task<result> asking =
          watcher.query("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
      result asked = co_await std::move(asking);
      if (!asked.rows.empty()) co_return;
      co_await sleep_for(std::chrono::milliseconds(10));
    }
    ADD_FAILURE() << "no session waits for a standby";
  }
  // What it ends with when the wait for the standby is cut short.
  static task<std::optional<db_errc>> failure_when_cut(connection& watcher, task<void> committing) {
    std::optional<db_errc> failure;
    auto commit = [&]() -> task<void> {
      try {
        co_await std::move(committing);
      } catch (const database_error& e) {
        failure = e.errc();
      }
    };
    task_group group;
    group.start(commit());
    task<void> cutting = cancel_what_waits(watcher);
    co_await std::move(cutting);
    task<void> ending = group.join();
    co_await std::move(ending);
    co_return failure;
  }
};

// Then what is stored here may be missing on the server that takes over.
TEST_P(commit_without_standby, is_told_as_in_doubt) {
  if (!is_postgresql()) GTEST_SKIP() << "MariaDB goes on without a standby and tells nobody";
  start();
  administer("CREATE TABLE kept (n integer)");
  administer("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
  stop();
  start();
  auto main = [&]() -> task<> {
    database db(patient(url_));
    std::unique_ptr<connection> c = co_await db.connect();
    std::unique_ptr<connection> watcher = co_await db.connect();
    auto execute = [&]() -> task<void> { co_await c->execute("INSERT INTO kept VALUES (1)"); };
    task<std::optional<db_errc>> cut = failure_when_cut(*watcher, execute());
    EXPECT_EQ(co_await std::move(cut), db_errc::ambiguous_commit);
    co_await c->begin();
    co_await c->execute("INSERT INTO kept VALUES (2)");
    cut = failure_when_cut(*watcher, c->commit());
    EXPECT_EQ(co_await std::move(cut), db_errc::ambiguous_commit);
    const table_definition kept{"kept", "", {{"n", column_type::integer}}, {}};
    row_batch rows(1);
    rows.add_integer(3);
    rows.commit_row();
    batch_report report;
    cut = failure_when_cut(*watcher, c->insert_batch(kept, rows, report));
    EXPECT_EQ(co_await std::move(cut), db_errc::ambiguous_commit);
    result found = co_await watcher->query("SELECT n FROM kept ORDER BY n");
    EXPECT_EQ(found.rows.size(), 3u);
  };
  net::run(main());
}

INSTANTIATE_TEST_SUITE_P(of, commit_without_standby, ::testing::ValuesIn(all_server_kinds), name_of_kind);
INSTANTIATE_TEST_SUITE_P(of, replication_examination, ::testing::ValuesIn(all_server_kinds), name_of_kind);

}  // namespace
}  // namespace penstock::db

#include "own_server.h"
#include "patience.h"

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

INSTANTIATE_TEST_SUITE_P(of, replication_examination, ::testing::ValuesIn(all_server_kinds), name_of_kind);

}  // namespace
}  // namespace penstock::db

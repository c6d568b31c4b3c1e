#include "db/host_rotation.h"

#include "fake_database.h"
#include <penstock/async/gather.h>
#include <penstock/async/timeout.h>
#include <penstock/db/error.h>
#include <penstock/testing/simulation.h>

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace penstock::db {
namespace {

using namespace std::chrono_literals;

// Three servers, each of which accepts, refuses, or never answers.
class servers {
 public:
  enum class kind { accepts, refuses, is_silent, is_read_only, is_locked };

  explicit servers(std::vector<kind> kinds) : kinds(std::move(kinds)) {}

  task<std::unique_ptr<connection>> connect() {
    return rotation.connect([this](const server_address& at) { return open(at); });
  }
  task<std::unique_ptr<connection>> open(const server_address& at) {
    tried += at.host;
    switch (kinds[static_cast<std::size_t>(at.host[0] - 'a')]) {
      case kind::accepts:
        break;
      case kind::refuses:
        throw database_error(db_errc::connection_lost, "refused");
      case kind::is_silent:
        co_await sleep_for(1h);
        break;
      case kind::is_read_only:
        throw database_error(db_errc::read_only, "takes no writes");
      case kind::is_locked:
        throw database_error(db_errc::auth, "the account is locked");
    }
    auto connecting = fake.connect();
    co_return co_await std::move(connecting);
  }

  std::vector<kind> kinds;
  server_url url = parse_server_url("mariadb://a,b,c/shop?connect_timeout=2s", 3306);
  host_rotation rotation{url};
  fake_driver fake{std::make_shared<fake_server>()};
  std::string tried;
};

using kind = servers::kind;

TEST(host_rotation, passes_over_servers_that_refuse_or_take_no_writes) {
  testing::simulation simulated;
  servers three({kind::refuses, kind::is_read_only, kind::accepts});
  simulated.run(three.connect());
  EXPECT_EQ(three.tried, "abc");
}

TEST(host_rotation, begins_with_the_server_that_worked_last) {
  testing::simulation simulated;
  servers three({kind::refuses, kind::accepts, kind::accepts});
  simulated.run(three.connect());
  simulated.run(three.connect());
  EXPECT_EQ(three.tried, "abb");
}

TEST(host_rotation, begins_behind_a_server_that_is_to_be_passed_over) {
  testing::simulation simulated;
  servers three({kind::accepts, kind::is_read_only, kind::accepts});
  simulated.run(three.connect());
  three.rotation.pass_over(three.url.addresses[0]);
  three.rotation.pass_over(three.url.addresses[0]);  // it is by now
  simulated.run(three.connect());
  EXPECT_EQ(three.tried, "abc");
  three.rotation.pass_over(three.url.addresses[2]);
  simulated.run(three.connect());
  EXPECT_EQ(three.tried, "abca");
}

TEST(host_rotation, gives_a_silent_server_no_more_than_its_time) {
  testing::simulation simulated;
  time_point start = simulated.now();
  servers three({kind::is_silent, kind::accepts, kind::accepts});
  simulated.run(three.connect());
  EXPECT_EQ(three.tried, "ab");
  EXPECT_EQ(simulated.now() - start, 2s + 5ms);
}

TEST(host_rotation, has_moved_on_when_an_attempt_is_cut_short) {
  testing::simulation simulated;
  servers three({kind::is_silent, kind::accepts, kind::accepts});
  EXPECT_THROW(simulated.run(with_timeout(1s, three.connect())), timed_out);
  simulated.run(three.connect());
  EXPECT_EQ(three.tried, "ab");
}

TEST(host_rotation, begins_with_the_same_server_for_all_who_connect_at_the_same_time) {
  testing::simulation simulated;
  servers three({kind::accepts, kind::is_silent, kind::is_silent});
  auto both = [&]() -> task<> {
    auto connecting = gather(three.connect(), three.connect());
    co_await std::move(connecting);
  };
  simulated.run(both());
  EXPECT_EQ(three.tried, "aa");
}

TEST(host_rotation, says_of_each_server_why_none_could_be_used) {
  testing::simulation simulated;
  servers three({kind::is_silent, kind::is_read_only, kind::refuses});
  try {
    simulated.run(three.connect());
    ADD_FAILURE() << "connected";
  } catch (const database_error& e) {
    EXPECT_TRUE(e.is_transient());
    for (const char* part : {"a:3306: ", "no answer within 2s", "b:3306: takes no writes", "c:3306: refused"})
      EXPECT_NE(e.message().find(part), std::string::npos) << e.message();
  }
}

// One that refuses the account for good does not keep a pool from waiting for the others.
TEST(host_rotation, fails_for_now_while_any_server_may_come_back) {
  using enum kind;
  for (const std::vector<kind>& kinds : {std::vector{is_locked, refuses, is_locked},
                                         {refuses, is_locked, is_locked},
                                         {is_locked, is_locked, is_read_only},
                                         {is_locked, is_locked, is_locked}}) {
    testing::simulation simulated;
    servers three(kinds);
    db_errc errc = db_errc::other;
    try {
      simulated.run(three.connect());
    } catch (const database_error& e) {
      errc = e.errc();
    }
    bool passes = kinds != std::vector{is_locked, is_locked, is_locked};
    EXPECT_EQ(database_error(errc, "").is_transient(), passes) << code_name(errc);
    EXPECT_EQ(errc == db_errc::auth, !passes) << code_name(errc);
  }
}

TEST(host_rotation, gives_each_address_of_a_host_its_share_of_the_time_that_is_left) {
  penstock::testing::simulation sim;
  auto main = [&]() -> task<> {
    EXPECT_EQ(share_of_time_left(2), duration::max());
    auto body = [&]() -> task<> {
      EXPECT_EQ(share_of_time_left(3), 2s);
      co_await sleep_for(2s);
      EXPECT_EQ(share_of_time_left(2), 1s);
      co_await sleep_for(1s);
      EXPECT_EQ(share_of_time_left(1), 1s);
    };
    task<void> limited = with_timeout(4s, body());
    co_await std::move(limited);
  };
  sim.run(main());
}

}  // namespace
}  // namespace penstock::db

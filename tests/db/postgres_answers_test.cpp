#include "meddling_proxy.h"
#include "server_fixture.h"
#include <penstock/db/error.h>

#include <algorithm>
#include <optional>

#include <gtest/gtest.h>

// Answers that are not what a server should say.

namespace penstock::db {
namespace {

class postgres_answers : public server_test {
 protected:
  postgres_answers() : server_test("TESTED_POSTGRESQL") {}

  // Runs `body(proxy, connection by way of it)`.
  template <class Body>
  void with_proxy(Body body) {
    net::run(with_meddling_proxy(url(), [&](meddling_proxy& proxy, std::string by_way) -> task<> {
      task<std::unique_ptr<connection>> connecting = database(by_way).connect();
      std::unique_ptr<connection> c = co_await std::move(connecting);
      task<void> running = body(proxy, *c);
      co_await std::move(running);
    }));
  }

  static task<void> divide(connection& c, int by) {
    task<result> asking = c.query("SELECT 1 / ?::integer", parameters_of(by));
    co_await std::move(asking);
  }
};

TEST_F(postgres_answers, an_error_that_the_server_has_classed_leaves_the_session_in_use) {
  with_proxy([](meddling_proxy&, connection& c) -> task<> {
    std::optional<db_errc> failed;
    try {
      co_await divide(c, 0);
    } catch (const database_error& e) {
      failed = e.errc();
    }
    EXPECT_EQ(failed, db_errc::data);
    EXPECT_EQ(c.state(), session_state::clean);
    co_await divide(c, 1);
  });
}

TEST_F(postgres_answers, an_error_without_a_class_is_the_end_of_the_session) {
  with_proxy([](meddling_proxy& proxy, connection& c) -> task<> {
    proxy.change_answers([](std::span<char> said) {
      constexpr std::string_view code("C22012\0", 7);
      auto at = std::search(said.begin(), said.end(), code.begin(), code.end());
      if (at != said.end()) *at = '~';  // a field that the protocol does not know is passed over (55.7)
    });
    bool failed = false;
    try {
      co_await divide(c, 0);
    } catch (const database_error&) {
      failed = true;
    }
    EXPECT_TRUE(failed);
    EXPECT_EQ(c.state(), session_state::dead) << "nobody knows what the server says next";
  });
}

// As pgpool-II in raw mode: what is stored without a transaction of one's own would be undone later on.
TEST_F(postgres_answers, a_transaction_that_nobody_began_is_the_end_of_the_session) {
  with_proxy([](meddling_proxy& proxy, connection& c) -> task<> {
    proxy.change_answers([](std::span<char> said) {
      constexpr std::string_view ready("Z\0\0\0\5I", 6);
      auto at = std::search(said.begin(), said.end(), ready.begin(), ready.end());
      if (at != said.end()) *(at + 5) = 'T';
    });
    std::string told;
    try {
      co_await divide(c, 1);
    } catch (const database_error& e) {
      told = e.message();
    }
    EXPECT_NE(told.find("begins transactions by itself"), std::string::npos) << told;
    EXPECT_EQ(c.state(), session_state::dead);
  });
}

// Poolers, and triggers of the login, refuse with any code; a service that starts then waits.
TEST_F(postgres_answers, a_login_fails_for_good_only_where_the_account_or_what_it_asks_for_is_wrong) {
  net::run(with_meddling_proxy(url(), [](meddling_proxy& proxy, std::string by_way) -> task<> {
    by_way.replace(by_way.rfind("/penstock"), std::string::npos, "/no_such_database");
    for (auto [code, expected] : {std::pair("3D000", db_errc::syntax), std::pair("XX000", db_errc::connection_lost),
                                  std::pair("08P01", db_errc::other), std::pair("P0001", db_errc::connection_lost),
                                  std::pair("28000", db_errc::auth), std::pair("53300", db_errc::too_many_connections),
                                  std::pair("22023", db_errc::data)}) {
      proxy.change_answers([code = std::string(code)](std::span<char> said) {
        constexpr std::string_view sent("C3D000");
        auto at = std::search(said.begin(), said.end(), sent.begin(), sent.end());
        if (at != said.end()) std::copy(code.begin(), code.end(), at + 1);
      });
      std::optional<db_errc> failed;
      try {
        database there(by_way);
        task<std::unique_ptr<connection>> connecting = there.connect();
        co_await std::move(connecting);
      } catch (const database_error& e) {
        failed = e.errc();
      }
      EXPECT_EQ(failed, expected) << code;
    }
  }));
}

}  // namespace
}  // namespace penstock::db

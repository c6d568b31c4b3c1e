#include "mariadb_server.h"

#include <initializer_list>

// What is found out about the rights of accounts, by accounts that have them from various places.

namespace penstock::db {
namespace {

class mariadb_examination : public mariadb_test {
 protected:
  void SetUp() override {
    mariadb_test::SetUp();
    if (IsSkipped()) return;
    administer("CREATE USER " + account() + " IDENTIFIED BY 'only for tests'");
    administer("CREATE ROLE " + role());
  }
  void TearDown() override {
    if (!IsSkipped()) {
      administer("DROP USER " + account());
      administer("DROP ROLE " + role());
    }
    mariadb_test::TearDown();
  }

  std::string account() const { return "limited_" + name_; }
  std::string role() const { return "role_" + name_; }
  std::string everything_in_it() const { return "`" + name_ + "`.*"; }
  void make_tables() {
    for (const char* table : {"orders", "penstock_writer"})
      administer("CREATE TABLE " + name_ + "." + table + "(id BIGINT PRIMARY KEY, v TEXT) ENGINE=InnoDB");
  }

  std::string url_of_account() const {
    std::string scheme = server_.substr(0, server_.find("//") + 2);
    std::string host = server_.substr(server_.rfind('@'));
    return scheme + account() + ":only%20for%20tests" + host.substr(0, host.rfind('/') + 1) + name_;
  }

  // What the account is told in findings that begin so, and how bad that is.
  std::vector<finding> told(std::string_view beginning, std::size_t sessions = 1) {
    std::vector<finding> told;
    auto main = [&]() -> task<> {
      task<std::unique_ptr<connection>> connecting = database(patient(url_of_account())).connect();
      std::unique_ptr<connection> c = co_await std::move(connecting);
      expected_load load;
      load.sessions = sessions;
      load.tables = {{"orders", {"SELECT", "INSERT"}, "id"},
                     {"penstock_writer", {"SELECT", "INSERT", "UPDATE", "DELETE"}}};
      task<std::vector<finding>> examining = c->examine(load);
      for (finding& f : co_await std::move(examining))
        if (f.what.starts_with(beginning)) told.push_back(std::move(f));
    };
    net::run(main());
    return told;
  }
  std::vector<finding> lacking() { return told("no right"); }

  void expect_nothing_lacking(const std::string& because) {
    for (const finding& f : lacking()) ADD_FAILURE() << because << ": " << f.what;
  }
};

TEST_F(mariadb_examination, an_account_with_rights_to_its_database_lacks_none) {
  administer("GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON " + everything_in_it() + " TO " + account());
  expect_nothing_lacking("before the tables are made");
  make_tables();
  expect_nothing_lacking("with the tables");
}

TEST_F(mariadb_examination, an_account_with_rights_to_databases_of_a_pattern_lacks_none) {
  std::string pattern = "`penstock\\_" + name_.substr(name_.find('_') + 1, 2) + "%`.*";
  administer("GRANT ALL ON " + pattern + " TO " + account());
  expect_nothing_lacking("before the tables are made");
  make_tables();
  expect_nothing_lacking("with the tables");
}

TEST_F(mariadb_examination, an_account_with_rights_by_its_role_lacks_none) {
  administer("GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON " + everything_in_it() + " TO " + role());
  administer("GRANT " + role() + " TO " + account());
  administer("SET DEFAULT ROLE " + role() + (is_mysql() ? " TO " : " FOR ") + account());
  expect_nothing_lacking("before the tables are made");
  make_tables();
  expect_nothing_lacking("with the tables");
}

TEST_F(mariadb_examination, an_account_with_rights_to_the_tables_and_columns_that_it_needs_lacks_none) {
  make_tables();
  administer("GRANT SELECT, INSERT (v) ON " + name_ + ".orders TO " + account());
  administer("GRANT SELECT, INSERT, UPDATE (v), DELETE ON " + name_ + ".penstock_writer TO " + account());
  expect_nothing_lacking("with the tables");
}

TEST_F(mariadb_examination, a_right_to_a_table_that_is_lacking_is_an_error_with_what_grants_it) {
  make_tables();
  administer("GRANT SELECT, INSERT, UPDATE ON " + everything_in_it() + " TO " + account());
  std::vector<finding> found = lacking();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].how, finding::level::error);
  EXPECT_EQ(found[0].what, "no right to DELETE in table `" + name_ + "`.`penstock_writer`");
  EXPECT_EQ(found[0].change, "GRANT DELETE ON `" + name_ + "`.`penstock_writer` TO this account");
}

TEST_F(mariadb_examination, an_account_that_may_not_make_the_tables_that_are_missing_is_told) {
  administer("GRANT SELECT, INSERT, UPDATE, DELETE ON " + everything_in_it() + " TO " + account());
  std::vector<finding> found = lacking();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].how, finding::level::error);
  EXPECT_EQ(found[0].what, "no right to CREATE in database `" + name_ + "`");
  EXPECT_NE(found[0].means.find("`orders`, `penstock_writer`"), std::string::npos) << found[0].means;
}

TEST_F(mariadb_examination, a_right_that_missing_tables_will_need_is_missed_beforehand) {
  administer("GRANT SELECT, INSERT, UPDATE, CREATE ON " + everything_in_it() + " TO " + account());
  std::vector<finding> found = lacking();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].what, "no right to DELETE in database `" + name_ + "`");
}

TEST_F(mariadb_examination, an_account_that_gets_fewer_sessions_than_are_used_is_told) {
  administer("GRANT SELECT ON " + everything_in_it() + " TO " + account());
  EXPECT_TRUE(told("max_user_connections", 34).empty());
  administer("ALTER USER " + account() + " WITH MAX_USER_CONNECTIONS 6");
  std::vector<finding> found = told("max_user_connections", 34);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].how, finding::level::warning);
  EXPECT_EQ(found[0].what, "max_user_connections = 6");
  EXPECT_NE(found[0].change.find("WITH MAX_USER_CONNECTIONS 68"), std::string::npos) << found[0].change;
  EXPECT_TRUE(told("max_user_connections", 6).empty());
}

TEST_F(mariadb_examination, ids_that_are_nearly_used_up_are_told) {
  struct made {
    const char* type;
    const char* next;
    const char* told;
    finding::level how = finding::level::note;
  };
  const made tables[] = {
      {"INT", "2000000001", "ids of table `orders` up to 2000000000 of 2147483647", finding::level::warning},
      {"INT UNSIGNED", "2000000001", nullptr},
      {"TINYINT", "128", "ids of table `orders` up to 127 of 127", finding::level::error},
      {"BIGINT UNSIGNED", "9223372036854775809", nullptr},
      {"BIGINT", "9000000000000000001", "ids of table `orders` up to 9000000000000000000 of 9223372036854775807",
       finding::level::warning},
  };
  administer("GRANT ALL ON " + everything_in_it() + " TO " + account());
  for (const made& table : tables) {
    administer("CREATE TABLE " + name_ + ".orders (id " + table.type +
               " AUTO_INCREMENT PRIMARY KEY) ENGINE=InnoDB AUTO_INCREMENT=" + table.next);
    std::vector<finding> found = told("ids of table");
    std::vector<std::string> said;
    for (const finding& f : found) said.push_back(f.what);
    EXPECT_EQ(said, table.told == nullptr ? std::vector<std::string>() : std::vector<std::string>{table.told});
    for (const finding& f : found) EXPECT_EQ(f.how, table.how) << table.type;
    administer("DROP TABLE " + name_ + ".orders");
  }
}

// MySQL keeps what it has told for a day.
TEST_F(mariadb_examination, ids_that_are_nearly_used_up_are_told_also_after_an_earlier_look) {
  administer("GRANT ALL ON " + everything_in_it() + " TO " + account());
  administer("CREATE TABLE " + name_ + ".orders (id TINYINT AUTO_INCREMENT PRIMARY KEY, v TEXT) ENGINE=InnoDB");
  administer("INSERT INTO " + name_ + ".orders(v) VALUES ('x')");
  EXPECT_TRUE(told("ids of table").empty());
  administer("INSERT INTO " + name_ + ".orders(id) VALUES (119)");
  std::vector<finding> found = told("ids of table");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].what, "ids of table `orders` up to 119 of 127");
  EXPECT_EQ(found[0].how, finding::level::warning);
  administer("INSERT INTO " + name_ + ".orders(id) VALUES (127)");
  found = told("ids of table");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].what, "ids of table `orders` up to 127 of 127");
  EXPECT_EQ(found[0].how, finding::level::error);
  administer("REVOKE ALL ON " + everything_in_it() + " FROM " + account());
  administer("GRANT INSERT ON " + everything_in_it() + " TO " + account());
  EXPECT_EQ(told("ids of table").size(), 1u);
}

// A pool resets what is altered.
TEST_F(mariadb_examination, a_right_that_was_missing_and_is_given_is_seen_after_a_reset_wherever_it_comes_from) {
  make_tables();
  for (const std::string& where : {everything_in_it(), std::string("*.*"), role()}) {
    administer("GRANT SELECT ON " + everything_in_it() + " TO " + account());
    auto main = [&]() -> task<> {
      task<std::unique_ptr<connection>> connecting = database(patient(url_of_account())).connect();
      std::unique_ptr<connection> c = co_await std::move(connecting);
      task<std::unique_ptr<connection>> connecting_admin = database(patient(server_)).connect();
      std::unique_ptr<connection> admin = co_await std::move(connecting_admin);
      const std::string sql = "INSERT INTO orders VALUES (1, 'x')";
      EXPECT_EQ(co_await failure_of(*c, sql), db_errc::auth) << where;
      EXPECT_TRUE(c->altered());
      if (where == role()) {
        co_await admin->execute("GRANT INSERT ON " + everything_in_it() + " TO " + role());
        co_await admin->execute("GRANT " + role() + " TO " + account());
        co_await admin->execute("SET DEFAULT ROLE " + role() + (is_mysql() ? " TO " : " FOR ") + account());
      } else {
        co_await admin->execute("GRANT INSERT ON " + where + " TO " + account());
      }
      co_await c->reset();
      EXPECT_FALSE(c->altered());
      EXPECT_EQ(co_await failure_of(*c, sql), std::nullopt) << where;
      co_await admin->execute("DELETE FROM " + name_ + ".orders");
      co_await admin->execute("REVOKE ALL PRIVILEGES, GRANT OPTION FROM " + account());
    };
    net::run(main());
  }
}

TEST_F(mariadb_examination, an_engine_that_every_table_gets_is_told_where_a_table_is_missing) {
  if (is_mysql()) GTEST_SKIP() << "MySQL has no such setting";
  with_session([&](connection& c) -> task<> {
    expected_load load;
    load.tables = {{"orders", {"INSERT"}, "id"}};
    auto told = [&]() -> task<std::string> {
      task<std::vector<finding>> examining = c.examine(load);
      std::string found;
      for (const finding& f : co_await std::move(examining))
        if (f.how == finding::level::error) found += f.what + "\n";
      co_return found;
    };
    EXPECT_EQ(co_await told(), "");
    co_await c.execute("SET SESSION enforce_storage_engine = Aria");
    EXPECT_EQ(co_await told(), "enforce_storage_engine = Aria\n");
    co_await c.execute("SET SESSION enforce_storage_engine = InnoDB");
    EXPECT_EQ(co_await told(), "");
    make_tables();
    co_await c.execute("SET SESSION enforce_storage_engine = Aria");
    EXPECT_EQ(co_await told(), "");
  });
}

}  // namespace
}  // namespace penstock::db

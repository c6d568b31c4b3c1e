#include "db/mariadb/table_engine.h"
#include "db/mariadb/wire.h"
#include "mariadb_server.h"
#include "table_drift.h"

#include <string>

// In tables of which engines rows are stored once and for good.

namespace penstock::db {
namespace {

// As information_schema.ENGINES has them.
struct engine {
  const char* name;
  const char* transactions;
  const char* two_phases;
  const char* said;  // nothing where its tables fit
};

TEST(mariadb_engine, fits_where_it_keeps_rows_here_and_has_transactions) {
  const engine engines[] = {
      {"InnoDB", "YES", "YES", ""},
      {"ROCKSDB", "YES", "YES", ""},
      {"TokuDB", "YES", "YES", ""},
      {"ndbcluster", "YES", "NO", ""},
      {"MyISAM", "NO", "NO", "its engine MyISAM has no transactions"},
      {"FEDERATED", "YES", "NO", "its engine FEDERATED keeps rows on another server"},  // MariaDB's
      {"FEDERATED", "NO", "NO", "its engine FEDERATED keeps rows on another server"},   // MySQL's
      {"SPIDER", "YES", "YES", "its engine SPIDER keeps rows on another server"},
      {"Columnstore", "YES", "NO", "its engine Columnstore does not commit together with InnoDB"},
  };
  for (const engine& e : engines) {
    mariadb::text_result told;
    told.rows = {{e.name, e.transactions, e.two_phases}};
    EXPECT_EQ(mariadb::engine_difference(told).value_or("").substr(0, std::string(e.said).size()), e.said);
    EXPECT_EQ(mariadb::engine_difference(told).has_value(), e.said != std::string()) << e.name;
  }
}

TEST(mariadb_engine, of_a_view_is_none) {
  mariadb::text_result told;
  EXPECT_FALSE(mariadb::engine_difference(told).has_value());
  told.rows = {{std::nullopt, std::nullopt, std::nullopt}};
  EXPECT_FALSE(mariadb::engine_difference(told).has_value());
}

class mariadb_tables_elsewhere : public mariadb_test {
 protected:
  // False where the server has no such plugin, or does not load it for this account.
  bool load_federated() {
    try {
      administer("INSTALL SONAME 'ha_federatedx'");
      return true;
    } catch (const database_error&) {
      return false;
    }
  }
  std::string options() const {
    std::string at = server_.substr(server_.rfind('@') + 1);
    std::size_t colon = at.rfind(':');
    return "HOST '" + at.substr(0, colon) + "', PORT " + at.substr(colon + 1, at.rfind('/') - colon - 1) +
           ", USER 'penstock', PASSWORD 'only for tests', DATABASE '" + name_ + "'";
  }
};

TEST_F(mariadb_tables_elsewhere, do_not_fit) {
  if (!load_federated()) GTEST_SKIP() << "the server has no FEDERATED engine";
  with_session([&](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE there(id BIGINT AUTO_INCREMENT PRIMARY KEY, n BIGINT)");
    co_await c.execute("CREATE SERVER " + name_ + " FOREIGN DATA WRAPPER mysql OPTIONS (" + options() + ")");
    co_await c.execute(
        "CREATE TABLE here(id BIGINT AUTO_INCREMENT PRIMARY KEY, n BIGINT) ENGINE=FEDERATED CONNECTION='" + name_ +
        "/there'");
    const table_definition wanted{"here", "id", {{"n", column_type::integer}}, {}};
    task<std::string> preparing = drift_of(c, wanted);
    std::string said = co_await std::move(preparing);
    EXPECT_NE(said.find("engine FEDERATED keeps rows on another server"), std::string::npos) << said;
    co_await c.execute("DROP TABLE here");
    co_await c.execute("DROP SERVER " + name_);
  });
  administer("UNINSTALL SONAME 'ha_federatedx'");
}

}  // namespace
}  // namespace penstock::db

#include "db/mariadb/table_engine.h"
#include "db/mariadb/wire.h"

#include <optional>
#include <string>

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace penstock::db

#include "table_engine.h"

#include "sql.h"
#include "wire.h"
#include "wire_text.h"

namespace penstock::db::mariadb {

std::string engine_sql(const std::string& table) {
  std::string sql =
      "SELECT t.ENGINE, e.TRANSACTIONS, e.XA FROM information_schema.TABLES t LEFT JOIN information_schema.ENGINES e "
      "ON e.ENGINE = t.ENGINE WHERE t.TABLE_SCHEMA = DATABASE() AND t.TABLE_NAME = ";
  append_quoted(sql, table);
  return sql;
}

// A batch's mark is in an InnoDB table, and lasts if and only if its rows do where both engines have two phases of
// commit. Spider says that it has, but the other server commits by itself. NDB Cluster says that it has not, and is
// taken, since the mark's table may be there too.
std::optional<std::string> engine_difference(const text_result& engine) {
  if (engine.rows.empty() || !engine.rows[0][0]) return std::nullopt;
  const std::string& name = *engine.rows[0][0];
  if (name == "InnoDB") return std::nullopt;
  const std::string told = "its engine " + name;
  if (same_name(name, "FEDERATED") || same_name(name, "SPIDER"))
    return told +
           " keeps rows on another server, which commits them by itself: after a crash they would be stored twice; "
           "make it InnoDB";
  if (engine.rows[0][1] != "YES") return told + " has no transactions: make it InnoDB";
  if (engine.rows[0][2] != "YES" && !same_name(name, "ndbcluster"))
    return told + " does not commit together with InnoDB: after a crash rows would be stored twice; make it InnoDB";
  return std::nullopt;
}

}  // namespace penstock::db::mariadb

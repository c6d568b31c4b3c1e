#include "failure.h"
#include "session.h"

#include <string_view>

// Refusals that are no row's fault: of what the table gives to its rows itself.

namespace penstock::db::postgres {
namespace {

constexpr std::size_t most_doubts = 4;

std::string field(const PGresult* r, int code) {
  const char* text = PQresultErrorField(r, code);
  return text == nullptr ? std::string() : text;
}

// Whether nothing but the table gives the ids (no trigger for INSERT, no rule); whether the index is over them; and
// whether no column that rows fill decides about the partition.
constexpr std::string_view question =
    "WITH t AS (SELECT c.oid, c.relhasrules FROM pg_class AS c WHERE c.oid = to_regclass(?)), "
    "tree AS (SELECT oid FROM t UNION SELECT p.relid FROM t, pg_partition_tree(t.oid) AS p) "
    "SELECT NOT t.relhasrules AND NOT EXISTS (SELECT FROM pg_trigger AS g JOIN tree ON tree.oid = g.tgrelid "
    "WHERE NOT g.tgisinternal AND g.tgtype & 4 <> 0), "
    "EXISTS (SELECT FROM pg_index AS i JOIN tree ON tree.oid = i.indrelid JOIN pg_class AS x ON x.oid = i.indexrelid "
    "JOIN pg_class AS owner ON owner.oid = i.indrelid JOIN pg_attribute AS a ON a.attrelid = i.indrelid "
    "AND a.attnum = ANY (i.indkey) WHERE i.indisunique AND owner.relname = ? AND x.relname = ? AND a.attname = ?), "
    "NOT EXISTS (SELECT FROM pg_partitioned_table AS p JOIN tree ON tree.oid = p.partrelid "
    "CROSS JOIN unnest(p.partattrs::int2[]) AS k (number) LEFT JOIN pg_attribute AS a ON a.attrelid = p.partrelid "
    "AND a.attnum = k.number WHERE k.number = 0 OR a.attgenerated <> '' OR a.attname = ANY (?::text[])) "
    "FROM t";

}  // namespace

void session::note_doubt(const PGresult* refused) {
  bool is_taken = sqlstate_of(refused) == "23505";
  bool lacks_partition = field(refused, PG_DIAG_SOURCE_FUNCTION) == "ExecFindPartition";
  if ((!is_taken && !lacks_partition) || doubts_.size() >= most_doubts) return;
  doubt d{field(refused, PG_DIAG_TABLE_NAME), field(refused, PG_DIAG_CONSTRAINT_NAME), lacks_partition,
          said_by(refused)};
  for (const doubt& known : doubts_)
    if (known.table == d.table && known.constraint == d.constraint) return;
  doubts_.push_back(std::move(d));
}

task<void> session::settle_doubts(const table_definition& into) {
  std::vector<doubt> doubts = std::exchange(doubts_, {});
  std::string filled;
  for (const table_column& column : into.columns)
    filled += (filled.empty() ? "{" : ",") + quote_identifier(column.name);
  filled += '}';
  for (const doubt& d : doubts) {
    parameters asked = parameters_of(quote_table(into.name), d.table, d.constraint, into.id_column, filled);
    task<result> asking = query(std::string(question), std::move(asked));
    result answer = co_await std::move(asking);
    if (answer.rows.empty()) continue;
    const std::vector<value>& told = answer.rows.front();
    bool is_tables = std::get<bool>(told.at(0)) && std::get<bool>(told.at(d.lacks_partition ? 2 : 1));
    if (!is_tables) continue;
    throw database_error(db_errc::table_drift,
                         "PostgreSQL, insert into " + into.name + ": " +
                             (d.lacks_partition ? "no partition takes what the table itself fills in: "
                                                : "the table gives rows ids that others have: ") +
                             d.said);
  }
}

}  // namespace penstock::db::postgres

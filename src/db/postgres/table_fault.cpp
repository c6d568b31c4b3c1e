#include "failure.h"
#include "session.h"

#include <algorithm>
#include <string_view>
#include <utility>

// Refusals that are no row's fault: of what the table gives to its rows itself.

namespace penstock::db::postgres {
namespace {

constexpr std::size_t most_doubts = 4;

std::string field(const PGresult* r, int code) {
  const char* text = PQresultErrorField(r, code);
  return text == nullptr ? std::string() : text;
}

bool fills(const table_definition& into, std::string_view column) {
  return std::any_of(into.columns.begin(), into.columns.end(),
                     [&](const table_column& filled) { return filled.name == column; });
}

// Whether the complaint is of the table itself and nothing but the table gives the ids (no trigger for INSERT, no
// rule); whether the index is over them; whether no column that differs by row decides about the partition, or brought
// them there: a table depends on those of its key (StorePartitionKey in src/backend/catalog/heap.c); and whether it is
// a column that nothing is computed into.
std::string question(const table_definition& into) {
  std::string filled;
  for (const table_column& column : into.columns)
    if (!column.given_by_writer) filled += (filled.empty() ? "" : ", ") + in_quotes(column.name);
  if (filled.empty()) filled = "NULL";
  return "WITH t AS (SELECT c.oid, c.relhasrules FROM pg_class AS c WHERE c.oid = to_regclass(?)), "
         "tree AS (SELECT oid FROM t UNION SELECT p.relid FROM t, pg_partition_tree(t.oid) AS p), "
         "owner AS (SELECT c.oid FROM tree JOIN pg_class AS c ON c.oid = tree.oid "
         "WHERE c.relnamespace::regnamespace::text = quote_ident(?) AND c.relname = ?) "
         "SELECT EXISTS (SELECT FROM owner) AND NOT t.relhasrules AND NOT EXISTS (SELECT FROM pg_trigger AS g "
         "JOIN tree ON tree.oid = g.tgrelid WHERE NOT g.tgisinternal AND g.tgtype & 4 <> 0), "
         "EXISTS (SELECT FROM owner JOIN pg_index AS i ON i.indrelid = owner.oid JOIN pg_class AS x "
         "ON x.oid = i.indexrelid CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place) "
         "JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number "
         "WHERE i.indisunique AND k.place <= i.indnkeyatts AND x.relname = ? AND a.attname = ? "
         "AND a.attgenerated = ''), "
         "NOT EXISTS (SELECT FROM owner CROSS JOIN pg_partition_ancestors(owner.oid) AS p "
         "JOIN pg_depend AS d ON d.objid = p.relid AND d.objsubid > 0 AND d.classid = 'pg_class'::regclass "
         "AND d.refclassid = 'pg_class'::regclass AND d.refobjid = p.relid AND d.refobjsubid = 0 "
         "JOIN pg_attribute AS a ON a.attrelid = p.relid AND a.attnum = d.objsubid WHERE a.attgenerated <> '' OR "
         "a.attname IN (" +
         filled +
         ")), EXISTS (SELECT FROM owner JOIN pg_attribute AS a ON a.attrelid = owner.oid WHERE a.attname = ? "
         "AND a.attgenerated = '') FROM t";
}

// Whether the sequence has gone beyond what the ids' column holds, and nothing but it gives ids.
const std::string question_of_range =
    "SELECT CASE WHEN has_sequence_privilege(s.oid, 'USAGE, SELECT') THEN pg_sequence_last_value(s.oid) END > "
    "CASE y.oid WHEN 'smallint'::regtype THEN 32767 ELSE 2147483647 END "
    "AND NOT c.relhasrules AND NOT EXISTS (SELECT FROM pg_trigger AS g WHERE NOT g.tgisinternal "
    "AND g.tgtype & 4 <> 0 AND (g.tgrelid = c.oid OR g.tgrelid IN (SELECT relid FROM pg_partition_tree(c.oid)))) "
    "FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_type AS given ON given.oid = a.atttypid "
    "JOIN pg_type AS y ON y.oid = COALESCE(NULLIF(given.typbasetype, 0), given.oid) "
    "JOIN pg_class AS s ON s.oid = to_regclass(?) WHERE a.attrelid = to_regclass(?) AND a.attname = ? "
    "AND y.oid IN ('smallint'::regtype, 'integer'::regtype)";

// Whether row-level security holds for this account and no policy lets it do some of what storing a row needs
// (https://www.postgresql.org/docs/current/ddl-rowsecurity.html): a table has each, or all, but for no policy at all.
constexpr const char* question_of_policies =
    "SELECT EXISTS (SELECT FROM unnest(string_to_array(?, ',')) AS needs WHERE NOT EXISTS (SELECT FROM pg_policy AS p "
    "WHERE p.polrelid = t.oid AND p.polpermissive AND p.polcmd::text IN (needs, '*') AND (p.polroles = '{0}' "
    "OR EXISTS (SELECT FROM unnest(p.polroles) AS r WHERE pg_has_role(r, 'USAGE'))))) "
    "FROM (SELECT to_regclass(?)::oid AS oid) AS t WHERE row_security_active(t.oid)";

}  // namespace

task<bool> session::may_not_pass_policies(const table_definition& into) {
  std::string commands = into.id_column.empty() && into.unique_key.empty() ? "a" : "a,r";
  task<result> asking = query(question_of_policies, parameters_of(std::move(commands), quote_table(into.name)));
  result answer = co_await std::move(asking);
  co_return !answer.rows.empty() && std::get<bool>(answer.rows.front().at(0));
}

void session::note_doubt(const PGresult* refused) {
  doubt d{doubt::about::ids, field(refused, PG_DIAG_SCHEMA_NAME), field(refused, PG_DIAG_TABLE_NAME),
          field(refused, PG_DIAG_CONSTRAINT_NAME), said_by(refused)};
  if (field(refused, PG_DIAG_SOURCE_FUNCTION) == "ExecFindPartition") {
    d.what = doubt::about::partitions;
  } else if (field(refused, PG_DIAG_SOURCE_FUNCTION) == "ExecWithCheckOptions") {
    d.what = doubt::about::policies;
  } else if (lacks_value(refused)) {
    d.what = doubt::about::column;
    d.name = field(refused, PG_DIAG_COLUMN_NAME);
  } else if (sqlstate_of(refused) == "22003") {
    d.what = doubt::about::range;
  } else if (sqlstate_of(refused) != "23505") {
    return;
  }
  auto is_known = [&](const doubt& known) {
    return known.what == d.what && known.table == d.table && known.name == d.name;
  };
  if (doubts_.size() < most_doubts && std::none_of(doubts_.begin(), doubts_.end(), is_known))
    doubts_.push_back(std::move(d));
}

task<void> session::settle_doubts(const table_definition& into) {
  std::vector<doubt> doubts = std::exchange(doubts_, {});
  for (const doubt& d : doubts) {
    if (d.what == doubt::about::range) {
      task<void> settling = settle_range(into, d.said);
      co_await std::move(settling);
      continue;
    }
    if (d.what == doubt::about::policies) {
      task<bool> asking_policies = may_not_pass_policies(into);
      bool is_kept_out = co_await std::move(asking_policies);
      if (!is_kept_out) continue;
      throw database_error(
          db_errc::table_drift,
          "PostgreSQL, insert into " + into.name + ": no policy of the table lets this account store rows: " + d.said);
    }
    parameters asked = parameters_of(quote_table(into.name), d.schema, d.table, d.name, into.id_column, d.name);
    task<result> asking = query(question(into), std::move(asked));
    result answer = co_await std::move(asking);
    if (answer.rows.empty()) continue;
    auto is_so = [&](std::size_t column) { return std::get<bool>(answer.rows.front().at(column)); };
    if (!is_so(0)) continue;
    std::string why;
    if (d.what == doubt::about::ids && is_so(1))
      why = "the table gives rows ids that others have";
    else if (d.what == doubt::about::partitions && is_so(2))
      why = "no partition takes what rows are given whatever they are";
    else if (d.what == doubt::about::column && is_so(3) && !fills(into, d.name))
      why = "column '" + d.name + "' must have a value, and no row fills it";
    if (!why.empty())
      throw database_error(db_errc::table_drift, "PostgreSQL, insert into " + into.name + ": " + why + ": " + d.said);
  }
}

task<void> session::settle_range(const table_definition& into, const std::string& said) {
  const insert_plan* plan = known_plan(into);
  if (plan == nullptr || plan->sequence.empty()) co_return;
  task<result> asking = query(question_of_range, parameters_of(plan->sequence, quote_table(into.name), into.id_column));
  result answer = co_await std::move(asking);
  const auto* is_beyond = answer.rows.empty() ? nullptr : std::get_if<bool>(&answer.rows.front().at(0));
  if (is_beyond != nullptr && *is_beyond)
    throw database_error(db_errc::full, "PostgreSQL, insert into " + into.name + ": the ids of " + plan->sequence +
                                            " do not fit into column '" + into.id_column + "' any more: " + said);
}

}  // namespace penstock::db::postgres

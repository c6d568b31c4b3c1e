#include "../definition_faults.h"
#include "failure.h"
#include "penstock/db/error.h"
#include "session.h"

#include <algorithm>
#include <optional>
#include <utility>

// Learns how rows go into a table, and whether the table is still the one that was learnt about.

namespace penstock::db::postgres {
namespace {

// The sequence that gives the ids, when this account may use it and give ids itself: that of an identity, or of which
// the default is the next value; one that the column merely owns may be another. And whether its type is that of the
// ids.
const std::string ids_sql =
    "(SELECT CASE WHEN has_sequence_privilege(s.oid, 'USAGE, UPDATE') "
    "AND (SELECT has_column_privilege(a.attrelid, a.attnum, 'INSERT') FROM column_of_ids AS a) "
    "THEN quote_ident(n.nspname) || '.' || quote_ident(s.relname) END "
    "FROM (SELECT d.objid AS oid FROM pg_depend AS d JOIN column_of_ids AS a ON d.refobjid = a.attrelid "
    "AND d.refobjsubid = a.attnum WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass "
    "AND d.deptype = 'i' "
    "UNION SELECT d.refobjid FROM pg_attrdef AS e JOIN column_of_ids AS a ON e.adrelid = a.attrelid "
    "AND e.adnum = a.attnum JOIN pg_depend AS d ON d.classid = 'pg_attrdef'::regclass AND d.objid = e.oid "
    "WHERE d.refclassid = 'pg_class'::regclass "
    "AND pg_get_expr(e.adbin, e.adrelid) = format('nextval(%L::regclass)', d.refobjid::regclass)) AS gives "
    "JOIN pg_class AS s ON s.oid = gives.oid AND s.relkind = 'S' JOIN pg_namespace AS n ON n.oid = s.relnamespace), "
    "(SELECT a.atttypid = 'bigint'::regtype FROM column_of_ids AS a)";
constexpr const char* column_of_ids_sql =
    "WITH column_of_ids AS (SELECT a.attrelid, a.attnum, a.atttypid FROM pg_attribute AS a "
    "WHERE a.attrelid = to_regclass(?) AND a.attname = ?) ";

// Perhaps: one without a counterpart here may be a domain over such a type.
bool has_length(Oid type) {
  return type == varchar_oid || type == bpchar_oid || wire_type_of(type) == wire_type::other;
}

// The n of varchar(n) and char(n), also where a domain is made of it, or a domain of that.
constexpr const char* length_sql =
    ", (WITH RECURSIVE made AS (SELECT a.atttypid AS oid, a.atttypmod AS modifier FROM pg_attribute AS a "
    "WHERE a.attrelid = to_regclass(?) AND a.attname = ? UNION ALL SELECT y.typbasetype, "
    "CASE WHEN made.modifier >= 0 THEN made.modifier ELSE y.typtypmod END FROM made JOIN pg_type AS y "
    "ON y.oid = made.oid AND y.typtype = 'd') SELECT modifier - 4 FROM made "
    "WHERE oid IN ('varchar'::regtype, 'bpchar'::regtype))";

// The type's name, where the server puts no modifier of its own to it, as (1) to bit; and what a text is cast to on its
// way into such a column: a cast to a domain, and one to a text with a length, would cut what the column refuses.
std::string names_sql(Oid type) {
  std::string oid = std::to_string(type);
  return "format_type(" + oid + ", -1), (WITH RECURSIVE made AS (SELECT " + oid +
         "::oid AS oid UNION ALL SELECT y.typbasetype FROM made JOIN pg_type AS y ON y.oid = made.oid AND y.typtype = "
         "'d') SELECT CASE WHEN y.typcategory <> 'S' THEN '::' || format_type(y.oid, -1) END FROM made "
         "JOIN pg_type AS y ON y.oid = made.oid AND y.typtype <> 'd'), ";
}

// What a plan relies on: the table with its columns, their types and defaults, its unique indexes, whether it is
// written to the log and whether a trigger may put rows into its children; the constraints and constraint triggers that
// wait for the end of the transaction, for SET CONSTRAINTS; whether rules may drop rows; whether triggers may, or
// change them; and whether a row may be refused for what others are there: by a rule, as behind a view, a trigger, a
// reference to the table itself, a policy, a domain, or a constraint or a column that is computed by a function or an
// operator of a user's. Partitions have constraints and triggers of their own. Where rules or triggers write to other
// tables, nobody knows which constraints count: all, if any waits.
const std::string shape_sql =
    "WITH t AS (SELECT c.oid, c.relhasrules, c.relpersistence, " + std::string(may_move_rows_sql) +
    " AS may_move_rows FROM pg_class AS c WHERE c.oid = to_regclass(?)), "
    "tree AS (SELECT oid FROM t UNION SELECT p.relid FROM t, pg_partition_tree(t.oid) AS p), "
    "triggers AS (SELECT g.tgtype FROM pg_trigger AS g JOIN tree ON tree.oid = g.tgrelid "
    "WHERE NOT g.tgisinternal AND g.tgtype & 4 <> 0) "  // insert: pg_trigger.h, TRIGGER_TYPE_…
    "SELECT concat_ws(';', t.relpersistence, t.may_move_rows, (SELECT min(a.attrelid) || ':' || "
    "string_agg(concat_ws(' ', a.attname, a.atttypid, a.atttypmod, a.attidentity, e.oid), ',' ORDER BY a.attnum) "
    "FROM pg_attribute AS a LEFT JOIN pg_attrdef AS e ON e.adrelid = a.attrelid AND e.adnum = a.attnum "
    "WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped), "
    "(SELECT string_agg(concat_ws(' ', i.indexrelid, i.indisvalid, i.indimmediate, i.indcollation), ',' "
    "ORDER BY i.indexrelid) FROM pg_index AS i WHERE i.indrelid = t.oid AND i.indisunique)), "
    "CASE WHEN (t.relhasrules OR EXISTS (SELECT FROM triggers)) AND EXISTS (SELECT FROM pg_constraint "
    "WHERE condeferred) THEN 'ALL' "
    "ELSE (SELECT string_agg(DISTINCT quote_ident(s.nspname) || '.' || quote_ident(c.conname), ', ') "
    "FROM pg_constraint AS c JOIN tree ON tree.oid = c.conrelid JOIN pg_namespace AS s ON s.oid = c.connamespace "
    "WHERE c.condeferred) END, "
    "t.relhasrules, EXISTS (SELECT FROM triggers WHERE tgtype & 7 = 7), "  // row, before, insert
    "t.relhasrules OR EXISTS (SELECT FROM triggers) OR EXISTS (SELECT FROM pg_constraint AS c "
    "JOIN tree ON tree.oid = c.conrelid WHERE c.confrelid IN (SELECT oid FROM tree UNION SELECT a.relid FROM t, "
    "pg_partition_ancestors(t.oid) AS a) OR EXISTS (SELECT FROM pg_depend "
    "AS d WHERE d.classid = 'pg_constraint'::regclass AND d.objid = c.oid AND d.refclassid IN ('pg_proc'::regclass, "
    "'pg_operator'::regclass))) "
    "OR EXISTS (SELECT FROM pg_attrdef AS e JOIN tree ON tree.oid = e.adrelid JOIN pg_depend AS d ON d.classid = "
    "'pg_attrdef'::regclass AND d.objid = e.oid AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass)) "
    "OR EXISTS (SELECT FROM pg_policy AS p JOIN tree ON tree.oid = p.polrelid) "
    "OR EXISTS (SELECT FROM pg_attribute AS a JOIN tree ON tree.oid = a.attrelid "
    "JOIN pg_type AS y ON y.oid = a.atttypid AND y.typtype = 'd' WHERE a.attnum > 0 AND NOT a.attisdropped) FROM t";

std::string text_of(const result& shape) {
  std::string text;
  for (const std::vector<value>& row : shape.rows)
    for (const value& field : row) {
      if (const auto* string = std::get_if<std::string>(&field)) text += *string;
      if (const auto* boolean = std::get_if<bool>(&field)) text += *boolean ? " t" : " f";
      text += ';';
    }
  return text;
}

}  // namespace

// Asked for with each batch, so by index alone. A change of a column leaves pg_class as it is, and so does an index or
// a trigger beside another one, or one of a partition. Only partitions that are partitioned are looked at for more. Of
// a list the server assumes that it is short: so it looks partition by partition, instead of at all triggers of the
// database. By its own estimate the query took so long that it compiled it each time (jit_above_cost), for 0.3 s.
// Constraints that wait have triggers.
const std::string version_sql =
    "SELECT c.oid || ':' || c.xmin || ARRAY(SELECT a.xmin FROM pg_attribute AS a WHERE a.attrelid = c.oid "
    "AND a.attnum > 0)::text || "
    "ARRAY(SELECT i.xmin FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisunique)::text || "
    "CASE WHEN c.relkind = 'p' THEN "
    "ARRAY(WITH RECURSIVE parents AS (SELECT c.oid UNION ALL "
    "SELECT i.inhrelid FROM parents JOIN pg_inherits AS i ON i.inhparent = parents.oid "
    "WHERE i.inhrelid IN (SELECT partrelid FROM pg_partitioned_table)) "
    "SELECT g.oid || ' ' || g.xmin FROM unnest(ARRAY(SELECT c.oid UNION ALL "
    "SELECT i.inhrelid FROM parents JOIN pg_inherits AS i ON i.inhparent = parents.oid)) AS tree (oid) "
    "JOIN pg_trigger AS g ON g.tgrelid = tree.oid WHERE NOT g.tgisinternal OR g.tginitdeferred)::text "
    "WHEN c.relhastriggers THEN "
    "ARRAY(SELECT g.oid || ' ' || g.xmin FROM pg_trigger AS g WHERE g.tgrelid = c.oid)::text ELSE '' END "
    "FROM pg_class AS c WHERE c.oid = to_regclass(?)";

insert_plan* session::known_plan(const table_definition& into) noexcept {
  auto known = plans_.find(into.name);
  return known != plans_.end() && known->second.is_for(into) ? &known->second : nullptr;
}

// Statements that are there already were prepared for what the table was then.
task<insert_plan*> session::plan_for(const table_definition& into) {
  if (insert_plan* known = known_plan(into)) co_return known;
  forget_plan(into.name);
  insert_plan plan;
  plan.into = into;
  plan.made_in = transactions_;
  std::string table = quote_table(into.name);
  task<result> asking_version = query(version_sql, parameters_of(table));
  result version = co_await std::move(asking_version);
  if (!version.rows.empty()) plan.version = std::get<std::string>(version.rows[0].at(0));
  task<result> asking_shape = query(shape_sql, parameters_of(table));
  result shape = co_await std::move(asking_shape);
  if (version.rows.empty() && shape.rows.empty())
    throw database_error(db_errc::syntax, "PostgreSQL, insert into " + into.name + ": there is no such table", 0,
                         "42P01");
  if (shape.rows.empty()) throw altered_meanwhile(into);  // gone since then
  task<void> requiring = require_fit(into);
  co_await std::move(requiring);
  plan.shape = text_of(shape);
  plan.one_row = one_row_sql(into);
  forget_statement(plan.one_row);
  task<statement*> preparing = prepared(plan.one_row);
  const statement* one = co_await std::move(preparing);
  plan.types = one->parameters;
  std::string asked;
  for (Oid type : plan.types) {
    plan.as.push_back(wire_type_of(type));
    asked += names_sql(type);
  }
  if (const auto* constraints = std::get_if<std::string>(&shape.rows.at(0).at(1)))
    plan.check_at_once = "SET CONSTRAINTS " + *constraints + " IMMEDIATE";
  bool has_id = !into.id_column.empty();
  parameters names;
  if (has_id) names = parameters_of(table, into.id_column);
  std::string sql = has_id ? column_of_ids_sql + ("SELECT " + asked) + ids_sql : "SELECT " + asked + "NULL, NULL";
  for (std::size_t i = 0; i < plan.types.size(); ++i) {
    if (!has_length(plan.types[i])) continue;
    sql += length_sql;
    names.insert(names.end(), {table, into.columns[i].name});
  }
  task<result> asking = query(sql, std::move(names));
  result answer = co_await std::move(asking);
  const std::vector<value>& told = answer.rows.at(0);
  std::vector<std::string> type_names, casts;
  for (std::size_t i = 0; i < plan.types.size(); ++i) {
    type_names.push_back(std::get<std::string>(told.at(2 * i)));
    const auto* cast = std::get_if<std::string>(&told.at(2 * i + 1));
    casts.push_back(cast != nullptr ? *cast : std::string());
  }
  const std::size_t ids_at = 2 * plan.types.size();
  std::size_t next_length = ids_at + 2;
  for (std::size_t i = 0; i < plan.types.size(); ++i) {
    if (!has_length(plan.types[i])) continue;
    const auto* characters = std::get_if<std::int64_t>(&told.at(next_length++));
    if (characters != nullptr && *characters > 0) plan.lengths.push_back({i, static_cast<std::size_t>(*characters)});
  }
  plan.rows_may_depend = std::get<bool>(shape.rows.at(0).at(4));
  bool rules_judge = std::get<bool>(shape.rows.at(0).at(2));
  bool triggers_judge = std::get<bool>(shape.rows.at(0).at(3));
  // A trigger may give a row another id than the one that was taken for it.
  if (const auto* given = std::get_if<std::string>(&told.at(ids_at)); given != nullptr && !triggers_judge)
    plan.sequence = *given;
  plan.many_rows = many_rows_sql(into, plan.types, casts, plan.sequence);
  forget_statement(plan.many_rows);
  plan.many_give_row = !into.unique_key.empty();
  if ((rules_judge || triggers_judge) && !into.unique_key.empty()) {
    plan.missing_keys = missing_keys_sql(into, plan.types, type_names);
    table_definition without_key = into;
    without_key.unique_key.clear();
    plan.new_row = one_row_sql(without_key);
    forget_statement(plan.new_row);
  }
  const auto* is_bigint = std::get_if<bool>(&told.at(ids_at + 1));
  plan.copy_gives_ids = has_id && !plan.sequence.empty() && is_bigint != nullptr && *is_bigint;
  // COPY passes rules by, which the other ways in do not; and with it goes an EXECUTE, whose name a pooler may not
  // know.
  if (home_->url.bulk_allowed && !rules_judge && !is_pooled_)
    plan.copy = copy_sql(into, plan.types, plan.copy_gives_ids);
  co_return &plans_.insert_or_assign(into.name, std::move(plan)).first->second;
}

task<void> session::require_fit(const table_definition& into) {
  if (!home_->fits.did_fit(into)) co_return;
  task<std::optional<std::vector<std::string>>> finding = find_differences(into);
  std::optional<std::vector<std::string>> differences = co_await std::move(finding);
  if (differences) require_no_differences(into, *differences);  // where it is gone, the server says so
}

// The statement that takes ids is no prepared one: planned, and not run, it has the server find all that it is made of.
task<void> session::prepare_inserts(const table_definition& into) {
  task<insert_plan*> planning = plan_for(into);
  const insert_plan* plan = co_await std::move(planning);
  if (!plan->many_rows.empty()) {
    task<statement*> preparing = prepared(plan->many_rows);
    co_await std::move(preparing);
  }
  if (!plan->copy_gives_ids) co_return;
  std::optional<database_error> failed;
  task<void> explaining =
      wire_->run_plain("EXPLAIN " + reserve_ids_sql(plan->sequence, 1), [&](std::size_t, const PGresult* r) {
        if (PQresultStatus(r) == PGRES_FATAL_ERROR) failed = failure_of(r, "plan");
      });
  co_await std::move(explaining);
  if (failed) throw *std::move(failed);
}

// With its statements, which were prepared for the types of then.
void session::forget_plan(const std::string& table) noexcept {
  auto known = plans_.find(table);
  if (known == plans_.end()) return;
  for (const std::string* sql : {&known->second.one_row, &known->second.many_rows, &known->second.new_row})
    forget_statement(*sql);
  plans_.erase(known);
}

void session::forget_statement(const std::string& sql) noexcept {
  if (const statement* s = statements_.find(sql)) statements_.forget(s);
}

task<std::string> session::version_statement(const std::string& table) {
  task<statement*> preparing = prepared(version_sql);
  const statement* s = co_await std::move(preparing);
  co_return "EXECUTE " + quote_identifier(s->name) + "(" + in_quotes(quote_table(table)) + ")";
}

task<void> session::check_version(insert_plan& plan, const std::string& version) {
  if (version.empty() || version == plan.version) co_return;
  std::string table = quote_table(plan.into.name);
  task<result> asking = query(shape_sql, parameters_of(table));
  result shape = co_await std::move(asking);
  if (text_of(shape) != plan.shape) throw altered_meanwhile(plan.into);
  plan.version = version;
}

task<bool> session::finds_missing_keys(const insert_plan& plan, const row_batch& rows, const batch_report& report) {
  const table_definition& into = plan.into;
  std::vector<std::size_t> key_columns;
  insert_plan keys;
  for (std::size_t i = 0; i < into.columns.size(); ++i) {
    if (std::find(into.unique_key.begin(), into.unique_key.end(), into.columns[i].name) == into.unique_key.end())
      continue;
    key_columns.push_back(i);
    keys.into.columns.push_back(into.columns[i]);
    keys.types.push_back(plan.types[i]);
    keys.as.push_back(plan.as[i]);
  }
  arrays_.start(keys);
  std::vector<cell> key(key_columns.size());
  std::vector<std::size_t> looked_for;
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    if (report.rows[row].what != row_outcome::status::duplicate) continue;
    for (std::size_t i = 0; i < key.size(); ++i) key[i] = rows.row(row)[key_columns[i]];
    std::string misfit = arrays_.add(keys, key);
    if (!misfit.empty()) throw database_error(db_errc::data, misfit);
    looked_for.push_back(row);
  }
  if (looked_for.empty()) co_return false;
  task<statement*> preparing = prepared(plan.missing_keys);
  const statement* looking = co_await std::move(preparing);
  wire_->execute(looking->name, arrays_.bound(), looking->binary);
  wire_->sync();
  std::optional<database_error> failed;
  bool any = false;
  to_do_.assign(rows.rows(), 0);
  task<void> asking = wire_->finish([&](std::size_t, const PGresult* r) {
    if (PQresultStatus(r) == PGRES_FATAL_ERROR && !failed) failed = failure_of(r, "look for keys in " + into.name);
    if (PQresultStatus(r) != PGRES_TUPLES_OK) return;
    any = PQntuples(r) > 0;
    for (int i = 0; i < PQntuples(r); ++i)
      to_do_[looked_for.at(static_cast<std::size_t>(binary_integer(r, i, 0)) - 1)] = 1;
  });
  co_await std::move(asking);
  if (failed) throw *std::move(failed);
  co_return any;
}

}  // namespace penstock::db::postgres

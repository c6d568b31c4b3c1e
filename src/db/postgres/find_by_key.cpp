#include "../key_search.h"
#include "session.h"

#include <string_view>
#include <utility>

// The planner goes by what ANALYZE found last, if it has run at all. For a list of keys of a table that was small or
// unknown then it takes a scan of the table, or of all that has the start of the key, and a session keeps such a plan
// however large the table gets. So each key is looked up by itself (LIMIT keeps the planner from joining the list with
// the table), and while that is planned, reading the table from end to end is out of the question.

namespace penstock::db::postgres {
namespace {

// An array's text (PostgreSQL manual, 8.15.6): in quotes every text stands for itself.
std::string array_of(const std::vector<std::string>& texts) {
  std::string array = "{";
  for (const std::string& text : texts) {
    array += array.size() == 1 ? "\"" : ",\"";
    for (char c : text) {
      if (c == '"' || c == '\\') array += '\\';
      array += c;
    }
    array += '"';
  }
  return array += "}";
}

// What is named first is never run: it says of which types the parameters are, those of the columns. Its name is not
// the table's, which it would hide, and the table goes by another that hides none of the list's.
std::string finding_sql(const table_definition& in, const std::string& table, const std::vector<std::string>& columns) {
  const std::string last = quote_identifier(in.unique_key.back());
  const std::string list = "$" + std::to_string(in.unique_key.size());
  const std::string types = in.name == "penstock_types" ? "penstock_kinds" : "penstock_types";
  std::string sql = "WITH " + types + " AS (SELECT FROM " + table + " WHERE " + start_of_key(in) + last +
                    " = ANY(?)) SELECT penstock_found.* FROM unnest(" + list +
                    ") AS penstock_listed(key) CROSS JOIN LATERAL (SELECT " + list_of_columns(columns) + " FROM " +
                    table + " AS penstock_table WHERE ";
  for (std::size_t i = 0; i + 1 < in.unique_key.size(); ++i)
    sql += quote_identifier(in.unique_key[i]) + " = $" + std::to_string(i + 1) + " AND ";
  return sql + last + " = penstock_listed.key LIMIT 1) AS penstock_found";
}

}  // namespace

task<result> session::find_by_key(const table_definition& in, std::vector<std::string> columns, parameters first,
                                  std::vector<std::string> last) {
  require_start_of_key(in, first);
  result found;
  if (last.empty()) co_return found;
  std::string sql = finding_sql(in, quoted_table(in.name), columns);
  first.emplace_back(array_of(last));
  result_taker take = keeping_rows(found);
  task<void> running = run(sql, first, take, planning::by_index);
  co_await std::move(running);
  co_return found;
}

// For what is sent next, and no more: what else runs in the transaction, such as a user's trigger, is planned as ever.
// Outside of one it holds up to the end of the trip, and SET LOCAL would have the server warn of that.
void session::send_planning_by_index(wire& w, bool inside) {
  if (!inside) {
    w.execute("SELECT set_config('enable_seqscan', 'off', true)");
    return;
  }
  w.execute("SAVEPOINT penstock_plan");
  w.execute("SET LOCAL enable_seqscan = off");
}

void session::send_planning_as_ever(wire& w) {
  w.execute("ROLLBACK TO SAVEPOINT penstock_plan");
  w.execute("RELEASE SAVEPOINT penstock_plan");
}

}  // namespace penstock::db::postgres

#include "examination.h"

#include "../server_settings.h"
#include "examination_queries.h"
#include "session.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

// Where a sentence about a setting comes from: PostgreSQL's manual, 20.5 "Write Ahead Log" and 30 "Reliability".

namespace penstock::db::postgres {
namespace {

using level = finding::level;

// "a, b" awaits one; "2 (a, b, c)", "FIRST 2 (…)" and "ANY 2 (…)" as many as they say (20.6 "Replication").
std::int64_t standbys_awaited(std::string_view names) {
  std::size_t list = names.find('(');
  std::size_t digit = names.find_first_of("0123456789");
  std::int64_t count = 1;
  if (list != std::string_view::npos && digit < list) std::from_chars(names.data() + digit, names.data() + list, count);
  return count;
}

class examination {
 public:
  examination(const server_settings& settings, const expected_load& load) : settings_(settings), load_(load) {}

  void lacks_right(const std::string& table, const std::string& right) {
    lacking_.push_back({level::error, "no right to " + right + " in table " + table,
                        "items can't be stored, or not be read back, or what is old not be deleted",
                        "GRANT " + right + " ON " + table + " TO this account"});
  }
  void lacks_table(const std::string& table, const std::string& schema) {
    lacking_.push_back({level::error, "no right to create table " + table, "it is missing and can't be made",
                        "GRANT CREATE ON SCHEMA " + schema + " TO this account; or make the table by hand"});
  }
  void lacks_search_path(const std::string& table) {
    lacking_.push_back({level::error, "no schema to make table " + table + " in",
                        "it can't be reached, or is missing: search_path names no schema that is there and may be used",
                        "GRANT USAGE ON SCHEMA public TO " + settings_.text("account") + "; or ALTER ROLE " +
                            settings_.text("account") +
                            " SET search_path = public; or name the table with its schema"});
  }
  void lacks_schema(const std::string& table) {
    std::string schema = table.substr(0, table.find('.'));
    lacking_.push_back({level::error, "no right to use schema " + schema, "table " + table + " can't be reached",
                        "GRANT USAGE ON SCHEMA " + schema + " TO this account"});
  }
  void is_refused(const std::string& table, const std::string& why) {
    lacking_.push_back({level::error, "table " + table + " can't be looked at: " + why,
                        "penstock serve does not start, or stores nothing", ""});
  }
  void is_temporary(const std::string& table) {
    lacking_.push_back(
        {level::error, "table " + table + " would be temporary",
         "it is missing, and can't be made for more than one session: search_path begins with pg_temp",
         "ALTER ROLE " + settings_.text("account") + " SET search_path = public; or name the table with its schema"});
  }
  void lacks_identity(const std::string& table, const std::string& why) {
    lacking_.push_back({level::error, "the server refuses to update or delete rows of table " + table + ": " + why,
                        "penstock serve does not start, or stores nothing",
                        "ALTER TABLE " + table + " REPLICA IDENTITY FULL; or take it out of the publication"});
  }
  void lacks_sequence(const std::string& sequence) {
    lacking_.push_back({level::warning, "no right to use sequence " + sequence, without_own_ids,
                        "GRANT USAGE ON SEQUENCE " + sequence + " TO this account"});
  }
  void lacks_id_column(const std::string& table, const std::string& column) {
    lacking_.push_back({level::warning, "no right to INSERT in column " + column + " of table " + table,
                        without_own_ids, "GRANT INSERT (" + column + ") ON " + table + " TO this account"});
  }

  // After a failover to another server of the URL.
  void look_at_failover() {
    if (settings_.is_on("in_recovery") || !settings_.text("synchronous_standby_names").empty()) return;
    lacking_.push_back({level::warning, "synchronous_standby_names is empty",
                        "commits do not wait for a standby; the URL names several servers: acknowledged items may be "
                        "missing on the next one after a failover",
                        "once a standby is connected: " + alter_system("synchronous_standby_names", "'*'")});
  }

  void ids_are_few(const std::string& table, std::int64_t used, std::int64_t most, const std::string& sequence,
                   const std::string& column) {
    lacking_.push_back({used < most ? level::warning : level::error,
                        "ids of table " + table + " up to " + std::to_string(used) + " of " + std::to_string(most),
                        std::string(used < most ? "once they are used up, " : "") + "nothing can be stored: db.full",
                        "ALTER TABLE " + table + " ALTER " + column +
                            " TYPE bigint, which writes it anew; ALTER SEQUENCE " + sequence +
                            " AS bigint NO MAXVALUE"});
  }
  void ids_are_behind(const std::string& table, const std::string& next, const std::string& sequence,
                      const std::string& column) {
    lacking_.push_back({level::error,
                        "the next id of table " + table + " is " + next + ", and it has some of the next ones",
                        "rows get ids that others have, and their batches are refused: db.table_drift",
                        "SELECT setval('" + sequence + "', (SELECT max(" + column + ") FROM " + table + "))"});
  }

  std::vector<finding> findings() {
    look_at_version();
    look_at_durability();
    look_at_standby();
    look_at_capacity();
    found_.insert(found_.end(), lacking_.begin(), lacking_.end());
    return std::move(found_);
  }

 private:
  static constexpr const char* without_own_ids =
      "large batches go in by INSERT instead of COPY, and rows with a unique key one by one: slower";

  // As long as a batch may take by default (batch.attempt_timeout).
  static constexpr std::int64_t shortest_limit_ms = 30'000;

  void add(level how, std::string what, std::string means, std::string change = {}) {
    found_.push_back({how, std::move(what), std::move(means), std::move(change)});
  }
  static std::string alter_system(std::string_view name, std::string_view value) {
    return "ALTER SYSTEM SET " + std::string(name) + " = " + std::string(value) + "; SELECT pg_reload_conf();";
  }
  // What an account or a database has set for itself hides what the server is told (the manual's "ALTER ROLE").
  std::string set_where_it_comes_from(const std::string& name, std::string_view value) const {
    const std::string& source = settings_.text("source of " + name);
    const std::string role = "ALTER ROLE " + settings_.text("account");
    const std::string database = "DATABASE " + settings_.text("database");
    if (source == "user") return role + " RESET " + name;
    if (source == "database") return "ALTER " + database + " RESET " + name;
    if (source == "database user") return role + " IN " + database + " RESET " + name;
    if (source == "global") return "ALTER ROLE ALL RESET " + name;
    if (source == "command line") return "start the server without " + name + " among its arguments";
    if (source == "client") return "leave " + name + " out of what clients ask for, such as PGOPTIONS";
    return alter_system(name, value);
  }

  void look_at_version() {
    add(level::note, "PostgreSQL " + settings_.text("server_version"), "the server's version");
    if (settings_.number("server_version_num").value_or(0) < 130'000)
      add(level::warning, settings_.line("server_version"), "older than what Penstock is tested with: PostgreSQL 13",
          "upgrade the server");
  }

  void look_at_durability() {
    if (settings_.text("fsync") == "off")
      add(level::warning, "fsync = off",
          "nothing is synced to disk: a power failure or a crash of the system loses acknowledged items and may damage "
          "the database beyond repair",
          set_where_it_comes_from("fsync", "on"));
    if (settings_.text("synchronous_commit") == "off")
      add(level::warning, "synchronous_commit = off",
          "a commit is answered before it is on disk: a crash of the server loses the last acknowledged items, up to "
          "three times wal_writer_delay",
          set_where_it_comes_from("synchronous_commit", "on"));
    if (settings_.text("full_page_writes") == "off")
      add(level::warning, "full_page_writes = off",
          "a page that is half written when the power fails can't be mended, unless the disk writes pages whole",
          set_where_it_comes_from("full_page_writes", "on"));
    if (settings_.is_on("in_recovery"))
      add(level::error, "the server is a standby", "it takes no writes",
          "name the primary in the URL, or several servers: postgresql://user@a,b/database");
    else if (settings_.text("default_transaction_read_only") == "on")
      add(level::error, "default_transaction_read_only = on", "the server takes no writes",
          set_where_it_comes_from("default_transaction_read_only", "off"));
  }

  void look_at_standby() {
    if (settings_.text("synchronous_standby_names").empty()) return;
    if (settings_.text("synchronous_commit") == "local")
      add(level::warning, "synchronous_commit = local",
          "commits do not wait for the standby: acknowledged items may be missing on it after a failover",
          set_where_it_comes_from("synchronous_commit", "on"));
    else if (settings_.text("synchronous_commit") == "remote_write")
      add(level::warning, "synchronous_commit = remote_write",
          "commits wait until the standby has them in memory, not on disk: a crash of its system, together with the "
          "loss of the primary, loses acknowledged items",
          set_where_it_comes_from("synchronous_commit", "on"));
    bool waits = settings_.text("synchronous_commit") != "local" && settings_.text("synchronous_commit") != "off";
    std::int64_t there = settings_.number("synchronous_standbys").value_or(0);
    std::int64_t awaited = standbys_awaited(settings_.text("synchronous_standby_names"));
    if (waits && there < awaited)
      add(level::error,
          std::to_string(there) + " of " + std::to_string(awaited) + " synchronous standbys are connected",
          "commits wait for them, so no item is acknowledged until they come",
          "start them; or take those that are gone out of synchronous_standby_names");
  }

  void look_at_capacity() {
    auto sessions = static_cast<std::int64_t>(load_.sessions);
    if (std::optional<std::int64_t> most = settings_.number("max_connections"); most && *most < 2 * sessions)
      add(level::warning, settings_.line("max_connections"),
          "this service alone opens up to " + std::to_string(sessions) +
              ": with what else connects, the server may run out",
          alter_system("max_connections", std::to_string(std::max<std::int64_t>(100, 4 * sessions))) +
              " Then restart the server.");
    for (const char* limit : {"statement_timeout", "transaction_timeout"})
      if (std::optional<std::int64_t> most = settings_.number(limit); most && *most > 0 && *most < shortest_limit_ms)
        add(level::warning, std::string(limit) + " = " + std::to_string(*most) + " ms",
            "a batch that takes longer is ended by the server, and stored in parts, late",
            set_where_it_comes_from(limit, "0"));
    look_at_limit("account_limit", "the account", "ALTER ROLE " + settings_.text("account"));
    look_at_limit("database_limit", "the database", "ALTER DATABASE " + settings_.text("database"));
  }

  // Of the sessions of an account, or with a database; -1: none.
  void look_at_limit(std::string_view limit, const std::string& whose, const std::string& alter) {
    auto sessions = static_cast<std::int64_t>(load_.sessions);
    std::optional<std::int64_t> most = settings_.number(limit);
    if (!most || *most < 0 || *most >= sessions) return;
    add(level::warning, "CONNECTION LIMIT " + std::to_string(*most) + " of " + whose,
        "this service alone opens up to " + std::to_string(sessions) +
            ": beyond the limit, streams wait for one another's sessions, and reads for theirs",
        alter + " CONNECTION LIMIT " + std::to_string(2 * sessions));
  }

  const server_settings& settings_;
  const expected_load& load_;
  std::vector<finding> lacking_;
  std::vector<finding> found_;
};

// Higher ones may have been chosen: a sequence that is behind its table meets the next ones.
constexpr std::int64_t next_ids = 1'000;

task<void> look_at_ids(connection* c, const std::string* table, const std::string* id_column, examination* into) {
  task<result> asking = c->query(ids_query, parameters_of(*table, *id_column));
  result sequences = co_await std::move(asking);
  const std::string column = quote_identifier(*id_column);
  for (const auto& row : sequences.rows) {
    const auto& sequence = std::get<std::string>(row[0]);
    auto step = std::get<std::int64_t>(row[1]);
    auto most = std::get<std::int64_t>(row[2]);
    task<result> asking_last = c->query("SELECT last_value, is_called FROM " + sequence);
    result last = co_await std::move(asking_last);
    auto used = std::get<std::int64_t>(last.rows.at(0).at(0)) - (std::get<bool>(last.rows.at(0).at(1)) ? 0 : step);
    if (used > most / 5 * 4) into->ids_are_few(*table, used, most, sequence, column);
    if (!std::get<bool>(row[3])) continue;
    if (used > most - step) continue;
    std::string next = std::to_string(used + step);
    std::string last_of_next = std::to_string(used + std::min(next_ids, (most - used) / step) * step);
    task<result> asking_next = c->query("SELECT EXISTS (SELECT FROM " + *table + " WHERE " + column + " BETWEEN " +
                                        next + " AND " + last_of_next + ")");
    result there = co_await std::move(asking_next);
    if (std::get<bool>(there.rows.at(0).at(0))) into->ids_are_behind(*table, next, sequence, column);
  }
}

// Of a published table, when a command begins that updates or deletes (CheckCmdReplicaIdentity in
// src/backend/executor/execReplication.c), be it only explained.
task<void> look_at_identity(connection* c, const used_table* table, examination* into) {
  constexpr std::string_view wrong_state = "55000";
  constexpr std::string_view wrong_columns = "42P10";
  const std::vector<std::string>& rights = table->rights;
  if (std::find(rights.begin(), rights.end(), "UPDATE") == rights.end()) co_return;  // it is the writers' only
  const std::string name = quote_table(table->name);
  const bool in_transaction = c->state() == session_state::dirty;
  if (in_transaction) {
    task<std::uint64_t> saving = c->execute("SAVEPOINT penstock_identity");
    co_await std::move(saving);
  }
  try {
    task<result> asking = c->query("EXPLAIN DELETE FROM " + name + " WHERE false");
    co_await std::move(asking);
  } catch (const database_error& e) {
    if (e.errc() == db_errc::connection_lost) throw;
    if (e.sqlstate() == wrong_state || e.sqlstate() == wrong_columns) into->lacks_identity(name, e.message());
  }
  if (!in_transaction) co_return;
  task<std::uint64_t> going_back = c->execute("ROLLBACK TO SAVEPOINT penstock_identity");
  co_await std::move(going_back);
}

task<void> look_at_table(connection* c, const used_table* table, examination* into) {
  std::string rights;
  for (const std::string& right : table->rights) rights += (rights.empty() ? "" : ",") + right;
  std::string name = quote_table(table->name);
  std::size_t dot = table->name.find('.');
  value schema = dot == std::string::npos ? value() : value(quote_identifier(table->name.substr(0, dot)));
  task<result> asking_kind = c->query(temporary_query, parameters_of(name, schema));
  result is_temporary = co_await std::move(asking_kind);
  if (std::get<bool>(is_temporary.rows.at(0).at(0))) into->is_temporary(name);
  task<result> asking_schema = c->query(closed_schema_query, parameters_of(std::move(schema), name));
  result closed = co_await std::move(asking_schema);
  for (const auto& row : closed.rows)
    if (const auto* there = std::get_if<std::string>(&row[0]))
      into->lacks_table(name, *there);
    else
      into->lacks_search_path(name);
  task<result> asking = c->query(lacking_rights_query, parameters_of(rights, name, name));
  result lacking = co_await std::move(asking);
  for (const auto& row : lacking.rows) into->lacks_right(name, std::get<std::string>(row[0]));
  task<result> asking_sequences = c->query(lacking_sequences_query, parameters_of(name));
  result sequences = co_await std::move(asking_sequences);
  for (const auto& row : sequences.rows) into->lacks_sequence(std::get<std::string>(row[0]));
  task<result> asking_ids = c->query(lacking_id_columns_query, parameters_of(name));
  result columns = co_await std::move(asking_ids);
  for (const auto& row : columns.rows) into->lacks_id_column(name, std::get<std::string>(row[0]));
  task<void> at_identity = look_at_identity(c, table, into);
  co_await std::move(at_identity);
  task<void> at_ids = look_at_ids(c, &name, &table->id_column, into);
  co_await std::move(at_ids);
}

// True too where the table is named without one.
task<bool> may_use_schema_of(connection* c, const used_table* table) {
  std::size_t dot = table->name.find('.');
  if (dot == std::string::npos) co_return true;
  std::string schema = quote_identifier(table->name.substr(0, dot));
  task<result> asking = c->query("SELECT COALESCE(has_schema_privilege(to_regnamespace(?), 'USAGE'), false)",
                                 parameters_of(std::move(schema)));
  result may = co_await std::move(asking);
  co_return std::get<bool>(may.rows.at(0).at(0));
}

}  // namespace

task<std::vector<finding>> examine_server(connection& c, const expected_load* load, const server_url* url) {
  server_settings settings;
  for (const char* sql : {settings_query, facts_query}) {
    task<result> asking = c.query(sql);
    result rows = co_await std::move(asking);
    settings.add(rows);
  }
  examination looking(settings, *load);
  for (const used_table& table : load->tables) {
    std::optional<std::string> refused;
    try {
      task<void> at_table = look_at_table(&c, &table, &looking);
      co_await std::move(at_table);
    } catch (const database_error& e) {
      if (e.errc() != db_errc::auth) throw;
      refused = e.message();
    }
    if (!refused) continue;
    task<bool> asking = may_use_schema_of(&c, &table);
    bool may_use = co_await std::move(asking);
    if (may_use)
      looking.is_refused(quote_table(table.name), *refused);
    else
      looking.lacks_schema(quote_table(table.name));
  }
  if (url->addresses.size() > 1 && url->primary_only) looking.look_at_failover();
  co_return looking.findings();
}

}  // namespace penstock::db::postgres

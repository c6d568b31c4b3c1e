#include "examination.h"

#include "../server_settings.h"

#include <algorithm>
#include <string_view>
#include <utility>

// Where a sentence about a setting comes from: PostgreSQL's manual, 20.5 "Write Ahead Log" and 30 "Reliability".

namespace penstock::db::postgres {
namespace {

using level = finding::level;

class examination {
 public:
  examination(const server_settings& settings, const expected_load& load) : settings_(settings), load_(load) {}

  std::vector<finding> findings() {
    look_at_version();
    look_at_durability();
    look_at_standby();
    look_at_capacity();
    look_at_rights();
    return std::move(found_);
  }

 private:
  void add(level how, std::string what, std::string means, std::string change = {}) {
    found_.push_back({how, std::move(what), std::move(means), std::move(change)});
  }
  static std::string alter_system(std::string_view name, std::string_view value) {
    return "ALTER SYSTEM SET " + std::string(name) + " = " + std::string(value) + "; SELECT pg_reload_conf();";
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
          alter_system("fsync", "on"));
    if (settings_.text("synchronous_commit") == "off")
      add(level::warning, "synchronous_commit = off",
          "a commit is answered before it is on disk: a crash of the server loses the last acknowledged items, up to "
          "three times wal_writer_delay",
          alter_system("synchronous_commit", "on"));
    if (settings_.text("full_page_writes") == "off")
      add(level::warning, "full_page_writes = off",
          "a page that is half written when the power fails can't be mended, unless the disk writes pages whole",
          alter_system("full_page_writes", "on"));
    if (settings_.is_on("in_recovery"))
      add(level::error, "the server is a standby", "it takes no writes",
          "name the primary in the URL, or several servers: postgresql://user@a,b/database");
    else if (settings_.text("default_transaction_read_only") == "on")
      add(level::error, "default_transaction_read_only = on", "the server takes no writes",
          alter_system("default_transaction_read_only", "off"));
  }

  void look_at_standby() {
    if (settings_.text("synchronous_standby_names").empty()) return;
    if (settings_.text("synchronous_commit") == "local")
      add(level::warning, "synchronous_commit = local",
          "commits do not wait for the standby: acknowledged items may be missing on it after a failover",
          alter_system("synchronous_commit", "on"));
    else if (settings_.text("synchronous_standbys") == "0")
      add(level::warning, "no synchronous standby is connected",
          "commits wait for one, so nothing is stored until it comes",
          "start the standby; or empty synchronous_standby_names");
  }

  void look_at_capacity() {
    auto sessions = static_cast<std::int64_t>(load_.sessions);
    if (std::optional<std::int64_t> most = settings_.number("max_connections"); most && *most < 2 * sessions)
      add(level::warning, settings_.line("max_connections"),
          "this service alone opens up to " + std::to_string(sessions) +
              ": with what else connects, the server may run out",
          alter_system("max_connections", std::to_string(std::max<std::int64_t>(100, 4 * sessions))) +
              " Then restart the server.");
  }

  void look_at_rights() {
    if (settings_.text("may_create") == "false")
      add(level::warning, "no right to create tables in schema " + settings_.text("schema"),
          "tables that are missing can't be made: make them by hand",
          "GRANT CREATE ON SCHEMA " + settings_.text("schema") + " TO this account");
  }

  const server_settings& settings_;
  const expected_load& load_;
  std::vector<finding> found_;
};

constexpr const char* settings_query =
    "SELECT name::text, setting::text FROM pg_settings WHERE name IN ('server_version', 'server_version_num', 'fsync', "
    "'synchronous_commit', 'full_page_writes', 'default_transaction_read_only', 'synchronous_standby_names', "
    "'max_connections')";

constexpr const char* facts_query =
    "SELECT 'in_recovery', pg_is_in_recovery()::text "
    "UNION ALL SELECT 'schema', current_schema()::text "
    "UNION ALL SELECT 'may_create', has_schema_privilege(current_schema(), 'CREATE')::text "
    "UNION ALL SELECT 'synchronous_standbys', count(*)::text FROM pg_stat_replication WHERE sync_state <> 'async'";

}  // namespace

task<std::vector<finding>> examine_server(connection& c, const expected_load* load) {
  server_settings settings;
  for (const char* sql : {settings_query, facts_query}) {
    task<result> asking = c.query(sql);
    result rows = co_await std::move(asking);
    settings.add(rows);
  }
  co_return examination(settings, *load).findings();
}

}  // namespace penstock::db::postgres

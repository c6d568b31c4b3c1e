#include "examination.h"

#include "../server_settings.h"
#include "grants.h"
#include "penstock/db/error.h"
#include "replication.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

// Where a sentence about a setting comes from: MariaDB's "InnoDB System Variables" and "Galera Cluster System
// Variables", MySQL's manual, 17.14.

namespace penstock::db::mariadb {
namespace {

using level = finding::level;

class examination {
 public:
  examination(const server_settings& settings, const expected_load& load) : settings_(settings), load_(load) {}

  // A node of a cluster that takes no statements.
  bool is_cut_off() const {
    return settings_.is_on("wsrep_on") &&
           (settings_.text("wsrep_cluster_status") != "Primary" || !settings_.is_on("wsrep_ready"));
  }
  void lacks_right(const std::string& table, const std::string& right) {
    lacking_.push_back({level::error, "no right to " + right + " in table " + table,
                        "items can't be stored, or not be read back, or what is old not be deleted",
                        "GRANT " + right + " ON " + table + " TO this account"});
  }
  // After a failover to another server of the URL.
  void look_at_replication() {
    for (finding& f : replication_findings(settings_)) lacking_.push_back(std::move(f));
  }
  void look_at_switchover(const grants& of_account) {
    for (finding& f : switchover_findings(settings_, of_account)) lacking_.push_back(std::move(f));
  }
  // `tables` are those that are missing.
  void look_at_enforced_engine(const std::string& tables) {
    const std::string& engine = settings_.text("enforce_storage_engine");
    if (tables.empty() || engine.empty() || engine == "InnoDB") return;
    lacking_.push_back({level::error, settings_.line("enforce_storage_engine"),
                        "tables that are missing can't be made: " + tables,
                        set_global("enforce_storage_engine", "InnoDB") + "; or make the tables by hand, as InnoDB"});
  }
  // `tables` are those that are missing.
  void lacks_right_beforehand(const std::string& database, const std::string& right, const std::string& tables) {
    lacking_.push_back({level::error, "no right to " + right + " in database " + database,
                        "tables that are missing " +
                            std::string(right == "CREATE" ? "can't be made" : "will need it once they are made") +
                            ": " + tables,
                        "GRANT " + right + " ON " + database + ".* TO this account" +
                            (right == "CREATE" ? "; or make the tables by hand" : "")});
  }

  void ids_are_few(const std::string& table, const std::string& used, bool all, const std::string& column) {
    lacking_.push_back(
        {all ? level::error : level::warning, "ids of table " + table + " up to " + used,
         std::string(all ? "" : "once they are used up, ") + "nothing can be stored: db.full",
         "ALTER TABLE " + table + " MODIFY " + column + " BIGINT NOT NULL AUTO_INCREMENT, which writes it anew"});
  }

  std::vector<finding> findings() {
    look_at_version();
    look_at_durability();
    look_at_cluster();
    look_at_capacity();
    found_.insert(found_.end(), lacking_.begin(), lacking_.end());
    return std::move(found_);
  }

 private:
  void add(level how, std::string what, std::string means, std::string change = {}) {
    found_.push_back({how, std::move(what), std::move(means), std::move(change)});
  }
  bool is_mariadb() const { return settings_.text("version").find("MariaDB") != std::string::npos; }

  void look_at_version() {
    const std::string& version = settings_.text("version");
    add(level::note, (is_mariadb() ? "" : "MySQL ") + version, "the server's version");
    const char* end = version.data() + version.size();
    const char* dot = std::from_chars(version.data(), end, version_.first).ptr;
    if (dot != end) std::from_chars(dot + 1, end, version_.second);
    bool old = is_mariadb() ? version_ < std::pair(10, 6) : version_.first < 8;
    if (old)
      add(level::warning, "version " + version, "older than what Penstock is tested with: MariaDB 10.6, MySQL 8.0",
          "upgrade the server");
  }

  void look_at_durability() {
    // 3 is 1 with another flush at the prepare.
    if (std::optional<std::int64_t> flush = settings_.number("innodb_flush_log_at_trx_commit");
        flush && (*flush == 0 || *flush == 2)) {
      // A node that comes back alone gets what it lost from the others.
      std::string event = *flush == 2 ? "a power failure or a crash of the system" : "a crash of the server alone";
      if (settings_.is_on("wsrep_on"))
        event = *flush == 2 ? "a power failure or a crash of the systems of all nodes at once"
                            : "a crash of the servers of all nodes at once";
      add(level::warning, settings_.line("innodb_flush_log_at_trx_commit"),
          "a commit is answered before it is on disk: " + event + " loses up to a second of acknowledged items",
          set_global("innodb_flush_log_at_trx_commit", "1"));
    }
    if (settings_.is_on("log_bin") && settings_.number("sync_binlog").value_or(1) != 1)
      add(level::warning, settings_.line("sync_binlog"),
          "after a power failure the binary log may lack commits that were acknowledged: the server takes them back "
          "when it starts again, and replicas and backups that use the log never have them",
          set_global("sync_binlog", "1"));
    if (settings_.has("innodb_redo_log_enabled") && !settings_.is_on("innodb_redo_log_enabled"))
      add(level::error, "ALTER INSTANCE DISABLE INNODB REDO_LOG was run",
          "nothing is durable: a crash of the server alone loses acknowledged items, and may leave it unable to start",
          "ALTER INSTANCE ENABLE INNODB REDO_LOG");
    // DETECT_ONLY is MySQL's.
    if (const std::string& doublewrite = settings_.text("innodb_doublewrite");
        doublewrite == "OFF" || doublewrite == "DETECT_ONLY")
      add(level::warning, settings_.line("innodb_doublewrite"),
          "a page that is half written when the power fails can't be mended, unless the disk writes pages whole",
          "innodb_doublewrite = ON under [mysqld]; restart the server");
    for (const char* method : {"nosync", "O_DIRECT_NO_FSYNC"})
      if (settings_.text("innodb_flush_method") == method)
        add(level::warning, settings_.line("innodb_flush_method"),
            "data files are not synced to disk: a power failure may damage them",
            "innodb_flush_method = O_DIRECT under [mysqld]; restart the server");
    if (settings_.is_on("read_only"))
      add(level::error, "read_only = ON", "the server takes no writes: it is a replica, or was set so",
          "name the primary in the URL, or several servers: mariadb://user@a,b/database");
  }

  void look_at_log() {
    if (settings_.is_on("log_bin") && settings_.text("binlog_format") == "STATEMENT")
      add(level::error, settings_.line("binlog_format"),
          "the server refuses to store rows: a log of statements can't tell what happens at READ COMMITTED, which "
          "sessions are set to",
          set_global("binlog_format", "ROW"));
  }

  void look_at_cluster() {
    if (!settings_.is_on("wsrep_on")) {
      const std::string& provider = settings_.text("wsrep_provider");
      if (settings_.has("wsrep_on") && !provider.empty() && provider != "none")
        add(level::error, "wsrep_on = OFF on a node of a Galera cluster",
            "what is stored here is on no other node: it is lost with this one, and the nodes differ",
            set_global("wsrep_on", "ON"));
      return look_at_log();
    }
    std::string members = settings_.text("wsrep_cluster_size");
    add(level::note, "a Galera cluster of " + members, "commits are certified by all nodes; conflicts are tried again");
    if (settings_.text("wsrep_cluster_status") != "Primary")
      add(level::error, settings_.line("wsrep_cluster_status"),
          "this node is cut off from the majority of its cluster and takes no statements",
          "mend the network between the nodes; or name other nodes in the URL as well");
    else if (!settings_.is_on("wsrep_ready"))
      add(level::error, settings_.line("wsrep_ready"), "this node is not in step with its cluster yet",
          "wait, or name other nodes in the URL as well");
    if (settings_.number("wsrep_cluster_size").value_or(3) < 3)
      add(level::warning, settings_.line("wsrep_cluster_size"),
          "with fewer than three nodes the loss of one, or of the network between them, stops all writes",
          "add nodes, or an arbitrator (garbd)");
    for (const char* option : {"pc.ignore_quorum", "pc.ignore_sb"})
      if (settings_.text("wsrep_provider_options").find(std::string(option) + " = true") != std::string::npos)
        add(level::warning, std::string("wsrep_provider_options: ") + option + " = true",
            "both halves of a cluster that falls apart go on taking writes, and one half's are lost",
            set_global("wsrep_provider_options", std::string("'") + option + "=false'"));
    if (settings_.has("binlog_format") && settings_.text("binlog_format") != "ROW")
      add(level::error, settings_.line("binlog_format"), "a cluster replicates rows only",
          set_global("binlog_format", "ROW"));
  }

  void look_at_capacity() {
    if (settings_.has("local_infile") && !settings_.is_on("local_infile"))
      add(level::note, "local_infile = OFF",
          is_mariadb() && version_ >= std::pair(10, 7)
              ? "large batches with rows that the database refuses, and numbers of several kinds in a column, go in by "
                "INSERT instead of LOAD DATA LOCAL: more slowly"
              : "large batches with rows that the database refuses go in by INSERT instead of LOAD DATA LOCAL, and on "
                "MySQL all large batches: up to twice as slowly",
          set_global("local_infile", "ON"));
    // The text of a batch may be twice as long as its values when every byte must be escaped.
    auto wanted = static_cast<std::int64_t>(2 * load_.batch_bytes);
    if (std::optional<std::int64_t> packet = settings_.number("max_allowed_packet"); packet && *packet < wanted)
      add(level::warning, settings_.line("max_allowed_packet"),
          "larger values, and statements of larger batches, are refused by the server",
          set_global("max_allowed_packet", std::to_string(wanted)) +
              "; sessions that are open keep the old one, so start the service anew then; or lower batch.max_bytes");
    // MariaDB's, in seconds and parts of one, as long as a batch may take by default (batch.attempt_timeout); 0: none.
    double longest = std::strtod(settings_.text("max_statement_time").c_str(), nullptr);
    if (longest > 0 && longest < 30)
      add(level::warning, settings_.line("max_statement_time"),
          "a batch that takes longer is ended by the server, and stored in parts, late",
          "ALTER USER of this account WITH MAX_STATEMENT_TIME 0; or " + set_global("max_statement_time", "0"));
    auto sessions = static_cast<std::int64_t>(load_.sessions);
    if (std::optional<std::int64_t> most = settings_.number("max_connections"); most && *most < 2 * sessions)
      add(level::warning, settings_.line("max_connections"),
          "this service alone opens up to " + std::to_string(sessions) +
              ": with what else connects, the server may run out",
          set_global("max_connections", std::to_string(std::max<std::int64_t>(150, 4 * sessions))));
    // The session's value is that of the account, where it has one; 0: none.
    if (std::optional<std::int64_t> most = settings_.number("max_user_connections");
        most && *most > 0 && *most < sessions)
      add(level::warning, settings_.line("max_user_connections"),
          "this service alone opens up to " + std::to_string(sessions) +
              ": beyond the limit, streams wait for one another's sessions, and reads for theirs",
          "ALTER USER of this account WITH MAX_USER_CONNECTIONS " + std::to_string(2 * sessions) + "; or " +
              set_global("max_user_connections", std::to_string(2 * sessions)));
  }

  const server_settings& settings_;
  const expected_load& load_;
  std::pair<int, int> version_{0, 0};  // its first two numbers
  std::vector<finding> lacking_;
  std::vector<finding> found_;
};

std::string in_backticks(const std::string& name) {
  std::string quoted = "`";
  for (char c : name) quoted += std::string(c == '`' ? 2 : 1, c);
  return quoted + "`";
}

std::string text_of(const result& rows) {
  const auto* text = rows.rows.empty() ? nullptr : std::get_if<std::string>(&rows.rows[0].at(0));
  return text == nullptr ? std::string() : *text;
}

// Of the account and of its roles.
task<grants> grants_here(connection* c) {
  grants all;
  task<result> asking = c->query("SHOW GRANTS");
  result rows = co_await std::move(asking);
  for (const auto& row : rows.rows) all.add(std::get<std::string>(row.at(0)));
  co_return all;
}

// EXPLAIN asks for the rights that the statement needs, and does not run it.
task<bool> may_delete(connection* c, const std::string* table) {
  try {
    task<result> explaining = c->query("EXPLAIN DELETE FROM " + c->quoted_table(*table));
    co_await std::move(explaining);
  } catch (const database_error& e) {
    if (e.errc() == db_errc::auth) co_return false;
    if (e.is_transient() && e.errc() != db_errc::read_only) throw;
  }
  co_return true;
}

// The rights of columns are those that hold, wherever they come from. A right to some columns may be all that is
// needed. Nothing of a table that is missing, or that the account may not see.
constexpr const char* column_rights_query =
    "SELECT UPPER(GROUP_CONCAT(DISTINCT PRIVILEGES)) FROM information_schema.COLUMNS "
    "WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?";

// Of a table four fifths of whose ids are used: the last of them, the highest that the column holds, whether that
// is reached, and whether it is the next: MySQL goes on to say so when it was given.
constexpr const char* used_ids_query =
    "SELECT CAST(next - 1 AS CHAR), CAST(most AS CHAR), next > most, next = most FROM (SELECT t.AUTO_INCREMENT AS "
    "next, "
    "CASE WHEN c.COLUMN_TYPE LIKE '%unsigned%' THEN 2 ELSE 1 END * CAST(CASE c.DATA_TYPE WHEN 'tinyint' THEN 128 "
    "WHEN 'smallint' THEN 32768 WHEN 'mediumint' THEN 8388608 WHEN 'int' THEN 2147483648 ELSE 9223372036854775808 END "
    "AS DECIMAL(30)) - 1 AS most FROM information_schema.TABLES AS t JOIN information_schema.COLUMNS AS c "
    "ON c.TABLE_SCHEMA = t.TABLE_SCHEMA AND c.TABLE_NAME = t.TABLE_NAME WHERE t.TABLE_SCHEMA = DATABASE() "
    "AND t.TABLE_NAME = ? AND c.COLUMN_NAME = ? AND c.EXTRA LIKE '%auto_increment%') AS ids WHERE next > most / 5 * 4";

// Nobody knows without the right to look.
task<bool> has_row(connection* c, const used_table* table, const std::string* id) {
  try {
    task<result> asking = c->query("SELECT 1 FROM " + c->quoted_table(table->name) + " WHERE " +
                                   in_backticks(table->id_column) + " = " + *id);
    result found = co_await std::move(asking);
    co_return !found.rows.empty();
  } catch (const database_error& e) {
    if (e.errc() != db_errc::auth) throw;
  }
  co_return false;
}

task<void> look_at_ids(connection* c, const used_table* table, examination* into) {
  task<result> asking = c->query(used_ids_query, parameters_of(table->name, table->id_column));
  result used = co_await std::move(asking);
  for (const auto& row : used.rows) {
    std::string last = std::get<std::string>(row[0]);
    const auto& most = std::get<std::string>(row[1]);
    bool all = std::get<std::int64_t>(row[2]) != 0;
    if (std::get<std::int64_t>(row[3]) != 0) {
      task<bool> looking = has_row(c, table, &most);
      all = co_await std::move(looking);
    }
    if (all) last = most;
    into->ids_are_few(in_backticks(table->name), last + " of " + most, all, in_backticks(table->id_column));
  }
}

// For how long information_schema tells the next id of a table as it was: MySQL's, a day by default.
constexpr const char* age_of_statistics = "information_schema_stats_expiry";

task<void> tell_statistics_of(std::string_view seconds, connection* c) {
  std::string sql = "SET SESSION ";
  sql.append(age_of_statistics).append("=").append(seconds);
  task<std::uint64_t> setting = c->execute(std::move(sql));
  co_await std::move(setting);
}

task<void> look_at_tables(connection* c, const expected_load* load, examination* into) {
  task<result> naming = c->query("SELECT DATABASE()");
  result name = co_await std::move(naming);
  std::string database = text_of(name);
  task<grants> granting = grants_here(c);
  grants granted = co_await std::move(granting);
  std::map<std::string, std::string> lacking_beforehand;
  std::string missing;
  for (const used_table& table : load->tables) {
    task<result> asking = c->query(column_rights_query, parameters_of(table.name));
    result found = co_await std::move(asking);
    std::string rights = text_of(found);
    bool is_there = !rights.empty();
    auto lacks_beforehand = [&](const std::string& right) {
      if (granted.give(right, database, table.name)) return;
      std::string& tables = lacking_beforehand[right];
      tables += (tables.empty() ? "" : ", ") + in_backticks(table.name);
    };
    if (!is_there) lacks_beforehand("CREATE");
    if (!is_there) missing += (missing.empty() ? "" : ", ") + in_backticks(table.name);
    for (const std::string& right : table.rights) {
      if (!is_there) {
        lacks_beforehand(right);
        continue;
      }
      bool has = rights.find(right) != std::string::npos;
      if (right == "DELETE") {
        task<bool> trying = may_delete(c, &table.name);
        has = co_await std::move(trying);
      }
      if (!has) into->lacks_right(in_backticks(database) + "." + in_backticks(table.name), right);
    }
    task<void> at_ids = look_at_ids(c, &table, into);
    co_await std::move(at_ids);
  }
  into->look_at_enforced_engine(missing);
  for (const auto& [right, tables] : lacking_beforehand)
    into->lacks_right_beforehand(in_backticks(database), right, tables);
}

}  // namespace

std::string set_global(std::string_view name, std::string_view value) {
  std::string text(name);
  return "SET GLOBAL " + text + " = " + std::string(value) + "; and " + text + " = " + std::string(value) +
         " under [mysqld] in the server's option file, so that it lasts";
}

task<std::vector<finding>> examine_server(connection& c, const expected_load* load, const server_url* url) {
  server_settings settings;
  for (const char* sql : {"SHOW VARIABLES", "SHOW STATUS LIKE 'wsrep%'", "SHOW STATUS LIKE 'Rpl_semi_sync_%'",
                          "SHOW STATUS LIKE 'Innodb_redo_log_enabled'"}) {
    task<result> asking = c.query(sql);
    result rows = co_await std::move(asking);
    settings.add(rows);
  }
  examination looking(settings, *load);
  if (!looking.is_cut_off()) {
    const std::string age = settings.text(age_of_statistics);
    task<void> asking_now = tell_statistics_of("0", &c);
    if (!age.empty()) co_await std::move(asking_now);
    task<void> at_tables = look_at_tables(&c, load, &looking);
    co_await std::move(at_tables);
    task<void> as_before = tell_statistics_of(age, &c);
    if (!age.empty()) co_await std::move(as_before);
  }
  const bool has_others = url->addresses.size() > 1;
  if (has_others && url->primary_only) looking.look_at_replication();
  if (url->primary_only && !looking.is_cut_off() && (has_others || settings.is_on("log_bin"))) {
    task<grants> granting = grants_here(&c);
    grants granted = co_await std::move(granting);
    looking.look_at_switchover(granted);
  }
  co_return looking.findings();
}

}  // namespace penstock::db::mariadb

#include "replication.h"

#include "examination.h"

#include <charconv>
#include <cstdint>
#include <string>
#include <utility>

// Where a sentence comes from: MariaDB's "Semisynchronous Replication", and MySQL's manual, 19.4.10.

namespace penstock::db::mariadb {
namespace {

using level = finding::level;

constexpr const char* missing_after_failover =
    "the URL names several servers: acknowledged items may be missing on the next one after a failover";

// What plugins of MySQL from 8.0.26 on call a source, the older ones, and MariaDB, call a master.
struct semi_sync_names {
  std::string prefix = "rpl_semi_sync_master_";
  std::string awaited = "rpl_semi_sync_master_wait_for_slave_count";  // MySQL's
};

semi_sync_names names_of(const server_settings& settings) {
  if (!settings.has("rpl_semi_sync_source_enabled")) return {};
  return {"rpl_semi_sync_source_", "rpl_semi_sync_source_wait_for_replica_count"};
}

// Longer than somebody takes to see that nothing is stored, and to mend or drop the replica.
constexpr std::int64_t long_enough_ms = 3'600'000;
constexpr const char* longest_ms = "4294967295";

// A state, as SHOW STATUS writes it.
std::string state_line(const server_settings& settings, const std::string& name) {
  std::string line = settings.line(name);
  line.front() = 'R';
  return line;
}

std::vector<finding> semi_sync_findings(const server_settings& settings, const semi_sync_names& names) {
  std::vector<finding> found;
  const std::string timeout = names.prefix + "timeout";
  const std::string status = names.prefix + "status";
  const std::string clients = names.prefix + "clients";
  const std::string point = names.prefix + "wait_point";
  const std::int64_t awaited = settings.number(names.awaited).value_or(1);
  if (settings.number(timeout).value_or(long_enough_ms) < long_enough_ms)
    found.push_back({level::warning, settings.line(timeout),
                     std::string("after so many ms without a replica, commits do not wait for one any more; ") +
                         missing_after_failover,
                     set_global(timeout, longest_ms)});
  if (settings.has(status) && !settings.is_on(status))
    found.push_back({level::warning, state_line(settings, status),
                     std::string("commits do not wait for a replica now; ") + missing_after_failover,
                     "start the replica, with semi-synchronous replication on there too"});
  else if (settings.number(clients).value_or(awaited) < awaited)
    found.push_back(
        {level::error, state_line(settings, clients),
         "commits wait for a replica, so no item is acknowledged until it comes, or " + timeout + " is over",
         "start the replica, with semi-synchronous replication on there too"});
  if (settings.text(point) == "AFTER_COMMIT")
    found.push_back({level::note, settings.line(point),
                     "items are read back before a replica has them, and may be missing after a failover then",
                     set_global(point, "AFTER_SYNC")});
  return found;
}

// MariaDB's SUPER has been without this one since 10.11.
bool has_super_for_read_only(const std::string& version) {
  if (version.find("MariaDB") == std::string::npos) return true;
  std::pair<int, int> first{0, 0};
  const char* end = version.data() + version.size();
  const char* dot = std::from_chars(version.data(), end, first.first).ptr;
  if (dot != end) std::from_chars(dot + 1, end, first.second);
  return first < std::pair(10, 11);
}

// One that stores on several machines by itself.
bool has_findings_of_its_own(const server_settings& settings) {
  return settings.is_on("wsrep_on") || !settings.text("group_replication_group_name").empty() ||
         settings.text("version").find("TiDB") != std::string::npos;
}

}  // namespace

std::vector<finding> replication_findings(const server_settings& settings) {
  if (has_findings_of_its_own(settings) || settings.is_on("read_only")) return {};
  if (!settings.is_on("log_bin"))
    return {{level::warning, settings.line("log_bin"),
             std::string("no replica gets what is stored here; ") + missing_after_failover,
             "log_bin under [mysqld], and a replica with semi-synchronous replication; or name this server alone"}};
  const semi_sync_names names = names_of(settings);
  const std::string enabled = names.prefix + "enabled";
  if (settings.is_on(enabled)) return semi_sync_findings(settings, names);
  std::string what = "replication is asynchronous";
  if (settings.has(enabled)) what += ": " + settings.line(enabled);
  return {{level::warning, std::move(what), std::string("commits do not wait for a replica; ") + missing_after_failover,
           settings.has(enabled) ? set_global(enabled, "ON") + "; and the like on the replica"
                                 : "INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so', and "
                                   "rpl_semi_sync_source_enabled = ON; and the like on the replica"}};
}

std::vector<finding> switchover_findings(const server_settings& settings, const grants& of_account) {
  if (has_findings_of_its_own(settings) || settings.is_on("read_only")) return {};
  for (const char* right : {"READ_ONLY ADMIN", "READ ONLY ADMIN", "CONNECTION_ADMIN", "SUPER"}) {
    if (right == std::string_view("SUPER") && !has_super_for_read_only(settings.text("version"))) continue;
    if (!of_account.give_everywhere(right)) continue;
    const bool is_mariadb = settings.text("version").find("MariaDB") != std::string::npos;
    return {{level::warning, "the account may write while the server's read_only is on",
             "a switchover that begins with SET GLOBAL read_only does not stop what is being stored at that moment: it "
             "stays on this server, and may be on no other one",
             std::string("REVOKE ") + (is_mariadb ? "READ_ONLY ADMIN" : "CONNECTION_ADMIN, SUPER") +
                 " ON *.* FROM this account; or GRANT it the rights on its own database alone"}};
  }
  return {};
}

}  // namespace penstock::db::mariadb

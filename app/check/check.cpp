// Invariant: nothing is made: a table is compared only when it is there, since preparing one that is missing makes it,
// and a SQLite file is opened only then.

#include "app/check/check.h"

#include <penstock/async/scheduler.h>
#include <penstock/async/timeout.h>
#include <penstock/core/units.h>
#include <penstock/db/connection.h>
#include <penstock/db/error.h>
#include <penstock/ingest/item_schema.h>
#include <penstock/ingest/service.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <unistd.h>

namespace penstock::app::check {
namespace {

using db::finding;
using level = finding::level;

// Behind the wait for a connection, which has its own bound. Each table is asked about in some ten trips.
constexpr auto looking_takes_at_most = std::chrono::seconds(20);
constexpr auto and_for_each_stream = std::chrono::seconds(2);

db::expected_load load_of(const ingest::service_options& options, const db::database& store) {
  return {ingest::used_sessions(options, store), options.batch.max_bytes, ingest::used_tables(options)};
}

// Where SQLite has it; empty for other databases.
std::string_view file_of(std::string_view url) {
  constexpr std::string_view scheme = "sqlite:";
  if (!url.starts_with(scheme)) return {};
  url.remove_prefix(scheme.size());
  if (url.starts_with("//")) url.remove_prefix(2);
  return url.substr(0, url.find('?'));
}

finding unusable(const error& failure, std::string change = {}) {
  return {level::error, "the store can't be used", failure.message(), std::move(change)};
}

std::string change_for(const error& failure, std::string_view url) {
  if (!failure.is(db::db_errc::read_only)) return {};
  if (!file_of(url).empty()) return "let this account write to the file and to its folder";
  return "name the server that takes writes in the URL, or several servers: the one that does is looked for";
}

task<finding> round_trip(db::connection& c) {
  constexpr int count = 20;
  const scheduler& clock = scheduler::current();
  co_await sleep_for(duration::zero());  // the clock is read once a turn, and pings may be answered within one
  time_point start = clock.now();
  for (int i = 0; i < count; ++i) {
    task<void> asking = c.ping();
    co_await std::move(asking);
  }
  co_await sleep_for(duration::zero());
  auto each = std::chrono::duration_cast<std::chrono::microseconds>((clock.now() - start) / count);
  co_return finding{level::note, format_duration(each) + " a round trip", "every commit waits for a few of them", {}};
}

// Nothing when the table is missing and can be made.
task<std::optional<std::string>> drift(db::connection& c, const db::table_definition& table) {
  bool is_missing = false;
  try {
    task<db::result> looking = c.query("SELECT 1 FROM " + c.quoted_table(table.name) + " WHERE 1 = 0");
    co_await std::move(looking);
  } catch (const db::database_error& e) {
    if (e.errc() != db::db_errc::syntax) throw;
    is_missing = true;
  }
  if (is_missing) {
    std::string faults;
    for (const std::string& fault : c.creation_faults(table)) faults += (faults.empty() ? "" : "; ") + fault;
    if (faults.empty()) co_return std::nullopt;
    co_return "table '" + table.name + "' can't be made: " + faults;
  }
  try {
    task<void> comparing = c.prepare_table(table);
    co_await std::move(comparing);
  } catch (const db::database_error& e) {
    if (e.errc() == db::db_errc::auth) throw;
    co_return e.message();
  }
  co_return std::string();
}

task<std::optional<finding>> stream_finding(db::connection& c, const ingest::stream_definition& stream) {
  std::string name = "stream '" + stream.name + "'";
  ingest::item_schema schema(stream);
  task<std::optional<std::string>> comparing = drift(c, schema.table());
  std::optional<std::string> differences = co_await std::move(comparing);
  if (!differences)
    co_return finding{level::note, name, "table '" + stream.table + "' is missing; `penstock serve` makes it", {}};
  if (differences->empty()) co_return finding{level::note, name, "table '" + stream.table + "' fits", {}};
  co_return finding{level::error, name, *differences,
                    "change the table, or the stream's columns, or name another table"};
}

// Nothing of one that fits, or that serving would make.
task<std::optional<finding>> own_table_finding(db::connection& c, const db::table_definition& table) {
  task<std::optional<std::string>> comparing = drift(c, table);
  std::optional<std::string> differences = co_await std::move(comparing);
  if (!differences || differences->empty()) co_return std::nullopt;
  co_return finding{
      level::error, "table '" + table.name + "', which `penstock serve` makes for itself", *differences,
      "change the table; or rename it while no service runs: a new one is made, without what it has kept"};
}

// The SQLite file that serving would make; empty when there is none such, or it could not be made.
std::string file_to_be_made(std::string_view url) {
  std::filesystem::path file = file_of(url);
  if (file.empty() || file == ":memory:") return {};
  std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
  std::error_code unknown;
  bool missing = !std::filesystem::exists(file, unknown) && !unknown;
  std::filesystem::path wal = file;
  wal += "-wal";
  if (std::filesystem::exists(wal, unknown) && std::filesystem::file_size(wal, unknown) > 0)
    return {};  // opening the file tells of it, and makes none
  return missing && ::access(folder.c_str(), W_OK | X_OK) == 0 ? file.string() : std::string();
}

// Rights that are missing are told by whoever examined the server: what can't be looked at for want of one is not told
// once more.
task<std::optional<finding>> unless_forbidden(task<std::optional<finding>> looking, std::optional<finding>& no_right) {
  try {
    co_return co_await std::move(looking);
  } catch (const db::database_error& e) {
    if (e.errc() != db::db_errc::auth) throw;
    no_right = unusable(e);
  }
  co_return std::nullopt;
}

task<void> check_session(db::connection& session, const db::database& store, const serve_config& config, report& into) {
  db::expected_load load = load_of(config.ingest, store);
  task<std::vector<finding>> examining = session.examine(load);
  std::vector<finding> found = co_await std::move(examining);
  for (const finding& f : found) into.add(f);
  if (store.commits_can_be_ambiguous()) {
    task<finding> measuring = round_trip(session);
    finding measured = co_await std::move(measuring);
    into.add(measured);
  }
  std::optional<finding> no_right;
  for (const ingest::stream_definition& stream : config.ingest.streams) {
    task<std::optional<finding>> comparing = unless_forbidden(stream_finding(session, stream), no_right);
    std::optional<finding> compared = co_await std::move(comparing);
    if (compared) into.add(*compared);
  }
  for (const db::table_definition& table : ingest::own_tables(store)) {
    task<std::optional<finding>> comparing = unless_forbidden(own_table_finding(session, table), no_right);
    std::optional<finding> compared = co_await std::move(comparing);
    if (compared) into.add(*compared);
  }
  if (no_right && into.errors() == 0) into.add(*no_right);
}

}  // namespace

task<void> check_store(const serve_config& config, report& into) {
  std::optional<finding> failed;
  duration most{};
  try {
    db::database database(config.store_url);
    if (file_of(config.store_url) == ":memory:")
      into.add({level::warning, "the store is in memory", "all items are gone when the service ends",
                "name one on disk, such as sqlite:items.db"});
    if (std::string file = file_to_be_made(config.store_url); !file.empty()) {
      into.add({level::note, "file '" + file + "'", "missing; `penstock serve` makes it", {}});
      database = db::database("sqlite::memory:");
    }
    task<std::unique_ptr<db::connection>> connecting = database.connect();
    std::unique_ptr<db::connection> session = co_await std::move(connecting);
    most = looking_takes_at_most + and_for_each_stream * config.ingest.streams.size();
    task<void> checking = with_timeout(most, check_session(*session, database, config, into));
    co_await std::move(checking);
  } catch (const timed_out&) {
    failed = finding{level::error, "the database does not answer",
                     "it had not answered all that there is to check within " + format_duration(most),
                     "see what holds it up: another session may have a table locked"};
  } catch (const error& e) {
    failed = unusable(e, change_for(e, config.store_url));
  }
  if (failed) into.add(*failed);
}

}  // namespace penstock::app::check

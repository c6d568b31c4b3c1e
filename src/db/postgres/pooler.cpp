#include "failure.h"
#include "penstock/async/timeout.h"
#include "penstock/db/error.h"
#include "session.h"
#include "startup.h"

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// A connection pooler between this client and the server, such as PgBouncer, has sessions of its own with the server,
// and gives one of them for a client's whole session, or for a transaction only
// (https://www.pgbouncer.org/features.html).

namespace penstock::db::postgres {
namespace {

// The last: whether values look as was asked for at the login (startup.cpp), which a trigger of the login may change.
constexpr const char* introduction =
    "SELECT pg_backend_pid(), pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean, "
    "current_setting('client_encoding') = 'UTF8' AND current_setting('timezone') = 'UTC' "
    "AND current_setting('datestyle') LIKE 'ISO%' AND current_setting('intervalstyle') = 'postgres' "
    "AND current_setting('bytea_output') = 'hex' AND current_setting('extra_float_digits') = '1'";

// What changes what values look like. One at a time: as one text they would
// be a transaction, which a pooler may not allow.
constexpr std::array<const char*, 7> appearances{"SET client_encoding = 'UTF8'",    "SET timezone = 'UTC'",
                                                 "SET datestyle = 'ISO'",           "SET intervalstyle = 'postgres'",
                                                 "SET bytea_output = hex",          "SET extra_float_digits=1",
                                                 "SET client_min_messages = notice"};

constexpr duration waits_for_another_session = std::chrono::seconds(3);
constexpr int turns_of_another_session = 10;

}  // namespace

task<void> session::introduce() {
  task<bool> asking = takes_no_writes();
  bool is_read_only = co_await std::move(asking);
  if (is_read_only && home_->url.primary_only) throw read_only_server();
  task<void> setting = set_appearances();
  co_await std::move(setting);
}

// The process that the pooler names is none of the server's. It refuses options, or passes them over, as it is told.
task<bool> session::takes_no_writes() {
  wire& w = open_wire();
  std::optional<database_error> failed;
  bool is_read_only = false;
  result_taker take = [&](std::size_t, const PGresult* r) {
    if (PQresultStatus(r) == PGRES_FATAL_ERROR && !failed) failed = failure_of(r, "log in");
    if (PQresultStatus(r) != PGRES_TUPLES_OK) return;
    std::string_view options = PQoptions(w.handle());
    is_pooled_ = options.empty() || std::to_string(PQbackendPID(w.handle())) != PQgetvalue(r, 0, 0);
    is_read_only = *PQgetvalue(r, 0, 1) == 't';
    looks_otherwise_ = *PQgetvalue(r, 0, 2) != 't';
  };
  task<void> asking = w.run_plain(introduction, take);
  co_await std::move(asking);
  if (failed) throw *std::move(failed);
  co_return is_read_only;
}

task<void> session::set_appearances() {
  if (!is_pooled_ && !looks_otherwise_) co_return;
  wire& w = connected_wire();  // of a session that is reset by half, too
  std::optional<database_error> failed;
  for (const char* sql : appearances) {
    task<void> setting = w.run_plain(sql, [&](std::size_t, const PGresult* r) {
      if (PQresultStatus(r) == PGRES_FATAL_ERROR && !failed) failed = failure_of(r, sql);
    });
    co_await std::move(setting);
  }
  if (failed) throw *std::move(failed);
}

// What is set for a session may stay with the server's, and be another client's then. None of these takes a snapshot.
std::vector<std::string> session::settings_of_transaction() const {
  std::vector<std::string> settings;
  if (!is_pooled_) return settings;
  if (lock_wait_) settings.push_back("SET LOCAL lock_timeout = " + std::to_string(*lock_wait_));
  duration idle = home_->url.idle_transaction_timeout;
  if (idle != duration::zero())
    settings.push_back("SET LOCAL idle_in_transaction_session_timeout = " +
                       std::to_string(std::chrono::ceil<std::chrono::milliseconds>(idle).count()));
  return settings;
}

task<std::vector<finding>> session::examine(const expected_load& load) {
  task<std::vector<finding>> examining = examine_server(*this, &load, &home_->url);
  std::vector<finding> found = co_await std::move(examining);
  if (!is_pooled_) co_return found;
  task<pooling> looking = look_at_pooler();
  pooling how = co_await std::move(looking);
  found.push_back(finding_about(how, load.sessions));
  co_return found;
}

// Null where the pooler refuses one more.
task<connection_handle> session::another_login() {
  try {
    task<connection_handle> connecting = connect_to(home_->url, at_);
    co_return co_await std::move(connecting);
  } catch (const database_error& e) {
    if (!e.is_transient()) throw;
  }
  co_return nullptr;
}

// Another session, in a transaction, gets the server's session that this one had, sooner or later, unless that is this
// one's own.
task<session::pooling> session::look_at_pooler() {
  const std::string who = "SELECT pg_backend_pid()";
  std::optional<session> other;
  try {
    task<connection_handle> limited = with_timeout(waits_for_another_session, another_login());
    connection_handle connected = co_await std::move(limited);
    if (connected == nullptr) co_return pooling::without_another_session;
    other.emplace(home_, at_, std::move(connected));
    const std::uint64_t lost_before = lost_statements_;
    bool is_own = true;
    for (int turn = 0; turn < turns_of_another_session && is_own; ++turn) {
      task<result> asking = with_timeout(waits_for_another_session, query(who, parameters()));
      result mine = co_await std::move(asking);
      task<void> beginning = other->begin();
      co_await std::move(beginning);
      task<result> asking_other = with_timeout(waits_for_another_session, other->query(who, parameters()));
      result others = co_await std::move(asking_other);
      task<result> again = with_timeout(waits_for_another_session, query(who, parameters()));
      result now = co_await std::move(again);
      is_own = mine.rows == now.rows && mine.rows != others.rows;
      task<void> ending = other->rollback();
      co_await std::move(ending);
    }
    if (lost_statements_ != lost_before) co_return pooling::of_transactions;
    co_return is_own ? pooling::of_sessions : pooling::of_transactions_with_statements;
  } catch (const timed_out&) {
    other.reset();
  }
  if (state() == session_state::dirty) {
    task<void> ending = rollback();
    co_await std::move(ending);
  }
  co_return pooling::without_another_session;
}

finding session::finding_about(pooling how, std::size_t sessions) {
  const std::string pooler = "a connection pooler, such as PgBouncer, lies between";
  switch (how) {
    case pooling::of_transactions:
      return {finding::level::error, pooler + ", which pools transactions and keeps no prepared statements",
              "statements are missing in most sessions that it gives: batches fail, and are tried again and again",
              "pool_mode = session for this database of the pooler, or, from PgBouncer 1.21 on, "
              "max_prepared_statements = 200; or go to the server itself: Penstock pools its sessions"};
    case pooling::of_transactions_with_statements:
      return {finding::level::note, pooler + ", which pools transactions",
              "batches go in by INSERT, not by COPY, and what a program sets for its session is not kept",
              "pool_mode = session, or go to the server itself: Penstock pools its sessions"};
    case pooling::without_another_session:
      return {finding::level::error, pooler + ", and gave no second session",
              "sessions seem to be there, and wait in it: so do batches",
              "default_pool_size = " + std::to_string(sessions) + " or more"};
    case pooling::of_sessions:
      break;
  }
  return {finding::level::note, pooler + ", which pools sessions", "it must have one for each of Penstock's",
          "default_pool_size = " + std::to_string(sessions) + " or more, for each process of Penstock"};
}

}  // namespace penstock::db::postgres

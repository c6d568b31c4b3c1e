#include "failure.h"
#include "penstock/async/cancel.h"
#include "penstock/core/outcome.h"
#include "penstock/db/error.h"
#include "session.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>

// How a session's transactions begin and end, and how it becomes clean again.

namespace penstock::db::postgres {
namespace {

// What DISCARD ALL does (PostgreSQL manual, DISCARD), but for the prepared statements, which are the driver's.
constexpr const char* cleaning =
    "ROLLBACK; CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; SELECT pg_advisory_unlock_all(); "
    "DISCARD TEMP; DISCARD SEQUENCES";

// Keeps the first failure of a trip.
result_taker keeping_failure(std::optional<database_error>& failed, const char* doing) {
  return [&failed, doing](std::size_t, const PGresult* r) {
    if (PQresultStatus(r) == PGRES_FATAL_ERROR && !failed) failed = failure_of(r, doing);
  };
}

// `refuses_rows` becomes true when it fails for what the rows are.
task<void> commit_on(wire& w, bool& refuses_rows) {
  std::optional<database_error> failed;
  bool rolled_back = false;
  result_taker take = [&](std::size_t, const PGresult* r) {
    if (PQresultStatus(r) == PGRES_FATAL_ERROR && !failed) {
      failed = failure_of_rows(r, "commit");
      refuses_rows = refusal_of_row(r).has_value() || lacks_in_function(r);
    }
    // COMMIT of a transaction that has failed rolls it back, and calls that a success.
    rolled_back = rolled_back || std::string_view(PQcmdStatus(const_cast<PGresult*>(r))) == "ROLLBACK";
  };
  std::exception_ptr lost;
  try {
    w.execute("COMMIT");
    w.sync();
    task<void> asking = w.finish(take);
    co_await std::move(asking);
  } catch (...) {
    lost = std::current_exception();
  }
  if (lost || (failed && failed->errc() == db_errc::connection_lost))
    throw database_error(db_errc::ambiguous_commit,
                         "PostgreSQL: the connection was lost during COMMIT: whether it happened must be looked up", 0,
                         failed ? failed->sqlstate() : std::string(), lost);
  if (failed) throw *std::move(failed);
  if (w.passed_over_standby()) throw without_standby();
  if (rolled_back)
    throw database_error(db_errc::other, "PostgreSQL: a statement of the transaction had failed: it was rolled back");
}

}  // namespace

task<void> session::begin() {
  open_wire();
  if (in_transaction()) throw database_error(db_errc::other, "a transaction is open already: end it first");
  begin_is_due_ = true;
  for_batches_ = false;
  ++transactions_;
  had_known_plan_ = false;
  co_return;
}

task<void> session::begin_for_batches() {
  task<void> beginning = begin();
  co_await std::move(beginning);
  for_batches_ = true;
}

task<void> session::commit() {
  wire& w = open_wire();
  if (!in_transaction()) throw database_error(db_errc::other, "no transaction is open: begin one first");
  if (std::exchange(begin_is_due_, false)) co_return;
  bool had_known_plan = std::exchange(had_known_plan_, false);
  silence_limit patience(*this);
  time_point begun = scheduler::current().now();
  bool refuses_rows = false;
  std::exception_ptr failure;
  try {
    task<void> committing = shield(commit_on(w, refuses_rows));
    co_await std::move(committing);
    co_return;
  } catch (...) {
    failure = std::current_exception();
  }
  time_point now = scheduler::current().now();
  const auto* failed = penstock::detail::exception_as<database_error>(failure);
  bool is_unanswered = failed != nullptr && failed->errc() == db_errc::ambiguous_commit;
  if (is_unanswered && now - begun >= home_->url.silence_timeout) home_->silent.note(at_, now);
  if (!refuses_rows) std::rethrow_exception(failure);
  // Of a deferred constraint, which may be newer than the plans: they have those that are known checked row by row. A
  // batch that went in by plans of this transaction would end alike again.
  while (!plans_.empty()) forget_plan(plans_.begin()->first);
  plan_was_stale_ = had_known_plan;
  if (!had_known_plan) std::rethrow_exception(failure);
  throw to_be_stored_anew(failure);
}

task<void> session::rollback() {
  wire& w = connected_wire();
  begin_is_due_ = false;
  if (!w.idle()) {
    task<void> recovering = w.drain(home_->url.silence_timeout);
    co_await std::move(recovering);
  }
  if (!in_transaction()) co_return;
  silence_limit patience(*this);
  std::optional<database_error> failed;
  w.execute("ROLLBACK");
  w.sync();
  task<void> asking = w.finish(keeping_failure(failed, "roll back"));
  co_await std::move(asking);
  if (failed) throw *std::move(failed);
}

task<void> session::reset() {
  wire& w = connected_wire();
  begin_is_due_ = false;
  if (!w.idle()) {
    task<void> recovering = w.drain(home_->url.silence_timeout);
    co_await std::move(recovering);
  }
  half_reset_ = true;
  std::optional<database_error> failed;
  task<void> asking = w.run_plain(cleaning, keeping_failure(failed, "reset"));
  co_await std::move(asking);
  lock_wait_.reset();
  if (failed) {
    close();  // it can't be made clean
    throw *std::move(failed);
  }
  task<void> setting = set_appearances();
  co_await std::move(setting);
  altered_ = false;
  half_reset_ = false;
}

// 0 would be no bound.
task<void> session::limit_lock_waits(duration most) {
  constexpr std::int64_t most_milliseconds = std::numeric_limits<std::int32_t>::max();
  auto milliseconds =
      std::clamp<std::int64_t>(std::chrono::ceil<std::chrono::milliseconds>(most).count(), 1, most_milliseconds);
  wire& w = open_wire();
  if (in_transaction()) throw database_error(db_errc::other, "a transaction is open: end it first");
  if (lock_wait_ == milliseconds) co_return;
  lock_wait_.reset();
  std::optional<database_error> failed;
  if (!is_pooled_) {  // see `settings_of_transaction`
    w.execute("SET lock_timeout = " + std::to_string(milliseconds));
    w.sync();
    task<void> asking = w.finish(keeping_failure(failed, "limit waits for locks"));
    co_await std::move(asking);
  }
  if (failed) throw *std::move(failed);
  lock_wait_ = milliseconds;
}

task<void> session::ping() {
  wire& w = open_wire();
  w.sync();  // answered without a statement
  task<void> asking = w.finish([](std::size_t, const PGresult*) {});
  co_await std::move(asking);
  if (!home_->url.primary_only) co_return;
  task<void> checking = require_primary();
  co_await std::move(checking);
}

namespace {

bool is_on(PGconn* c, const char* setting) noexcept {
  const char* told = PQparameterStatus(c, setting);
  return told != nullptr && std::string_view(told) == "on";
}

// The server tells of both settings as they change, since version 14; nothing before that.
std::optional<bool> says_it_is_read_only(PGconn* c) noexcept {
  if (PQparameterStatus(c, "in_hot_standby") == nullptr) return std::nullopt;
  return is_on(c, "in_hot_standby") || is_on(c, "default_transaction_read_only");
}

}  // namespace

// A session that was told to write nothing is as good as another one, once it is reset; one of a standby is not.
bool session::is_read_only_where_a_primary_is_wanted() const noexcept {
  if (!home_->url.primary_only || is_pooled_) return false;
  return altered_ ? is_on(wire_->handle(), "in_hot_standby") : says_it_is_read_only(wire_->handle()).value_or(false);
}

// A pooler goes on telling what a server was before.
task<void> session::require_primary() {
  wire& w = open_wire();
  if (!is_pooled_ && !says_it_is_read_only(w.handle()).value_or(true)) co_return;
  task<bool> asking = takes_no_writes();
  bool is_read_only = co_await std::move(asking);
  if (is_read_only) throw read_only_server();
}

database_error session::read_only_server() const {
  return {db_errc::read_only, "PostgreSQL, " + server_ + ": the server takes no writes"};
}

}  // namespace penstock::db::postgres

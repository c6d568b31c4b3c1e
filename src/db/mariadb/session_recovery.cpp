#include "penstock/async/cancel.h"
#include "penstock/async/timeout.h"
#include "penstock/db/error.h"
#include "penstock/observe/log.h"
#include "session.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

#include <mysqld_error.h>

// What follows a statement that was cut short. Its answer is waited for, since the protocol has no other way to get
// past it; a statement that takes long is ended from another session first. A session for which that fails is closed.

namespace penstock::db::mariadb {
namespace {

using namespace std::chrono_literals;

// Most statements are shorter than logging in once more.
constexpr duration patience = 50ms;
constexpr duration patience_after_kill = 1s;
constexpr std::size_t most_orphans = 64;

}  // namespace

session_state session::state() const noexcept {
  if (wire_->closed()) return session_state::dead;
  if (cut_short_ || half_reset_ || begun_ || wire_->in_transaction()) return session_state::dirty;
  return home_->silent.has(at_, opened_) ? session_state::dead : session_state::clean;
}

task<bool> session::drained_within(duration limit) {
  try {
    task<void> draining = with_timeout(limit, wire_->drain());
    co_await std::move(draining);
    co_return true;
  } catch (const timed_out&) {
    co_return false;
  }
}

task<void> session::settle() {
  if (wire_->closed()) throw database_error(db_errc::connection_lost, at_.to_string() + ": the connection was closed");
  if (!cut_short_) co_return;
  task<bool> draining = drained_within(patience);
  bool drained = co_await std::move(draining);
  if (!drained) {
    task<void> ending = end_what_runs();
    co_await std::move(ending);
  }
  if (!wire_->connected()) close();
  if (wire_->closed()) throw database_error(db_errc::connection_lost, at_.to_string() + ": the connection was lost");
  cut_short_ = false;
  set_without_word_ = set_without_word_ || settings_may_differ_;  // the answer that told of it was passed over
}

// Whoever left has a reason of their own to tell: that the session was lost with it shows in its state.
task<void> session::leave_early() {
  try {
    task<void> settling = settle();
    co_await std::move(settling);
  } catch (const error& e) {
    log::debug("a statement whose rows were no longer wanted could not be ended", {{"reason", e.what()}});
  }
}

task<void> session::end_what_runs() {
  wire_->throw_if_closed();
  std::exception_ptr failed;
  try {
    task<void> ending = with_timeout(
        patience_after_kill, end_statement(&home_->url, at_, facts_.identity, mysql_thread_id(wire_->handle())));
    co_await std::move(ending);
    task<bool> draining = drained_within(patience_after_kill);
    bool drained = co_await std::move(draining);
    if (drained) co_return;
  } catch (const operation_cancelled&) {
    throw;
  } catch (...) {
    failed = std::current_exception();
  }
  close();
  throw database_error(db_errc::connection_lost,
                       at_.to_string() + ": a statement that was cut short could not be ended", 0, {}, failed);
}

// A statement that waits for a lock, or takes long for another reason: the server does not tell which without a right.
// Where it can't be ended, the server ends the wait later.
task<void> session::end_lock_wait() {
  was_ended_ = true;
  home_->statement_limit = std::min(longest_statement_limit, home_->statement_limit * 3 / 2);
  try {
    task<void> ending = with_timeout(
        patience_after_kill, end_statement(&home_->url, at_, facts_.identity, mysql_thread_id(wire_->handle())));
    co_await std::move(ending);
  } catch (const operation_cancelled&) {
    throw;
  } catch (const error& e) {
    log::debug("a statement that may wait for a lock could not be ended", {{"reason", e.what()}});
  }
}

// Whether the server waits for a statement, while we wait for its answer to one.
task<bool> session::has_forgotten() {
  try {
    task<bool> asking = with_timeout(patience_after_kill,
                                     is_asleep(&home_->url, at_, facts_.identity, mysql_thread_id(wire_->handle())));
    co_return co_await std::move(asking);
  } catch (const operation_cancelled&) {
    throw;
  } catch (const error& e) {
    log::debug("a server that does not answer could not be asked why", {{"reason", e.what()}});
  }
  co_return false;
}

task<void> session::rollback() {
  if (state() != session_state::dirty) return settle();
  return settle_and_roll_back();
}

task<void> session::settle_and_roll_back() {
  task<void> settling = settle();
  co_await std::move(settling);
  operation here(*this, operation::purpose::recovery);
  silence_limit patience(*this);
  text_ = "ROLLBACK";
  for (int tries = 0;; ++tries) {
    task<bool> running = wire_->run(text_, answers_, 1);
    bool ran = co_await std::move(running);
    if (ran) {
      note_end();
      co_return;
    }
    complaint said = wire_->complaint_of_session();
    // A KILL QUERY that came when its statement had ended hits the next one.
    if (said.code != ER_QUERY_INTERRUPTED || tries > 0) fail("roll back", said);
  }
}

// A session keeps the rights that it had when it logged in, but for those to single tables: COM_CHANGE_USER logs in
// anew (https://mariadb.com/kb/en/com_change_user/) and undoes the same as COM_RESET_CONNECTION, which undoes what
// statements have set and made for the session, the settings of `open_session` and prepared statements included. The
// server's settings may be others than they were, and a database that was chosen stays so.
task<void> session::reset() {
  task<void> rolling_back = settle_and_roll_back();
  co_await std::move(rolling_back);
  operation here(*this, operation::purpose::recovery);
  half_reset_ = true;
  wire_->count_round_trip();
  bool is_refused = false;
  if (rights_may_be_old_) {
    const server_url& url = home_->url;
    wire_->start<mysql_change_user_start, mysql_change_user_cont>(wire_->handle(), url.user.c_str(),
                                                                  url.password.c_str(), url.database.c_str());
    if (wire_->under_way()) co_await wire_->done();
    is_refused = wire_->failed();
  } else {
    wire_->start<mysql_reset_connection_start, mysql_reset_connection_cont>(wire_->handle());
    if (wire_->under_way()) co_await wire_->done();
    is_refused = wire_->number() != 0;
  }
  if (is_refused) fail("reset", wire_->complaint_of_session());
  rights_may_be_old_ = false;
  statements_.clear();
  task<void> setting_up = run_text(words_after_reset(home_->url), "set the session up");
  co_await std::move(setting_up);
  facts_ = facts_of(*wire_, answers_.back());
  other_characters_.clear();
  faults_for_batches_.clear();
  settings_may_differ_ = set_without_word_ = false;
  altered_ = false;
  lock_wait_.reset();
  end_waits_after_ = duration::zero();
  half_reset_ = false;
}

// https://mariadb.com/docs/server/server-usage/storage-engines/innodb/innodb-system-variables: 0 is NOWAIT, which MySQL
// does not have: there a statement is ended from another session. The other variable is for locks of whole tables, as
// of an ALTER TABLE.
task<void> session::limit_lock_waits(duration most) {
  constexpr std::int64_t a_year = 31'536'000;  // the server takes no more
  bool is_short = most < 1s;
  bool is_no_wait = facts_.is_mariadb && is_short;
  auto whole = std::clamp<std::int64_t>(std::chrono::ceil<std::chrono::seconds>(most).count(), 1, a_year);
  std::int64_t seconds = is_no_wait ? 0 : whole;
  require_usable();
  require_no_transaction();
  end_waits_after_ = most < shortest_statement_limit && !is_no_wait ? home_->statement_limit : duration::zero();
  if (lock_wait_ == seconds) co_return;
  operation here(*this);
  lock_wait_.reset();
  std::string said = std::to_string(seconds);
  task<void> setting =
      run_text("SET SESSION innodb_lock_wait_timeout=" + said + ",lock_wait_timeout=" + said, "limit waits for locks");
  co_await std::move(setting);
  lock_wait_ = seconds;
}

// An operation under way beside it still has the wire and its statements, until it is told.
void session::close() noexcept {
  if (wire_->closed()) return;
  scheduler* s = scheduler::current_or_null();
  if (!wire_->quiet() && wire_->connected() && s != nullptr && home_->orphans.size() < most_orphans)
    home_->orphans.push_back({facts_.identity, mysql_thread_id(wire_->handle()), s->now()});
  wire_->hang_up();
}

}  // namespace penstock::db::mariadb

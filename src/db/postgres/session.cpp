#include "session.h"

#include "../piece.h"
#include "../statement_effects.h"
#include "failure.h"
#include "penstock/async/cancel.h"
#include "penstock/db/error.h"
#include "penstock/observe/log.h"

#include <cstring>
#include <utility>

namespace penstock::db::postgres {
namespace {

void append_rows(const PGresult* r, result& to) {
  int columns = PQnfields(r);
  for (int row = 0; row < PQntuples(r); ++row) {
    auto& fields = to.rows.emplace_back();
    fields.reserve(static_cast<std::size_t>(columns));
    for (int column = 0; column < columns; ++column) fields.push_back(field_value(r, row, column));
  }
}

std::uint64_t changed_rows(const PGresult* r) {
  bool reads = std::strncmp(PQcmdStatus(const_cast<PGresult*>(r)), "SELECT", 6) == 0;
  return reads ? 0 : affected_rows(r);
}

constexpr std::size_t most_orphans = 64;

database_error stale_statement(const database_error& failed, bool is_pooled) {
  const char* why = is_pooled && failed.sqlstate() == "26000"
                        ? " (the pooler gave another session of the server: it must pool sessions, or keep prepared "
                          "statements)"
                        : " (another session changed the table)";
  return {db_errc::serialization, failed.message() + why, 0, failed.sqlstate()};
}

// A parameter's type may be another by now than when its statement was prepared: its value is read, or written, as that
// of then.
bool may_be_of_stale_types(const database_error& failed) {
  return failed.errc() == db_errc::syntax || failed.sqlstate().starts_with("22P0");
}

// Whether a routine had begun.
bool is_from_inside(const PGresult* failed) { return PQresultErrorField(failed, PG_DIAG_CONTEXT) != nullptr; }

database_error altered_behind_pooler() {
  return {
      db_errc::other,
      "PostgreSQL, query: the table was altered since the statement was prepared, and what it gave can't be read; the "
      "statement was carried out"};
}

}  // namespace

session::session(std::shared_ptr<server_context> home, server_address at, connection_handle connected)
    : home_(std::move(home)),
      at_(std::move(at)),
      server_(at_.to_string()),
      wire_(std::make_unique<wire>(std::move(connected))),
      statements_(scheduler::current().random()) {
  wire_->limit_absence(home_->url.silence_timeout);
}

wire& session::connected_wire() const {
  if (wire_->closed()) throw database_error(db_errc::connection_lost, "the connection was closed");
  if (!wire_->alive()) throw database_error(db_errc::connection_lost, "the connection was lost");
  return *wire_;
}

wire& session::open_wire() const {
  wire& w = connected_wire();
  if (!w.idle())
    throw database_error(
        db_errc::other,
        "the session runs something else, or its last operation was cut short: roll back or reset it first");
  if (half_reset_) throw database_error(db_errc::other, "a reset did not come to its end: reset the session again");
  return w;
}

bool session::in_transaction() const noexcept {
  return begin_is_due_ || PQtransactionStatus(wire_->handle()) != PQTRANS_IDLE;
}

session_state session::state() const noexcept {
  if (!wire_->alive() || is_read_only_where_a_primary_is_wanted()) return session_state::dead;
  if (!wire_->idle() || half_reset_ || in_transaction()) return session_state::dirty;
  return home_->silent.has(at_, opened_) ? session_state::dead : session_state::clean;
}

// An operation under way beside it still has the wire, until it is told.
void session::close() noexcept {
  if (wire_->closed()) return;
  scheduler* s = scheduler::current_or_null();
  if (!wire_->idle() && wire_->connected() && s != nullptr && home_->orphans.size() < most_orphans)
    home_->orphans.push_back({server_, cancel_request(wire_->handle()), s->now()});
  wire_->hang_up();
}

// Where a snapshot is kept, the version of the table would be that of before the wait for a change of it to end.
const char* session::begin_sql() const noexcept {
  return for_batches_ ? "BEGIN ISOLATION LEVEL READ COMMITTED" : "BEGIN";
}

std::size_t session::send_begin(wire& w) {
  if (!std::exchange(begin_is_due_, false)) return 0;
  w.execute(begin_sql());
  std::vector<std::string> settings = settings_of_transaction();
  for (const std::string& setting : settings) w.execute(setting);
  return 1 + settings.size();
}

void session::note_traces(const std::string& sql) {
  if (!leaves_traces(sql)) return;
  altered_ = true;
  lock_wait_.reset();  // it may have been set to another
}

// A statement whose tables were changed after it was prepared is prepared once more. Inside a transaction the server
// has given that up by then.
task<void> session::run(const std::string& sql, const parameters& values, const result_taker& take, planning how) {
  open_wire();
  if (!only_sets_back(sql)) require_known_characters("execute");
  note_traces(sql);
  for (bool again = false;; again = true) {
    wire& w = open_wire();
    bool known = statements_.find(sql) != nullptr;
    task<statement*> preparing = prepared(sql);
    statement* s = co_await std::move(preparing);
    std::string misfit = fill(arguments_, *s, values);
    if (!misfit.empty() && known && !again) {
      statements_.forget(s);  // the parameter's type may be another by now
      continue;
    }
    if (!misfit.empty()) throw database_error(db_errc::data, misfit);
    bool inside = in_transaction();
    bool may_run_again = !again && !inside;
    send_begin(w);
    if (how == planning::by_index) send_planning_by_index(w, inside);
    std::size_t mine = w.execute(s->name, arguments_.bound(), s->binary);
    if (how == planning::by_index && inside) send_planning_as_ever(w);
    w.sync();
    std::optional<database_error> failed;
    bool stale = false;
    result_taker look = [&](std::size_t command, const PGresult* r) {
      if (is_failure(r) && !failed) {
        failed = failure_of(r, command == mine ? "execute" : "prepare to execute");
        stale = forgets_stale_plan(s, r);
        may_run_again = may_run_again && !(may_commit_halfway(sql) && is_from_inside(r));
      } else if (PQresultStatus(r) == PGRES_EMPTY_QUERY) {
        failed = database_error(db_errc::syntax, "PostgreSQL: the statement is empty");
      } else if (command == mine && !failed && is_pooled_ && is_unreadable(r)) {
        failed = altered_behind_pooler();
        stale = only_reads(sql);
        statements_.forget(s);
      } else if (command == mine && !failed) {
        take(command, r);
      }
    };
    task<void> asking = w.finish(look);
    co_await std::move(asking);
    if (!failed && w.passed_over_standby()) throw without_standby();
    if (!failed) co_return;
    bool typed_anew = !stale && known && may_be_of_stale_types(*failed);
    if (typed_anew) statements_.forget(s);
    if ((stale || typed_anew) && may_run_again) continue;
    if (stale) throw stale_statement(*failed, is_pooled_);
    bool has_moved = is_pooled_ && home_->url.primary_only && failed->errc() == db_errc::read_only;
    if (failed->errc() == db_errc::connection_lost || has_moved) close();
    throw *std::move(failed);
  }
}

result_taker session::keeping_rows(result& in) {
  return [&in](std::size_t, const PGresult* r) {
    if (in.columns.empty()) in.columns = column_names(r);
    append_rows(r, in);
  };
}

task<result> session::query(std::string sql, parameters values) {
  result found;
  result_taker take = keeping_rows(found);
  task<void> running = run(sql, values, take);
  co_await std::move(running);
  co_return found;
}

task<std::uint64_t> session::execute(std::string sql, parameters values) {
  std::uint64_t changed = 0;
  result_taker take = [&](std::size_t, const PGresult* r) { changed = changed_rows(r); };
  task<void> running = run(sql, values, take);
  co_await std::move(running);
  co_return changed;
}

// Inside a transaction a savepoint lets the statement end early without ending the transaction.
task<std::uint64_t> session::query_each(std::string sql, parameters values, row_consumer take, std::size_t max_rows) {
  open_wire();
  if (!only_sets_back(sql)) require_known_characters("query");
  note_traces(sql);
  for (bool again = false;; again = true) {
    wire& w = open_wire();
    bool known = statements_.find(sql) != nullptr;
    task<statement*> preparing = prepared(sql);
    statement* s = co_await std::move(preparing);
    std::string misfit = fill(arguments_, *s, values);
    if (!misfit.empty() && known && !again) {
      statements_.forget(s);
      continue;
    }
    if (!misfit.empty()) throw database_error(db_errc::data, misfit);
    bool in_savepoint = in_transaction();
    send_begin(w);
    if (in_savepoint) w.execute("SAVEPOINT penstock_read");
    std::size_t mine = w.execute(s->name, arguments_.bound(), s->binary);
    if (in_savepoint) w.execute("RELEASE SAVEPOINT penstock_read");
    w.sync();
    std::optional<database_error> failed;
    std::exception_ptr left;
    std::uint64_t count = 0;
    bool stale = false;
    try {
      task<std::uint64_t> reading = read_each(s, mine, take, max_rows == 0 ? 1 : max_rows, failed, stale);
      count = co_await std::move(reading);
    } catch (const operation_cancelled&) {
      throw;
    } catch (...) {
      left = std::current_exception();
    }
    if (left && state() != session_state::dead) {
      task<void> leaving = shield(leave_early(in_savepoint));
      co_await std::move(leaving);
    }
    if (left) std::rethrow_exception(left);
    if (!failed && w.passed_over_standby()) throw without_standby();
    if (!failed) co_return count;
    bool typed_anew = !stale && known && count == 0 && may_be_of_stale_types(*failed);
    if (typed_anew) statements_.forget(s);
    if ((stale || typed_anew) && !in_savepoint && !again && !may_commit_halfway(sql)) continue;
    if (stale) throw stale_statement(*failed, is_pooled_);
    throw *std::move(failed);
  }
}

task<std::uint64_t> session::read_each(const statement* s, std::size_t rows_at, const row_consumer& take,
                                       std::size_t max_rows, std::optional<database_error>& failed, bool& stale) {
  wire& w = *wire_;
  std::uint64_t count = 0;
  std::size_t bytes = 0;
  result some;
  some.columns = s->columns;
  task<void> flushing = w.flush();
  co_await std::move(flushing);
  for (bool one_at_a_time = false; !w.idle();) {
    if (w.current() == rows_at && !one_at_a_time) {
      w.one_row_at_a_time();
      one_at_a_time = true;
    }
    task<result_handle> reading = w.next();
    result_handle r = co_await std::move(reading);
    if (!r) continue;
    if (is_failure(r.get()) && !failed) {
      failed = failure_of(r.get(), "query");
      stale = count == 0 && forgets_stale_plan(s, r.get());
    }
    if (w.current() != rows_at || failed) continue;
    if (is_pooled_ && count == 0 && is_unreadable(r.get())) {
      failed = altered_behind_pooler();
      stale = only_reads(s->sql);
      statements_.forget(s);
      continue;
    }
    if (is_pooled_ && count == 0) some.columns = column_names(r.get());
    count += static_cast<std::uint64_t>(PQntuples(r.get()));
    append_rows(r.get(), some);
    bytes += some.rows.empty() ? 0 : bytes_of(some.rows.back());  // one row at a time
    bool ended = PQresultStatus(r.get()) != PGRES_SINGLE_TUPLE;
    if (some.rows.empty() || (some.rows.size() < max_rows && bytes < most_piece_bytes && !ended)) continue;
    task<void> taking = take(some);
    co_await std::move(taking);
    some.rows.clear();
    bytes = 0;
  }
  co_return count;
}

// Whoever left has a reason of their own to tell: that the session was lost with it shows in its state.
task<void> session::leave_early(bool in_savepoint) {
  try {
    task<void> ending = end_reading(in_savepoint);
    co_await std::move(ending);
  } catch (const error& e) {
    log::debug("a statement whose rows were no longer wanted could not be ended", {{"reason", e.what()}});
  }
}

task<void> session::end_reading(bool in_savepoint) {
  task<void> draining = wire_->drain(home_->url.silence_timeout);
  co_await std::move(draining);
  if (!in_savepoint) co_return;
  // RELEASE may have been done already, when the server was faster than the request to end.
  if (PQtransactionStatus(wire_->handle()) != PQTRANS_INERROR) co_return;
  wire_->execute("ROLLBACK TO SAVEPOINT penstock_read");
  wire_->execute("RELEASE SAVEPOINT penstock_read");
  wire_->sync();
  task<void> undoing = wire_->finish([](std::size_t, const PGresult*) {});
  co_await std::move(undoing);
}

}  // namespace penstock::db::postgres

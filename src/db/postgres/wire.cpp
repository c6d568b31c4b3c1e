#include "wire.h"

#include "cancel_request.h"
#include "failure.h"
#include "penstock/async/timeout.h"
#include "penstock/core/units.h"
#include "penstock/db/error.h"
#include "penstock/net/error.h"
#include "penstock/net/held_end.h"
#include "penstock/observe/log.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace penstock::db::postgres {
namespace {

// Most statements are shorter than a request to cancel, for which the server starts a process.
constexpr duration patience_before_request = std::chrono::milliseconds(10);
constexpr duration first_patience = std::chrono::milliseconds(20);
constexpr duration longest_patience = std::chrono::seconds(2);

// The message may be in any language, and its SQLSTATE is any warning's
// (SyncRepWaitForLSN in src/backend/replication/syncrep.c).
bool says_that_no_standby_was_awaited(const PGresult* remark) {
  const char* file = PQresultErrorField(remark, PG_DIAG_SOURCE_FILE);
  return file != nullptr && std::string_view(file) == "syncrep.c";
}

// For whoever waits as the session is closed.
[[noreturn]] void throw_closed(const error& ended) {
  if (!ended.is(net::net_errc::connection_closed)) throw;
  throw database_error(db_errc::connection_lost, "PostgreSQL: the session was closed while a statement ran", 0, {},
                       std::current_exception());
}

}  // namespace

wire::wire(connection_handle connected)
    : connection_(std::move(connected)), socket_(std::in_place, PQsocket(handle())) {
  auto hear_remark = [](void* self, const PGresult* r) {
    log::debug("PostgreSQL has a remark", {{"said", said_by(r)}});
    if (says_that_no_standby_was_awaited(r)) static_cast<wire*>(self)->passed_over_standby_ = true;
  };
  PQsetNoticeReceiver(handle(), hear_remark, this);
  PQsetnonblocking(handle(), 1);
  PQenterPipelineMode(handle());
}

void wire::hang_up() noexcept {
  socket_.reset();
  connection_.reset();
}

void wire::lose() {
  if (closed())
    throw database_error(db_errc::connection_lost, "PostgreSQL: the session was closed while a statement ran");
  if (last_said_.empty()) throw loss_of(handle(), "session");
  throw database_error(db_errc::connection_lost,
                       loss_of(handle(), "session").message() + "; the server's last word was: " + last_said_);
}

std::size_t wire::sent(int ok) {
  if (ok == 0) {
    if (!alive()) lose();
    throw database_error(db_errc::other, std::string("PostgreSQL: ") + PQerrorMessage(handle()));
  }
  if (commands_ == 0) passed_over_standby_ = false;
  ++unsynced_;
  return commands_++;
}

std::size_t wire::prepare(const std::string& name, const std::string& sql, std::span<const Oid> types) {
  return sent(PQsendPrepare(handle(), name.c_str(), sql.c_str(), static_cast<int>(types.size()), types.data()));
}

std::size_t wire::describe(const std::string& name) { return sent(PQsendDescribePrepared(handle(), name.c_str())); }

std::size_t wire::execute(const std::string& name, const bound_values& values, bool binary) {
  return sent(PQsendQueryPrepared(handle(), name.c_str(), values.count, values.values, values.lengths, values.formats,
                                  binary ? 1 : 0));
}

std::size_t wire::execute(const std::string& sql) {
  return sent(PQsendQueryParams(handle(), sql.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 1));
}

void wire::sync() {
  if (PQpipelineSync(handle()) == 0) lose();
  unsynced_ = 0;
  ++syncs_;
}

task<void> wire::flush() {
  for (;;) {
    if (closed()) lose();
    int pending = PQflush(handle());
    if (pending < 0) lose();
    if (pending == 0) co_return;
    task<net::readiness> waiting = wait(net::readiness::readable | net::readiness::writable);
    net::readiness ready = net::readiness::none;
    try {
      ready = co_await std::move(waiting);
    } catch (const error& e) {
      throw_closed(e);
    }
    if (net::includes(ready, net::readiness::readable) && PQconsumeInput(handle()) == 0) lose();
  }
}

task<net::readiness> wire::wait(net::readiness wanted) {
  if (PQsocket(handle()) < 0) lose();  // libpq closes it within a call when the connection breaks
  if (silence_limit_ == duration::zero() && absence_limit_ == duration::zero()) return socket_->wait(wanted);
  return wait_within_limit(wanted);
}

task<net::readiness> wire::wait_within_limit(net::readiness wanted) {
  net::readiness ready = net::readiness::none;
  bool any_silence = silence_limit_ > duration::zero();
  try {
    task<net::readiness> waiting = any_silence ? with_timeout(silence_limit_, socket_->wait(wanted))
                                               : socket_->wait_while_answered(wanted, absence_limit_);
    ready = co_await std::move(waiting);
  } catch (const timed_out&) {  // it has said nothing
  }
  if (closed()) lose();
  if (ready != net::readiness::none) co_return ready;
  broken_ = true;
  throw database_error(db_errc::connection_lost,
                       any_silence ? "PostgreSQL: the server said nothing for " + format_duration(silence_limit_)
                                   : "PostgreSQL: the server's system left what was sent unanswered for " +
                                         format_duration(absence_limit_));
}

void wire::limit_absence(duration limit) noexcept {
  if (net::limit_silence(PQsocket(handle()), std::chrono::ceil<std::chrono::seconds>(limit))) absence_limit_ = limit;
}

task<void> wire::wait_for_result() {
  bool waited = false;
  while (PQisBusy(handle()) != 0) {
    waited = true;
    task<net::readiness> waiting = wait(net::readiness::readable);
    try {
      co_await std::move(waiting);
    } catch (const error& e) {
      throw_closed(e);
    }
    // A connection that ended may have said why before: PQgetResult gives that first.
    if (PQconsumeInput(handle()) == 0) break;
  }
  if (waited) ++round_trips_;
  forget_notifications();
}

// Of a session that LISTENs: libpq keeps all until they are taken.
void wire::forget_notifications() noexcept {
  while (PGnotify* notification = PQnotifies(handle())) PQfreemem(notification);
}

task<result_handle> wire::next() {
  while (syncs_ > 0) {
    if (PQisBusy(handle()) != 0) {
      task<void> waiting = wait_for_result();
      co_await std::move(waiting);
    }
    result_handle r(PQgetResult(handle()));
    ExecStatusType status = r ? PQresultStatus(r.get()) : PGRES_EMPTY_QUERY;
    hear(r.get());
    if (!alive()) lose();
    if (!r) {
      ++current_;
      co_return nullptr;
    }
    if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) refuse_copy();
    if (status != PGRES_PIPELINE_SYNC) co_return r;
    end_segment();
  }
  co_return nullptr;
}

// An error that no server has classed is libpq's own: it did not understand the answer.
void wire::hear(const PGresult* r) {
  if (r == nullptr || PQresultStatus(r) != PGRES_FATAL_ERROR) return;
  bool is_libpqs = sqlstate_of(r).empty();
  if (!is_libpqs || last_said_.empty()) last_said_ = said_by(r);
  broken_ = broken_ || is_libpqs;
}

// It would wait for data that nobody gives, or give some that nobody takes, and a pipeline can't end it.
void wire::refuse_copy() {
  broken_ = true;
  throw database_error(db_errc::syntax,
                       "PostgreSQL: COPY from or to the client is no statement to run here, and the session had to be "
                       "closed: use insert_batch, or query_each");
}

void wire::give_up_on_answers() {
  broken_ = true;
  throw database_error(db_errc::connection_lost, "PostgreSQL: the server's answers are not those to what was asked");
}

void wire::end_segment() {
  if (--syncs_ > 0 || unsynced_ > 0) return;
  commands_ = current_ = 0;
  last_said_.clear();
}

task<void> wire::finish(result_taker take) {
  task<void> flushing = flush();
  co_await std::move(flushing);
  std::exception_ptr failure;
  std::size_t trips_before = round_trips_;
  while (syncs_ > 0) {
    task<result_handle> reading = next();
    result_handle r = co_await std::move(reading);
    if (!r || failure) continue;
    try {
      take(current_, r.get());
    } catch (...) {
      failure = std::current_exception();
    }
  }
  round_trips_ = trips_before + 1;  // however many pieces the answer came in
  if (failure) std::rethrow_exception(failure);
}

// A request that comes before the server has begun with the statement is lost, so it is made until it has worked. An
// answer that does not come to its end all the same is given up, with the session.
task<void> wire::drain(duration limit) {
  if (!plain_ && unsynced_ > 0) sync();
  const scheduler& clock = scheduler::current();
  time_point last_try = clock.now() + limit;
  const cancel_request request(handle());
  bool reached = true;
  task<bool> waiting = drained_within(patience_before_request);
  bool drained = co_await std::move(waiting);
  for (duration patience = first_patience; !drained && clock.now() < last_try; patience *= 2) {
    task<bool> cancelling = request.send(last_try - clock.now());
    reached = co_await std::move(cancelling);
    task<bool> waiting_again = drained_within(std::min(patience, longest_patience));
    drained = co_await std::move(waiting_again);
  }
  // A request that is still on its way could end a later statement.
  broken_ = !drained || !reached;
  if (drained) co_return;
  throw database_error(db_errc::connection_lost,
                       std::string("PostgreSQL: a statement that was cut short ") +
                           (reached ? "did not end within " : "could not be cancelled within ") +
                           format_duration(limit));
}

task<bool> wire::drained_within(duration limit) {
  if (idle()) co_return true;
  result_taker drop = [](std::size_t, const PGresult*) {};
  try {
    task<void> rest = with_timeout(limit, plain_ ? finish_plain(drop) : finish(drop));
    co_await std::move(rest);
  } catch (const timed_out&) {
    co_return false;
  }
  co_return idle();
}

void wire::start_plain(const std::string& sql) {
  if (PQexitPipelineMode(handle()) == 0 || PQsendQuery(handle(), sql.c_str()) == 0) {
    if (!alive()) lose();
    throw database_error(db_errc::other, std::string("PostgreSQL: ") + PQerrorMessage(handle()));
  }
  plain_ = true;
}

task<result_handle> wire::next_plain() {
  task<void> flushing = flush();
  co_await std::move(flushing);
  task<void> waiting = wait_for_result();
  co_await std::move(waiting);
  result_handle r(PQgetResult(handle()));
  hear(r.get());
  if (!alive()) lose();
  if (r) co_return r;
  plain_ = false;
  last_said_.clear();
  PQenterPipelineMode(handle());
  co_return nullptr;
}

task<void> wire::copy(std::string_view some) {
  if (PQputCopyData(handle(), some.data(), static_cast<int>(some.size())) != 1) lose();
  return flush();
}

// libpq sends all but the last few kilobytes at once: held back, they wake the server once and not twice.
task<void> wire::end_copy(std::string_view last) {
  net::held_end until_all_is_sent(PQsocket(handle()));
  task<void> sending = copy(last);
  co_await std::move(sending);
  if (PQputCopyEnd(handle(), nullptr) != 1) lose();
  task<void> flushing = flush();
  co_await std::move(flushing);
}

task<void> wire::run_plain(std::string sql, result_taker take) {
  start_plain(sql);
  task<void> running = finish_plain(std::move(take));
  co_await std::move(running);
}

task<void> wire::finish_plain(result_taker take) {
  std::exception_ptr failure;
  for (;;) {
    task<result_handle> reading = next_plain();
    result_handle r = co_await std::move(reading);
    if (!r) break;
    // Only a batch that was cut short has come this far.
    if (PQresultStatus(r.get()) == PGRES_COPY_IN) PQputCopyEnd(handle(), "cut short");
    try {
      if (!failure) take(0, r.get());
    } catch (...) {
      failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace penstock::db::postgres

#include "batch_committer.h"
#include "penstock/async/cancel.h"
#include "penstock/async/detail/join.h"
#include "penstock/async/error.h"
#include "penstock/async/timeout.h"
#include "penstock/core/outcome.h"
#include "penstock/core/units.h"
#include "penstock/db/error.h"
#include "penstock/observe/log.h"
#include "write_batch.h"

#include <algorithm>
#include <utility>

// One attempt to commit a batch, over one session.

namespace penstock::ingest {
namespace {

// BEGIN and the marker, where they do not travel with the rows.
constexpr std::size_t round_trips_of_a_marked_begin = 2;
constexpr auto ending_takes_at_most = std::chrono::seconds(2);

// Writing ends before the attempt does, so that the session can be kept.
duration time_to_end(duration attempt_timeout) { return attempt_timeout / 16; }

// Without a marker and without answers to keep.
bool is_transaction_of_its_own(const batch& b, const commit_marker* marker) {
  return marker == nullptr && b.groups.empty();
}

task<void> ping_through(db::pool& sessions) {
  auto acquiring = sessions.acquire();
  db::pool::lease session = co_await std::move(acquiring);
  task<void> pinging = session->ping();
  co_await std::move(pinging);
}

// A session that can't roll back is of no use to the next one: the pool closes or resets it.
task<void> roll_back(db::connection& session) {
  if (session.state() != db::session_state::dirty) co_return;
  try {
    task<void> undoing = shield(session.rollback());
    co_await std::move(undoing);
  } catch (const db::database_error& e) {
    log::debug("a transaction could not be rolled back", {{"reason", e.what()}});
  }
}

// True when the server has ended it, and its transaction, and the session is good again.
task<bool> end_what_is_written(db::connection& session) {
  try {
    task<void> undoing = shield(with_timeout(ending_takes_at_most, session.rollback()));
    co_await std::move(undoing);
  } catch (const timed_out&) {
    co_return false;
  } catch (const db::database_error&) {
    co_return false;
  }
  co_return session.state() == db::session_state::clean;
}

std::string within(duration limit) {
  return " within " + format_duration(std::chrono::ceil<std::chrono::milliseconds>(limit));
}

db::database_error took_too_long(duration limit) {
  return {db::db_errc::interrupted, "the database was not done with it" + within(limit)};
}

}  // namespace

// A session whose server goes on saying nothing is given up.
task<void> batch_committer::attempt_within(const attempt_limits& limits, batch& b, commit_marker* marker,
                                           progress& so_far) {
  duration limit = limits.of_batch.attempt_timeout;
  const time_point begun = scheduler::current().now();
  so_far.write_until = begun + limit;
  std::exception_ptr hung;
  try {
    task<void> trying = with_timeout(limit + time_to_end(limit), attempt(b, marker, limits, so_far));
    co_await std::move(trying);
  } catch (const timed_out&) {
    hung = std::current_exception();
  }
  if (!hung) co_return;
  so_far.has_hung = limits.writing >= limit || !so_far.is_writing;
  // What comes alone may meet a table that keeps all waiting.
  bool is_one_of_several = limits.is_of_part || b.rows.rows() > 1 || (stored_at_ && *stored_at_ > begun);
  if (so_far.is_writing && so_far.has_time_to_write && is_one_of_several) {
    so_far.was_cut_short = true;
    task<bool> asking = database_answers(limit);
    bool answers = co_await std::move(asking);
    if (answers) throw took_too_long(limits.writing);
  }
  const std::string in_that_time = within(so_far.is_writing ? limits.writing : limit);
  throw db::database_error(db::db_errc::connection_lost,
                           so_far.has_session
                               ? "the database did not answer" + in_that_time + ", and its session was closed"
                               : "no connection to the database was to be had" + in_that_time,
                           0, {}, hung);
}

task<bool> batch_committer::database_answers(duration limit) {
  task<void> asking = with_timeout(limit, ping_through(sessions_));
  try {
    co_await std::move(asking);
  } catch (const timed_out&) {
    co_return false;
  } catch (const db::database_error&) {
    co_return false;
  }
  co_return true;
}

task<void> batch_committer::attempt(batch& b, commit_marker* marker, const attempt_limits& limits, progress& so_far) {
  auto acquiring = sessions_.acquire();
  db::pool::lease session = co_await std::move(acquiring);
  so_far.has_session = true;
  commit_outcome outcome;
  std::swap(outcome.report, b.report);  // for its memory
  std::exception_ptr failure;
  try {
    task<void> running = attempt_transaction(*session, b, marker, limits, so_far, outcome);
    co_await std::move(running);
  } catch (...) {
    failure = std::current_exception();
  }
  std::swap(outcome.report, b.report);
  if (failure) {
    bool was_late = detail::exception_as<timed_out>(failure) != nullptr;
    bool was_ended = false;
    so_far.was_cut_short = was_late;
    if (was_late) {
      task<bool> ending = end_what_is_written(*session);
      was_ended = co_await std::move(ending);
    }
    if (was_ended && so_far.has_time_to_write) {
      so_far.has_hung = limits.writing >= limits.of_batch.attempt_timeout;
      throw took_too_long(limits.writing);
    }
    // What was cut short is not undone by asking a server that may say nothing more: it undoes it when it loses us.
    if (was_late || detail::is_cancellation(failure)) {
      so_far.has_left_session = true;
      session.discard();
    } else {
      task<void> undoing = roll_back(*session);
      co_await std::move(undoing);
    }
    std::rethrow_exception(failure);
  }
  for (std::size_t g = 0; g < outcome.found.size(); ++g) {
    b.groups[g].with->found = std::move(outcome.found[g]);
    if (b.groups[g].with->found)
      replays_.add();
    else
      b.groups[g].with->made = std::move(outcome.made[g]);
  }
}

task<void> batch_committer::attempt_transaction(db::connection& session, batch& b, commit_marker* marker,
                                                const attempt_limits& limits, progress& so_far,
                                                commit_outcome& outcome) {
  if (marker != nullptr && marker->in_doubt()) {
    task<bool> settling = settle(session, *marker, limits, outcome);
    bool is_committed = co_await std::move(settling);
    if (is_committed) co_return;
  }
  if (marker != nullptr) {
    task<void> limiting = session.limit_lock_waits(limits.lock_wait);
    co_await std::move(limiting);
  }
  // A file has one lock for all: to wait for it is none of the rows' time.
  bool is_begun = marker == nullptr && limits.writing < limits.of_batch.attempt_timeout;
  if (is_begun) {
    task<void> beginning = session.begin_for_batches();
    co_await std::move(beginning);
  }
  so_far.is_writing = true;
  so_far.writing_since = scheduler::current().now();
  duration limit = std::min<duration>(limits.writing, so_far.write_until - so_far.writing_since);
  so_far.has_time_to_write = limit > limits.writing / 2;
  task<void> writing = with_timeout(limit, write(session, b, marker, is_begun, outcome));
  co_await std::move(writing);
  so_far.is_writing = false;
  bool is_committed = !is_begun && is_transaction_of_its_own(b, marker);
  if (!is_committed) {
    task<void> committing = marker == nullptr ? session.commit() : marker->commit(session, outcome);
    co_await std::move(committing);
  }
  so_far.took = scheduler::current().now() - so_far.writing_since;
}

task<void> batch_committer::write(db::connection& session, batch& b, commit_marker* marker, bool is_begun,
                                  commit_outcome& outcome) {
  bool written = false;
  if (!is_begun && is_transaction_of_its_own(b, marker)) {
    task<void> inserting = session.insert_batch(into_, b.rows, outcome.report);
    co_await std::move(inserting);
    written = true;
  } else if (marker != nullptr && b.groups.empty()) {
    task<bool> writing = marker->begin_batch(session, into_, b.rows, outcome);
    written = co_await std::move(writing);
  }
  task<void> finishing = written ? require_fitting_table(session, into_, outcome.report)
                                 : write_step_by_step(session, b, marker, is_begun, outcome);
  co_await std::move(finishing);
}

// True when an earlier attempt turns out to be committed.
task<bool> batch_committer::settle(db::connection& session, commit_marker& marker, const attempt_limits& limits,
                                   commit_outcome& outcome) {
  // The marker's row stays locked until the database is done with the commit.
  task<void> limiting = session.limit_lock_waits(limits.of_batch.attempt_timeout);
  co_await std::move(limiting);
  task<bool> settling = marker.settle(session, outcome);
  bool is_committed = co_await std::move(settling);
  (is_committed ? resolved_committed_ : resolved_repeated_).add();
  co_return is_committed;
}

task<void> batch_committer::write_step_by_step(db::connection& session, batch& b, commit_marker* marker, bool is_begun,
                                               commit_outcome& outcome) {
  if (!is_begun) {
    task<void> beginning = marker == nullptr ? session.begin_for_batches() : marker->begin(session);
    co_await std::move(beginning);
  }
  task<void> writing = write_batch(session, into_, stream_, b, outcome);
  co_await std::move(writing);
  outcome.report.round_trips += round_trips_of_a_marked_begin;
}

}  // namespace penstock::ingest

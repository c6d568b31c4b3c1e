#include "batch_committer.h"

#include "batch_parts.h"
#include "idempotency_table.h"
#include "penstock/async/cancel.h"
#include "penstock/async/error.h"
#include "penstock/async/timeout.h"
#include "penstock/core/outcome.h"
#include "penstock/core/traceback.h"
#include "penstock/db/error.h"
#include "penstock/ingest/error.h"
#include "penstock/observe/log.h"

#include <algorithm>

// A marker serves one batch at a time and is used again once that batch's end is known, later where a session that was
// lost may hold its row still; one in doubt is given up, and so is its batch: its row stays for whoever wants to look,
// until it is old.

namespace penstock::ingest {
namespace {

constexpr auto first_backoff = std::chrono::milliseconds(10);
constexpr auto longest_backoff = std::chrono::milliseconds(500);
// A stop does not wait longer for a tidy database: what is left there goes when it is old.
constexpr auto retiring_takes_at_most = std::chrono::seconds(5);
// While a lock is held for long, whole batches wait no longer than this, and parts of them less. Waits in vain that
// were short say nothing of that: batches may wait for one another.
constexpr auto a_lock_is_remembered_for = std::chrono::seconds(3);
constexpr auto short_lock_wait = std::chrono::milliseconds(20);
constexpr auto lock_wait_of_a_part = std::chrono::milliseconds(2);
// While something takes long, what is of many rows and can't be divided has at least so much time.
constexpr auto least_time_of_a_group = std::chrono::seconds(5);
// A batch that has cost so many sessions, over so long, of a database that answers others, has a row that costs them;
// fewer tell of a part of it.
constexpr int most_sessions_lost = 4;
constexpr int most_sessions_lost_by_a_part = 2;
constexpr auto sessions_are_lost_for = std::chrono::seconds(2);
// Where each took so long, it was ended for the time that it took.
constexpr auto ends_late_after = std::chrono::milliseconds(500);
// Most servers have noticed by then that a client is gone, or were told.
constexpr auto a_lost_session_lives_for = std::chrono::minutes(1);

// What may succeed when it is tried again. A pool that has no session in time may have one later.
bool may_pass(const std::exception_ptr& failure) {
  const auto* refused = detail::exception_as<db::database_error>(failure);
  return refused != nullptr && (refused->is_transient() || refused->is(db::db_errc::ambiguous_commit) ||
                                refused->is(db::db_errc::pool_timeout));
}

bool failed_with(auto code, const std::exception_ptr& failure) {
  const auto* refused = detail::exception_as<error>(failure);
  return refused != nullptr && refused->is(code);
}

// Where it is unknown whether a batch is stored, what would be permanent for the batch is not for the question.
bool is_of_database(const std::exception_ptr& failure) {
  return detail::exception_as<db::database_error>(failure) != nullptr;
}

// Between half of the backoff and the whole of it, so that writers who failed together do not come back together.
duration jittered(duration backoff) {
  auto half = backoff / 2;
  return half + duration(static_cast<duration::rep>(scheduler::current().random() %
                                                    static_cast<std::uint64_t>(half.count() + 1)));
}

task<std::exception_ptr> failure_of(task<void> trial) {
  try {
    co_await std::move(trial);
  } catch (const operation_cancelled&) {
    throw;
  } catch (...) {
    co_return std::current_exception();
  }
  co_return nullptr;
}

bool is_recent(const std::optional<time_point>& last, duration memory) {
  return last && scheduler::current().now() - *last < memory;
}

class ends_sessions final : public db::database_error {
 public:
  ends_sessions(const std::exception_ptr& last, bool late)
      : database_error(db::db_errc::other,
                       "the database ended a session each time that it was to store it, and answers others: " +
                           detail::exception_as<error>(last)->message(),
                       0, {}, last),
        is_late(late) {}

  bool is_late;
};

// What the database says of one row each time that it is tried, while it takes others.
bool may_be_said_of_one(const std::exception_ptr& failure, bool is_writing) {
  return takes_too_long(failure) || failed_with(db::db_errc::deadlock, failure) ||
         failed_with(db::db_errc::serialization, failure) ||
         (is_writing && failed_with(db::db_errc::connection_lost, failure));
}

std::exception_ptr outcome_unknown(std::exception_ptr cause) {
  if (failed_with(ingest_errc::outcome_unknown, cause)) return cause;
  return std::make_exception_ptr(error(ingest_errc::outcome_unknown,
                                       "whether a commit happened is not known: the database was lost during it, or "
                                       "its disk failed, and did not come back in time",
                                       std::move(cause)));
}

}  // namespace

batch_committer::batch_committer(const std::string& stream, const db::table_definition& into, db::pool& sessions,
                                 bool marked, metrics::registry& measure)
    : into_(into), sessions_(sessions), marked_(marked), stream_(stream), registry_(measure) {
  const metrics::labels of_stream = {{"stream", stream}};
  retries_ =
      measure.counter("penstock_commit_retries_total", "Commits tried again after a transient failure.", of_stream);
  round_trips_ = measure.counter("penstock_commit_round_trips_total",
                                 "Times the database was waited for by committed batches.", of_stream);
  auto ambiguous = [&](const char* found) {
    return measure.counter("penstock_ambiguous_commits_total",
                           "Batches whose COMMIT lost its connection, by what was found out about it.",
                           {{"stream", stream}, {"found", found}});
  };
  resolved_committed_ = ambiguous("committed");
  resolved_repeated_ = ambiguous("not_committed");
  unresolved_ = ambiguous("nothing");
  replays_ = measure.counter("penstock_idempotent_replays_total",
                             "Requests whose Idempotency-Key had been answered before.", of_stream);
}

task<void> batch_committer::prepare(db::connection& session) {
  if (!marked_) co_return;
  const db::table_definition markers = commit_marker::table();
  task<void> preparing = session.prepare_table(markers);
  co_await std::move(preparing);
  task<void> forgetting = commit_marker::forget_old(session);
  co_await std::move(forgetting);
}

// Not shielded: a start does not wait for a server that says nothing.
task<void> batch_committer::rehearse(db::connection& session, const coalescer_options& limits) {
  if (!marked_) co_return;
  task<std::exception_ptr> running = failure_of(run_through(session, limits));
  std::exception_ptr failure = co_await std::move(running);
  if (session.state() == db::session_state::dirty) {
    task<std::exception_ptr> undoing = failure_of(session.rollback());
    std::exception_ptr still_dirty = co_await std::move(undoing);
    if (!failure) failure = still_dirty;
  }
  if (failure)
    log::write_exception(log::level::debug, "a session could not run beforehand what batches will run", failure,
                         std::initializer_list<log::field>{{"stream", stream_}});
}

task<void> batch_committer::run_through(db::connection& session, const coalescer_options& limits) {
  task<void> limiting = session.limit_lock_waits(limits.lock_timeout);
  co_await std::move(limiting);
  task<void> beginning = session.begin_for_batches();
  co_await std::move(beginning);
  task<void> marking = commit_marker::rehearse(session);
  co_await std::move(marking);
  const std::vector<batch_group> nobodys = {{0, 0, std::make_shared<keyed_request>()}};
  task<std::vector<std::optional<kept_answer>>> looking = find_kept_answers(session, stream_, nobodys);
  co_await std::move(looking);
  task<void> preparing = session.prepare_inserts(into_);
  co_await std::move(preparing);
  task<void> preparing_answers = session.prepare_inserts(idempotency_table());
  co_await std::move(preparing_answers);
}

task<void> batch_committer::commit(batch& b, const coalescer_options& limits, patience how, time_point* heard) {
  const time_point begun = scheduler::current().now();
  bool is_whole = b.apart.empty();
  bool took_all_time = false;
  bool ends_late = false;
  if (is_whole) {
    bool was_met = is_recent(met_lock_, a_lock_is_remembered_for);
    bool is_short = how == patience::short_while_locks_are_held && was_met;
    attempt_limits whole =
        limits_of(b, limits, is_short ? std::min<duration>(limits.lock_timeout, short_lock_wait) : limits.lock_timeout);
    if (!of_rows_.is_remembered()) whole.writing = limits.attempt_timeout;
    whole.heard = heard;
    task<std::exception_ptr> committing = failure_of(commit_whole(b, whole));
    std::exception_ptr failure = co_await std::move(committing);
    if (!failure) co_return;
    took_all_time = used_all_time(failure, whole);
    bool waits = marked_ && waits_for_lock(failure);
    bool is_worth_it = waits || (b.rows.rows() > 1 && may_be_of_one_row(failure));
    if (!is_worth_it && took_all_time) note_slowness(begun);
    if (!is_worth_it) std::rethrow_exception(failure);
    if (waits && !is_short) met_lock_ = scheduler::current().now();
    const auto* ended = detail::exception_as<ends_sessions>(failure);
    ends_late = ended != nullptr && ended->is_late;
  }
  const time_point divided_at = scheduler::current().now();
  auto have_others_gone_in = [&] { return stored_at_ && *stored_at_ > divided_at; };
  bool any_part_slow = false;
  const bool was_slow = of_attempts_.is_remembered() || of_rows_.is_remembered();
  auto commit_as_part = [&](batch& part, bool is_last) -> task<void> {
    duration lock_wait = is_last ? limits.lock_timeout : std::min<duration>(limits.lock_timeout, lock_wait_of_a_part);
    attempt_limits of_part = limits_of(part, limits, lock_wait);
    of_part.is_of_part = is_whole || part.rows.rows() + count_apart(b) < b.rows.rows();  // else all of it that can go
    of_part.heard = heard;
    // Where nothing goes in, all may have their sessions ended for a while: then its last try is one with all time.
    bool is_short = ends_late && (!is_last || have_others_gone_in());
    if (!was_slow && !is_short && !of_attempts_.is_remembered() && !of_rows_.is_remembered())
      of_part.writing = limits.attempt_timeout;
    else if (!is_last)
      of_part.writing = std::min(limits.attempt_timeout, time_of_part(part.rows.rows()));
    else if (part.rows.rows() > 1)
      of_part.writing = std::min(limits.attempt_timeout, std::max<duration>(least_time_of_a_group, of_part.writing));
    task<std::exception_ptr> committing = failure_of(commit_whole(part, of_part));
    std::exception_ptr failure = co_await std::move(committing);
    if (!failure) co_return;
    took_all_time = took_all_time || used_all_time(failure, of_part);
    any_part_slow = any_part_slow || takes_too_long(failure);
    std::rethrow_exception(failure);
  };
  coalescer::commit_function commit_part = [&](batch& part) { return commit_as_part(part, false); };
  coalescer::commit_function commit_last = [&](batch& part) { return commit_as_part(part, true); };
  task<std::exception_ptr> dividing =
      failure_of(commit_in_parts(b, !is_whole, time_of_division(limits), commit_part, commit_last));
  std::exception_ptr failure = co_await std::move(dividing);
  bool any_slow = std::any_of(b.apart.begin(), b.apart.end(), [&](const rows_set_apart& some) {
    return takes_too_long(some.failure) || (any_part_slow && !some.tried);  // for these the time was up
  });
  bool is_known_slow = took_all_time || (ends_late && have_others_gone_in());
  if (is_known_slow && (any_slow || takes_too_long(failure))) note_slowness(begun);
  if (failure) std::rethrow_exception(failure);
}

task<void> batch_committer::commit_whole(batch& b, const attempt_limits& limits) {
  const time_point begun = scheduler::current().now();
  free_marker with = take_marker();
  trial_end end;
  std::exception_ptr failure;
  try {
    task<void> trying = try_for(limits, b, with, end);
    co_await std::move(trying);
  } catch (...) {
    failure = std::current_exception();
  }
  if (end.is_in_doubt) {
    unresolved_.add();
    failure = outcome_unknown(std::move(failure));
  } else if (marked_ && failure && end.has_left_session) {
    resting_markers_.push_back({scheduler::current().now(), std::move(with.marker)});
  } else if (marked_) {
    free_markers_.push_back(std::move(with));
  }
  if (failure) std::rethrow_exception(failure);
  count(b);
  learn(b, begun, end.took);
}

task<void> batch_committer::try_for(const attempt_limits& limits, batch& b, free_marker& with, trial_end& end) {
  const scheduler& clock = scheduler::current();
  commit_marker* marker = with.marker.get();
  const coalescer_options& most = limits.of_batch;
  attempt_limits next = limits;
  time_point give_up = clock.now() + most.commit_retry;
  bool has_hung = false;
  int sessions_lost = 0;  // while they wrote
  time_point first_loss{};
  time_point first_lost_since{};  // when it began to write
  bool all_lost_late = true;
  duration backoff = first_backoff;
  for (;;) {
    std::exception_ptr failure;
    progress so_far;
    const time_point attempt_begun = clock.now();
    try {
      task<void> trying = attempt_within(next, b, marker, so_far);
      co_await std::move(trying);
    } catch (...) {
      failure = std::current_exception();
    }
    // SQLite, which needs no marker, stores anew over what a crash could bring back.
    end.is_in_doubt = end.is_in_doubt || failed_with(db::db_errc::ambiguous_commit, failure);
    end.is_in_doubt = marker != nullptr ? marker->in_doubt() : failure && end.is_in_doubt;
    end.took = so_far.took;
    if (!failure) with.is_suspect = false;
    if (!failure) co_return;
    bool is_lost = failed_with(db::db_errc::connection_lost, failure);
    end.has_left_session = end.has_left_session || is_lost || so_far.has_left_session;
    if (used_all_time(failure, next)) of_attempts_.found(attempt_begun);
    bool is_judged = limits.is_of_part || b.rows.rows() > 1;
    bool hangs = so_far.has_hung || (so_far.was_cut_short && !is_judged);
    bool hangs_at_first = hangs && !std::exchange(has_hung, true);
    if (hangs_at_first) {
      give_up = clock.now() + most.commit_retry;
      next.writing = limits.writing_again;
    }
    if (marker != nullptr && !end.is_in_doubt && waits_for_lock(failure)) {
      if (!std::exchange(with.is_suspect, false)) std::rethrow_exception(failure);
      *marker = commit_marker();
    }
    bool gives_up = clock.now() + backoff >= give_up;
    if (is_lost && so_far.is_writing && !end.is_in_doubt) {
      if (sessions_lost++ == 0) {
        first_loss = clock.now();
        first_lost_since = so_far.writing_since;
      }
      all_lost_late = all_lost_late && clock.now() - so_far.writing_since >= ends_late_after;
      bool are_many = limits.is_of_part
                          ? sessions_lost >= most_sessions_lost_by_a_part
                          : sessions_lost >= most_sessions_lost && clock.now() - first_loss >= sessions_are_lost_for;
      // What would fail with all its rows loses nothing by being divided, however few sessions it had time to lose.
      bool is_last_chance = gives_up && !limits.is_of_part && (is_judged || sessions_lost > 1) &&
                            clock.now() - first_lost_since >= sessions_are_lost_for;
      are_many = are_many || is_last_chance;
      bool answers = false;
      if (are_many && (is_judged || gives_up)) {
        task<bool> asking = database_answers(most.attempt_timeout);
        answers = co_await std::move(asking);
      }
      if (answers) throw ends_sessions(failure, all_lost_late);
    }
    bool is_worth_it = may_pass(failure) || (end.is_in_doubt && is_of_database(failure)) ||
                       (hangs_at_first && !is_judged && takes_too_long(failure));
    if (!is_worth_it || gives_up) std::rethrow_exception(failure);
    with.is_suspect = with.is_suspect || is_lost || so_far.has_left_session;
    bool is_its_own = !end.is_in_doubt && !so_far.has_hung && may_be_said_of_one(failure, so_far.is_writing);
    if (limits.heard != nullptr && is_its_own) *limits.heard = clock.now();
    retries_.add();
    co_await sleep_for(jittered(backoff));
    backoff = std::min<duration>(backoff * 2, longest_backoff);
  }
}

batch_committer::free_marker batch_committer::take_marker() {
  if (!marked_) return {};
  bool has_rested = !resting_markers_.empty() &&
                    scheduler::current().now() - resting_markers_.front().since >= a_lost_session_lives_for;
  if (has_rested) {
    free_markers_.push_back({std::move(resting_markers_.front().marker), true});
    resting_markers_.pop_front();
  }
  if (free_markers_.empty()) return {std::make_unique<commit_marker>()};
  free_marker taken = std::move(free_markers_.back());
  free_markers_.pop_back();
  return taken;
}

void batch_committer::count(const batch& b) {
  if (marked_) round_trips_.add(b.report.round_trips + 1);  // and COMMIT
  if (b.report.method.empty()) return;                      // all of it had been stored before
  auto known = std::find_if(rows_by_method_.begin(), rows_by_method_.end(),
                            [&](const auto& entry) { return entry.first == b.report.method; });
  if (known == rows_by_method_.end()) {
    rows_by_method_.emplace_back(
        b.report.method,
        registry_.counter("penstock_batch_rows_total", "Rows of committed batches, by how they went in.",
                          {{"stream", stream_}, {"method", std::string(b.report.method)}}));
    known = rows_by_method_.end() - 1;
  }
  known->second.add(b.rows.rows());
}

task<void> batch_committer::retire() {
  for (resting_marker& resting : resting_markers_) free_markers_.push_back({std::move(resting.marker)});
  resting_markers_.clear();
  if (free_markers_.empty() || sessions_.unreachable()) co_return;
  std::string reason;
  try {
    task<void> retiring = with_timeout(retiring_takes_at_most, retire_markers());
    co_await std::move(retiring);
  } catch (const timed_out& e) {
    reason = e.what();
  } catch (const db::database_error& e) {
    reason = e.what();
  }
  if (!reason.empty())
    log::info("commit markers stay in the database until they are old", {{"stream", stream_}, {"reason", reason}});
  free_markers_.clear();
}

task<void> batch_committer::retire_markers() {
  auto acquiring = sessions_.acquire();
  db::pool::lease session = co_await std::move(acquiring);
  try {
    for (const free_marker& free : free_markers_) {
      task<void> retiring = free.marker->retire(*session);
      co_await std::move(retiring);
    }
  } catch (const operation_cancelled&) {
    session.discard();
    throw;
  }
}

}  // namespace penstock::ingest

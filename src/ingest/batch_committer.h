#pragma once

// Commits batches, each exactly once, over sessions that may die at any moment. A failure that may pass is tried again
// with the batch whole and in its place, so nothing is lost; where COMMIT may go without an answer, a marker tells
// what became of it, so nothing is stored twice.

#include "commit_marker.h"
#include "penstock/db/pool.h"
#include "penstock/ingest/coalescer.h"
#include "penstock/observe/metrics.h"
#include "slowness.h"
#include "usual_time.h"

#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::ingest {

class batch_committer {
 public:
  // Everything outlives the committer. `marked`: whether the outcome of a COMMIT may be unknown.
  batch_committer(const std::string& stream, const db::table_definition& into, db::pool& sessions, bool marked,
                  metrics::registry& measure);

  // Makes the table that it needs for itself, and clears it of what is old.
  task<void> prepare(db::connection& session);
  // Has a session run what batches will run, so that the first ones need not wait for the server to find and plan it
  // all; nothing of it stays. What can't be run shows when it is needed.
  task<void> rehearse(db::connection& session, const coalescer_options& limits);
  enum class patience {
    short_while_locks_are_held,
    full,  // for what waits for locks, and for nothing else
  };
  // Commits a batch; several may be under way. Tries again what may pass, for `commit_retry`; the time that one hung
  // attempt took, up to `attempt_timeout`, does not count. On a server, submissions that wait for a lock for longer
  // than `lock_timeout` are set apart. A row that takes so long that it ends an attempt fails alone, as `interrupted`,
  // and attempts have less time for a while; so does one that the database ends sessions for. When it throws, nothing
  // was stored, save with `ingest_errc::outcome_unknown`. `heard`, where it is given, is set to the time whenever the
  // database has failed an attempt that is tried again, for what may be the batch's own. It and the limits outlive the
  // task.
  task<void> commit(batch& b, const coalescer_options& limits, patience how, time_point* heard = nullptr);
  // Drops what `prepare` and `commit` have left in the database for themselves, as far as a moment suffices. When no
  // batch is under way.
  task<void> retire();

 private:
  task<void> run_through(db::connection& session, const coalescer_options& limits);
  struct attempt_limits {
    const coalescer_options& of_batch;
    duration lock_wait;
    duration writing;        // up to COMMIT
    duration writing_again;  // after an attempt that took all of the batch's `attempt_timeout`
    bool is_of_part;         // of a batch that failed as a whole
    time_point* heard;
  };
  struct progress {
    time_point write_until{};
    bool has_session = false;
    bool is_writing = false;
    time_point writing_since{};
    bool has_time_to_write = false;  // most of what it may take: to get a session did not use it up
    bool has_hung = false;
    bool was_cut_short = false;     // by what limits an attempt
    bool has_left_session = false;  // which the server may still have, and its locks
    std::optional<duration> took;   // from the first row to the end of COMMIT
  };
  struct trial_end {
    std::optional<duration> took;  // the attempt that went in
    bool is_in_doubt = false;
    bool has_left_session = false;
  };
  // A marker that no batch has. `is_suspect`: a session that was lost may hold its row still.
  struct free_marker {
    std::unique_ptr<commit_marker> marker;
    bool is_suspect = false;
  };
  static bool used_all_time(const std::exception_ptr& failure, const attempt_limits& limits);
  attempt_limits limits_of(const batch& b, const coalescer_options& limits, duration lock_wait) const;
  void learn(const batch& b, time_point begun, std::optional<duration> took);
  void note_slowness(time_point since);
  duration time_of_part(std::size_t rows) const;
  duration time_of_division(const coalescer_options& limits) const;
  task<void> commit_whole(batch& b, const attempt_limits& limits);
  task<void> try_for(const attempt_limits& limits, batch& b, free_marker& with, trial_end& end);
  task<void> attempt_within(const attempt_limits& limits, batch& b, commit_marker* marker, progress& so_far);
  task<void> attempt(batch& b, commit_marker* marker, const attempt_limits& limits, progress& so_far);
  task<void> attempt_transaction(db::connection& session, batch& b, commit_marker* marker, const attempt_limits& limits,
                                 progress& so_far, commit_outcome& outcome);
  task<void> write(db::connection& session, batch& b, commit_marker* marker, bool is_begun, commit_outcome& outcome);
  task<bool> database_answers(duration limit);
  task<bool> settle(db::connection& session, commit_marker& marker, const attempt_limits& limits,
                    commit_outcome& outcome);
  task<void> write_step_by_step(db::connection& session, batch& b, commit_marker* marker, bool is_begun,
                                commit_outcome& outcome);
  task<void> retire_markers();
  free_marker take_marker();
  void count(const batch& b);

  const db::table_definition& into_;
  db::pool& sessions_;
  bool marked_;
  std::string stream_;
  metrics::registry& registry_;
  metrics::counter retries_, round_trips_, resolved_committed_, resolved_repeated_, unresolved_, replays_;
  std::vector<std::pair<std::string_view, metrics::counter>> rows_by_method_;
  std::vector<free_marker> free_markers_;
  struct resting_marker {
    time_point since;
    std::unique_ptr<commit_marker> marker;
  };
  std::deque<resting_marker> resting_markers_;  // the oldest first
  std::optional<time_point> met_lock_;          // the last time that a batch waited for one for the full time, in vain
  slowness of_attempts_;                        // of any that had all of `attempt_timeout`
  slowness of_rows_;                            // of some, while others went in
  usual_time usual_;
  std::optional<time_point> stored_at_;  // the last time that anything was
  struct suspicion {
    time_point begun;
    time_point failed;
  };
  std::optional<suspicion> may_be_slow_row_;  // the last that took all its time, if another goes in soon
};

}  // namespace penstock::ingest

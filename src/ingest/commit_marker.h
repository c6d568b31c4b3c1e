#pragma once

// Tells whether a transaction was committed when its connection died before the answer came. Each marker owns a row of
// table penstock_writer; every transaction changes it, and waits for that before COMMIT is sent: so a COMMIT that is
// still under way somewhere holds the row, and who looks at it waits for the end of that COMMIT.
//
//   bool is_committed = marker.in_doubt() && co_await marker.settle(session, outcome);   // with that outcome
//   if (!is_committed) {
//     co_await marker.begin(session);
//     …; co_await marker.commit(session, outcome);
//   }
//
// It goes faster where the rows travel with what `begin` sends.
//
//   bool stored = co_await marker.begin_batch(session, into, rows, outcome);   // false: begin as above
//   co_await marker.commit(session, outcome);

#include "commit_outcome.h"
#include "penstock/db/connection.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace penstock::ingest {

// Serves one batch at a time: attempt after attempt, until one is known to be committed. Invariants: the row's number
// is `last_`, or that of an attempt in `open_`; no number is used twice.
class commit_marker {
 public:
  static db::table_definition table();
  // Markers of writers that were not used for so long are dropped at the start of any.
  static constexpr duration forgotten_after = std::chrono::hours(7 * 24);

  commit_marker();

  // True while it is unknown whether the batch is committed.
  bool in_doubt() const noexcept { return !open_.empty(); }
  // Ends the doubt, by a commit that has nothing but the marker in it: whatever the batch waits for when it is tried
  // again, it is known by then that it is not committed. True when an attempt turns out to be committed: `outcome` is
  // then what that one made of the batch. That, too, holds only once this commit is answered: one that is seen may not
  // be on the standby yet that its answer would have waited for, and this one's is behind it. A row that is missing or
  // older than what is known to be committed is a transient `db_errc::serialization`: a node of a cluster may lag
  // behind the one that was written through. While in doubt.
  task<bool> settle(db::connection& session, commit_outcome& outcome);
  // Opens a transaction for the next attempt. Not while in doubt.
  task<void> begin(db::connection& session);
  // Opens a transaction with the rows in it. False, without a transaction, when the row is gone. Not while in doubt.
  task<bool> begin_batch(db::connection& session, const db::table_definition& into, const db::row_batch& rows,
                         commit_outcome& outcome);
  // Commits it. When that ends in doubt, `outcome` is remembered.
  task<void> commit(db::connection& session, commit_outcome& outcome);
  // Drops the row. Not while in doubt.
  task<void> retire(db::connection& session);

  // Runs what attempts run, in a transaction that is then rolled back: the session has it prepared from then on.
  static task<void> rehearse(db::connection& session);
  // Drops the rows of those that are gone without a word.
  static task<void> forget_old(db::connection& session);

 private:
  struct attempt {
    std::int64_t number;
    std::optional<commit_outcome> outcome;  // none of one that had nothing in it
  };

  void start_over();
  task<void> require_row(db::connection& session);
  db::opening_statement next_number(std::int64_t from);
  task<void> make_row(db::connection& session);
  task<void> insert_row(db::connection& session);
  task<bool> try_to_begin(db::connection& session, std::int64_t from);
  // The outcome is null for one that has nothing in it.
  task<void> commit_attempt(db::connection& session, const commit_outcome* outcome);
  task<std::int64_t> find_number(db::connection& session);
  std::optional<commit_outcome> outcome_of(std::int64_t number) const;

  std::string writer_;
  bool has_row_ = false;
  std::int64_t last_ = 0;
  std::int64_t number_ = 0;    // of the newest attempt
  std::vector<attempt> open_;  // COMMIT was sent, and no answer came
};

}  // namespace penstock::ingest

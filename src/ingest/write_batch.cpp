#include "write_batch.h"

#include "idempotency_table.h"
#include "penstock/db/error.h"

#include <algorithm>

// The report keeps a place for every row of the batch, also for those that are left out: whoever waits for a row finds
// its outcome by its place.

namespace penstock::ingest {
namespace {

task<void> insert_others(db::connection& session, const db::table_definition& into, const batch& b,
                         commit_outcome& outcome) {
  db::row_batch others(b.rows.columns());
  std::vector<bool> left_out(b.rows.rows(), false);
  for (std::size_t g = 0; g < b.groups.size(); ++g)
    if (outcome.found[g])
      std::fill_n(left_out.begin() + static_cast<std::ptrdiff_t>(b.groups[g].first), b.groups[g].count, true);
  for (std::size_t row = 0; row < b.rows.rows(); ++row)
    if (!left_out[row]) others.append(b.rows, row, 1);
  if (others.empty()) {
    outcome.report.clear();
  } else {
    task<void> inserting = session.insert_rows(into, others, outcome.report);
    co_await std::move(inserting);
  }
  std::vector<db::row_outcome> in_place(b.rows.rows());
  for (std::size_t row = 0, next = 0; row < in_place.size(); ++row)
    if (!left_out[row]) in_place[row] = outcome.report.rows[next++];
  outcome.report.rows = std::move(in_place);
}

task<void> keep_answers(db::connection& session, const std::string& stream, const batch& b, commit_outcome& outcome) {
  db::row_batch answers(idempotency_table().columns.size());
  for (std::size_t g = 0; g < b.groups.size(); ++g) {
    if (outcome.found[g]) continue;
    const batch_group& group = b.groups[g];
    kept_answer answer = group.with->answer(outcome.report, group.first);
    if (answer.is_kept) add_kept_answer(answers, stream, group.with->key, answer);
  }
  if (answers.empty()) co_return;
  db::batch_report kept;
  task<void> inserting = session.insert_rows(idempotency_table(), answers, kept);
  co_await std::move(inserting);
  outcome.report.round_trips += kept.round_trips;
  if (!kept.refusals.empty())
    throw db::database_error(db::db_errc::other,
                             "an answer can't be kept in table penstock_idempotency: " + kept.refusals.front().message);
  bool taken = std::any_of(kept.rows.begin(), kept.rows.end(),
                           [](const db::row_outcome& row) { return row.what == db::row_outcome::status::duplicate; });
  if (taken)
    throw db::database_error(db::db_errc::serialization, "an Idempotency-Key was used on another server meanwhile");
}

}  // namespace

task<void> write_batch(db::connection& session, const db::table_definition& into, const std::string& stream,
                       const batch& b, commit_outcome& outcome) {
  outcome.found.clear();
  if (!b.groups.empty()) {
    task<std::vector<std::optional<kept_answer>>> looking = find_kept_answers(session, stream, b.groups);
    outcome.found = co_await std::move(looking);
  }
  bool any = std::any_of(outcome.found.begin(), outcome.found.end(), [](const auto& f) { return f.has_value(); });
  task<void> inserting =
      any ? insert_others(session, into, b, outcome) : session.insert_rows(into, b.rows, outcome.report);
  co_await std::move(inserting);
  if (b.groups.empty()) co_return;
  ++outcome.report.round_trips;  // of the look-up
  task<void> keeping = keep_answers(session, stream, b, outcome);
  co_await std::move(keeping);
}

}  // namespace penstock::ingest

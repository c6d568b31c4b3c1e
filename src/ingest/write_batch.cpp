#include "write_batch.h"

#include "idempotency_table.h"
#include "penstock/db/error.h"

#include <algorithm>
#include <utility>
#include <vector>

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

// Inserts the answers of these groups, and leaves those whose answer the database refused.
task<void> insert_answers(db::connection& session, const std::string& stream, commit_outcome& outcome,
                          std::vector<const batch_group*>& groups) {
  db::row_batch answers(idempotency_table().columns.size());
  std::erase_if(groups, [&](const batch_group* group) {
    const keyed_request& request = *group->with;
    kept_answer answer = request.answer(outcome.report, group->first, request.most_result_bytes);
    if (answer.is_kept) add_kept_answer(answers, stream, request.key, answer);
    return !answer.is_kept;
  });
  if (answers.empty()) co_return;
  db::batch_report kept;
  task<void> inserting = session.insert_rows(idempotency_table(), answers, kept);
  co_await std::move(inserting);
  outcome.report.round_trips += kept.round_trips;
  std::vector<const batch_group*> refused;
  for (std::size_t row = 0; row < groups.size(); ++row) {
    const db::row_outcome& end = kept.rows[row];
    if (end.what == db::row_outcome::status::duplicate)
      throw db::database_error(db::db_errc::serialization, "an Idempotency-Key was used on another server meanwhile");
    if (end.refusal < 0) continue;
    if (std::exchange(groups[row]->with->most_result_bytes, 0) == 0)
      throw db::database_error(db::db_errc::other, "an answer can't be kept in table penstock_idempotency: " +
                                                       kept.refusals[static_cast<std::size_t>(end.refusal)].message);
    refused.push_back(groups[row]);
  }
  groups = std::move(refused);
}

// An answer that the database does not take is kept without results: the batch is not lost for it.
task<void> keep_answers(db::connection& session, const std::string& stream, const batch& b, commit_outcome& outcome) {
  std::vector<const batch_group*> unanswered;
  for (std::size_t g = 0; g < b.groups.size(); ++g)
    if (!outcome.found[g]) unanswered.push_back(&b.groups[g]);
  while (!unanswered.empty()) {
    task<void> inserting = insert_answers(session, stream, outcome, unanswered);
    co_await std::move(inserting);
  }
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

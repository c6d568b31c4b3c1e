#include "write_batch.h"

#include "idempotency_table.h"
#include "penstock/async/timeout.h"
#include "penstock/db/error.h"

#include <algorithm>
#include <utility>
#include <vector>

// The report keeps a place for every row of the batch, also for those that are left out: whoever waits for a row finds
// its outcome by its place.

namespace penstock::ingest {
namespace {

// Places of a batch's groups.
using group_list = std::vector<std::size_t>;

// Of one insertion: what goes beyond waits for the next one, in the same transaction.
constexpr std::size_t most_answer_bytes_at_a_time = std::size_t{4} << 20;
constexpr std::size_t answer_bytes_of_a_turn = std::size_t{256} << 10;

task<void> insert_all(db::connection& session, const db::table_definition& into, const db::row_batch& rows,
                      db::batch_report& report) {
  task<void> inserting = session.insert_rows(into, rows, report);
  co_await std::move(inserting);
  task<void> looking = require_fitting_table(session, into, report);
  co_await std::move(looking);
}

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
    task<void> inserting = insert_all(session, into, others, outcome.report);
    co_await std::move(inserting);
  }
  std::vector<db::row_outcome> in_place(b.rows.rows());
  for (std::size_t row = 0, next = 0; row < in_place.size(); ++row)
    if (!left_out[row]) in_place[row] = outcome.report.rows[next++];
  outcome.report.rows = std::move(in_place);
}

// Whether the answer may be tried once more, without results.
bool is_refused(const db::batch_report& kept, std::size_t row, std::size_t& most_result_bytes) {
  const db::row_outcome& end = kept.rows[row];
  if (end.what == db::row_outcome::status::duplicate)
    throw db::database_error(db::db_errc::serialization, "an Idempotency-Key was used on another server meanwhile");
  if (end.refusal < 0) return false;
  if (std::exchange(most_result_bytes, 0) == 0)
    throw db::database_error(db::db_errc::other, "an answer can't be kept in table penstock_idempotency: " +
                                                     kept.refusals[static_cast<std::size_t>(end.refusal)].message);
  return true;
}

// Takes the groups from `next` on whose answers are inserted together, and renders these. Long ones let others have a
// turn of the loop between them.
task<void> render_answers(const std::string& stream, const batch& b, commit_outcome& outcome, group_list& groups,
                          group_list::iterator& next, db::row_batch& answers, group_list& answered) {
  std::size_t since_a_turn = 0;
  for (; next != groups.end() && answers.bytes() < most_answer_bytes_at_a_time; ++next) {
    if (since_a_turn > answer_bytes_of_a_turn) {
      since_a_turn = 0;
      co_await sleep_for(duration::zero());
    }
    const keyed_request& request = *b.groups[*next].with;
    kept_answer& made = outcome.made[*next];
    made = request.answer(outcome.report, b.groups[*next].first, request.most_result_bytes);
    since_a_turn += made.body.size();
    if (!made.is_kept) continue;
    add_kept_answer(answers, stream, request.key, made);
    answered.push_back(*next);
  }
}

// Inserts the answers of these groups, and leaves those whose answer the database refused.
task<void> insert_answers(db::connection& session, const std::string& stream, const batch& b, commit_outcome& outcome,
                          group_list& groups) {
  group_list refused;
  for (auto next = groups.begin(); next != groups.end();) {
    db::row_batch answers(idempotency_table().columns.size());
    group_list answered;
    task<void> rendering = render_answers(stream, b, outcome, groups, next, answers, answered);
    co_await std::move(rendering);
    if (answers.empty()) continue;
    db::batch_report kept;
    task<void> inserting = session.insert_rows(idempotency_table(), answers, kept);
    co_await std::move(inserting);
    outcome.report.round_trips += kept.round_trips;
    for (std::size_t row = 0; row < answered.size(); ++row)
      if (is_refused(kept, row, b.groups[answered[row]].with->most_result_bytes)) refused.push_back(answered[row]);
  }
  groups = std::move(refused);
}

// An answer that the database does not take is kept without results: the batch is not lost for it.
task<void> keep_answers(db::connection& session, const std::string& stream, const batch& b, commit_outcome& outcome) {
  group_list unanswered;
  for (std::size_t g = 0; g < b.groups.size(); ++g)
    if (!outcome.found[g]) unanswered.push_back(g);
  outcome.made.assign(b.groups.size(), {});
  while (!unanswered.empty()) {
    task<void> inserting = insert_answers(session, stream, b, outcome, unanswered);
    co_await std::move(inserting);
  }
}

}  // namespace

task<void> require_fitting_table(db::connection& session, const db::table_definition& into,
                                 const db::batch_report& report) {
  auto is_stored = [](const db::row_outcome& row) { return row.what == db::row_outcome::status::stored; };
  auto lacks_value = [](const db::row_refusal& refusal) { return refusal.lacks_value; };
  if (std::none_of(report.refusals.begin(), report.refusals.end(), lacks_value)) co_return;
  if (std::any_of(report.rows.begin(), report.rows.end(), is_stored)) co_return;
  task<void> comparing = session.prepare_table(into);
  co_await std::move(comparing);
}

task<void> write_batch(db::connection& session, const db::table_definition& into, const std::string& stream,
                       const batch& b, commit_outcome& outcome) {
  outcome.found.clear();
  if (!b.groups.empty()) {
    task<std::vector<std::optional<kept_answer>>> looking = find_kept_answers(session, stream, b.groups);
    outcome.found = co_await std::move(looking);
  }
  bool any = std::any_of(outcome.found.begin(), outcome.found.end(), [](const auto& f) { return f.has_value(); });
  task<void> inserting =
      any ? insert_others(session, into, b, outcome) : insert_all(session, into, b.rows, outcome.report);
  co_await std::move(inserting);
  if (b.groups.empty()) co_return;
  ++outcome.report.round_trips;  // of the look-up
  task<void> keeping = keep_answers(session, stream, b, outcome);
  co_await std::move(keeping);
}

}  // namespace penstock::ingest

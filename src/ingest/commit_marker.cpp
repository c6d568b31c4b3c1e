#include "commit_marker.h"

#include "penstock/core/id.h"
#include "penstock/db/error.h"
#include "penstock/ingest/error.h"

#include <algorithm>
#include <utility>

// The row is made by a statement of its own, before the first transaction that needs it: a row that an open transaction
// inserts can't be waited for. Who finds the row as expected has proof only once that is committed: in a cluster, an
// earlier attempt may be committed elsewhere and arrive first.

namespace penstock::ingest {
namespace {

constexpr int most_forgotten = 1'000;  // at a start

db::timestamp current_time() { return std::chrono::floor<std::chrono::microseconds>(scheduler::current().wall_now()); }

// Transient: the row comes, or its newer number.
db::database_error behind() {
  return {db::db_errc::serialization,
          "this server of the database does not have yet what was committed through another: its row in table "
          "penstock_writer is older"};
}

error unknown_outcome(const std::string& why) {
  return error(ingest_errc::outcome_unknown, "the database was lost during a commit, and " + why);
}

}  // namespace

db::table_definition commit_marker::table() {
  db::table_definition t;
  t.name = "penstock_writer";
  t.id_column.clear();
  t.columns = {{"writer", db::column_type::text, true},
               {"commit_number", db::column_type::integer, true},
               {"committed_at", db::column_type::timestamp, true}};
  t.unique_key = {"writer"};
  return t;
}

commit_marker::commit_marker() { start_over(); }

void commit_marker::start_over() {
  scheduler& s = scheduler::current();
  writer_ = make_id(s.random()) + make_id(s.random());
  has_row_ = false;
  last_ = number_ = 0;
}

task<bool> commit_marker::settle(db::connection& session, commit_outcome& outcome) {
  task<bool> trying = try_to_begin(session, last_);
  bool is_open = co_await std::move(trying);
  std::optional<commit_outcome> found;
  if (!is_open) {
    task<std::int64_t> finding = find_number(session);
    std::int64_t number = co_await std::move(finding);
    found = outcome_of(number);
    task<bool> following = try_to_begin(session, number);
    is_open = co_await std::move(following);
    if (!is_open) throw behind();
  }
  task<void> committing = commit_attempt(session, found ? &*found : nullptr);
  co_await std::move(committing);
  if (found) outcome = *std::move(found);
  co_return found.has_value();
}

task<void> commit_marker::begin(db::connection& session) {
  for (;;) {
    task<void> requiring = require_row(session);
    co_await std::move(requiring);
    task<bool> trying = try_to_begin(session, last_);
    bool is_open = co_await std::move(trying);
    if (is_open) co_return;
    task<void> ending = session.rollback();
    co_await std::move(ending);
    start_over();
  }
}

// False when the row's number is another.
task<bool> commit_marker::try_to_begin(db::connection& session, std::int64_t from) {
  task<void> beginning = session.begin_for_batches();
  co_await std::move(beginning);
  db::opening_statement next = next_number(from);
  task<std::uint64_t> updating = session.execute(std::move(next.sql), std::move(next.values));
  std::uint64_t changed = co_await std::move(updating);
  co_return changed == 1;
}

task<bool> commit_marker::begin_batch(db::connection& session, const db::table_definition& into,
                                      const db::row_batch& rows, commit_outcome& outcome) {
  task<void> requiring = require_row(session);
  co_await std::move(requiring);
  db::opening_statement next = next_number(last_);
  task<void> storing = session.begin_batch(next, into, rows, outcome.report);
  co_await std::move(storing);
  if (next.changed == 1) co_return true;
  task<void> undoing = session.rollback();
  co_await std::move(undoing);
  co_return false;
}

task<void> commit_marker::require_row(db::connection& session) {
  if (has_row_) co_return;
  task<void> making = make_row(session);
  co_await std::move(making);
}

db::opening_statement commit_marker::next_number(std::int64_t from) {
  ++number_;
  return {
      R"(UPDATE "penstock_writer" SET "commit_number" = ?, "committed_at" = ? WHERE "writer" = ? AND "commit_number" = ?)",
      db::parameters_of(number_, current_time(), writer_, from)};
}

task<void> commit_marker::make_row(db::connection& session) {
  try {
    task<void> inserting = insert_row(session);
    co_await std::move(inserting);
  } catch (const db::database_error& e) {
    // It is there from an earlier try that got no answer.
    if (e.errc() != db::db_errc::constraint) throw;
  }
  has_row_ = true;
}

task<void> commit_marker::insert_row(db::connection& session) {
  task<std::uint64_t> inserting =
      session.execute(R"(INSERT INTO "penstock_writer" ("writer", "commit_number", "committed_at") VALUES (?, ?, ?))",
                      db::parameters_of(writer_, last_, current_time()));
  co_await std::move(inserting);
}

// The row is not as it was expected: what is it then? The transaction ends first: a later statement of it may not see
// what others have committed.
task<std::int64_t> commit_marker::find_number(db::connection& session) {
  task<void> ending = session.rollback();
  co_await std::move(ending);
  task<db::result> asking =
      session.query(R"(SELECT "commit_number" FROM "penstock_writer" WHERE "writer" = ?)", db::parameters_of(writer_));
  db::result found = co_await std::move(asking);
  if (found.rows.empty()) throw behind();
  auto number = std::get<std::int64_t>(found.rows.front().front());
  if (number <= last_) throw behind();  // also where it has caught up since
  co_return number;
}

std::optional<commit_outcome> commit_marker::outcome_of(std::int64_t number) const {
  auto committed = std::find_if(open_.begin(), open_.end(), [&](const attempt& a) { return a.number == number; });
  if (committed == open_.end())
    throw unknown_outcome("its marker in table penstock_writer has a number that it never gave");
  return committed->outcome;
}

task<void> commit_marker::commit(db::connection& session, commit_outcome& outcome) {
  return commit_attempt(session, &outcome);
}

task<void> commit_marker::commit_attempt(db::connection& session, const commit_outcome* outcome) {
  try {
    task<void> committing = session.commit();
    co_await std::move(committing);
  } catch (const db::database_error& e) {
    if (e.errc() == db::db_errc::ambiguous_commit) {
      open_.push_back({number_, {}});
      if (outcome != nullptr) open_.back().outcome = *outcome;
    }
    throw;
  }
  last_ = number_;
  open_.clear();
}

task<void> commit_marker::retire(db::connection& session) {
  if (!std::exchange(has_row_, false)) co_return;
  task<std::uint64_t> deleting =
      session.execute(R"(DELETE FROM "penstock_writer" WHERE "writer" = ?)", db::parameters_of(writer_));
  co_await std::move(deleting);
}

task<void> commit_marker::rehearse(db::connection& session) {
  commit_marker nobodys;
  task<void> inserting = nobodys.insert_row(session);
  co_await std::move(inserting);
  db::opening_statement next = nobodys.next_number(0);
  task<std::uint64_t> updating = session.execute(std::move(next.sql), std::move(next.values));
  co_await std::move(updating);
}

// By their keys: to look for them by time would wait for every row that is locked, such as that of a writer that stands
// still.
task<void> commit_marker::forget_old(db::connection& session) {
  db::timestamp before = current_time() - std::chrono::duration_cast<std::chrono::microseconds>(forgotten_after);
  task<db::result> looking = session.query(
      R"(SELECT "writer" FROM "penstock_writer" WHERE "committed_at" < ? LIMIT )" + std::to_string(most_forgotten),
      db::parameters_of(before));
  db::result old = co_await std::move(looking);
  for (std::vector<db::value>& row : old.rows) {
    task<std::uint64_t> deleting =
        session.execute(R"(DELETE FROM "penstock_writer" WHERE "writer" = ? AND "committed_at" < ?)",
                        db::parameters_of(std::get<std::string>(row[0]), before));
    co_await std::move(deleting);
  }
}

}  // namespace penstock::ingest

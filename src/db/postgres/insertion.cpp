#include "../definition_faults.h"
#include "batch_insert.h"
#include "copy_insert.h"
#include "penstock/async/cancel.h"
#include "penstock/core/outcome.h"
#include "penstock/db/error.h"
#include "penstock/db/transaction.h"
#include "session.h"

#include <utility>

// Stores batches in a table, by a plan that may have become stale.

namespace penstock::db::postgres {
namespace {

// Between sizes measured with bench/insert_bench: at 100 rows INSERT is the faster one, at 1,000 COPY.
constexpr std::size_t fewest_to_copy = 512;

}  // namespace

// The table may have been altered, or another one taken its place, since the plan was made.
task<void> session::insert_batch(const table_definition& into, const row_batch& rows, batch_report& report) {
  plan_was_stale_ = false;
  auto body = [&](connection&) {
    for_batches_ = true;
    return insert_rows(into, rows, report);
  };
  try {
    task<void> whole = shield(detail::attempt<void>(this, &body));
    co_await std::move(whole);
    co_return;
  } catch (const database_error&) {
    if (!plan_was_stale_) throw;
  }
  task<void> whole_again = shield(detail::attempt<void>(this, &body));
  co_await std::move(whole_again);
}

// Where many rows go in by COPY, a trip is nothing beside them.
task<void> session::begin_batch(opening_statement& first, const table_definition& into, const row_batch& rows,
                                batch_report& report) {
  if (rows.empty() || rows.rows() >= fewest_to_copy) {
    task<void> step_by_step = connection::begin_batch(first, into, rows, report);
    co_await std::move(step_by_step);
    co_return;
  }
  struct opening {
    opening(session& s, opening_statement& first) noexcept : of(s) { s.opening_ = &first; }
    opening(const opening&) = delete;
    opening& operator=(const opening&) = delete;
    ~opening() { of.opening_ = nullptr; }
    session& of;
  };
  task<void> beginning = begin_for_batches();
  co_await std::move(beginning);
  opening with(*this, first);
  task<void> inserting = insert_rows(into, rows, report);
  co_await std::move(inserting);
}

task<void> session::insert_rows(const table_definition& into, const row_batch& rows, batch_report& report) {
  report.clear();
  require_width(into, rows);
  open_wire();
  require_known_characters("insert into " + into.name);
  if (!in_transaction()) throw database_error(db_errc::other, "insert_rows needs a transaction: begin one first");
  if (rows.empty()) co_return;
  std::exception_ptr failure;
  const insert_plan* known = known_plan(into);
  bool was_known = known != nullptr;
  had_known_plan_ = had_known_plan_ || (was_known && known->made_in != transactions_);
  try {
    task<insert_plan*> planning = plan_for(into);
    insert_plan* plan = co_await std::move(planning);
    std::size_t trips_before = wire_->round_trips();
    report.rows.resize(rows.rows());
    to_do_.assign(rows.rows(), 1);
    doubts_.clear();
    bool all_done = false;
    if (plan->copies(report) && rows.rows() >= fewest_to_copy) {
      task<std::string> preparing_version = version_statement(into.name);
      std::string ask_version = co_await std::move(preparing_version);
      copy_insert copy(*this, *plan, std::move(ask_version), rows, report);
      task<bool> copying = copy.run();
      all_done = co_await std::move(copying);
      task<void> checking = check_version(*plan, copy.version());
      co_await std::move(checking);
    }
    if (!all_done) {
      batch_insert insert(*this, *plan, rows, report);
      task<void> inserting = insert.run();
      co_await std::move(inserting);
      task<void> checking = check_version(*plan, insert.version());
      co_await std::move(checking);
      if (!plan->missing_keys.empty()) {
        task<bool> finding = finds_missing_keys(*plan, rows, report);
        if (co_await std::move(finding)) {
          task<void> looking = insert.look_again();
          co_await std::move(looking);
        }
        task<void> trying = insert.try_repeats();
        co_await std::move(trying);
      }
    }
    if (!doubts_.empty() && !report.refusals.empty()) {
      task<void> settling = settle_doubts(into);
      co_await std::move(settling);
    }
    report.round_trips = wire_->round_trips() - trips_before;
    co_return;
  } catch (...) {
    failure = std::current_exception();
  }
  report.clear();
  forget_plan(into.name);  // the table may be another by now
  const auto* e = penstock::detail::exception_as<database_error>(failure);
  plan_was_stale_ = was_known && e != nullptr && e->errc() == db_errc::serialization;
  // A right may be missing by now that another plan does without. A transaction that had failed before takes none.
  auto may_be_stale = [](const database_error& failed) {
    db_errc errc = failed.errc();
    return errc == db_errc::syntax || errc == db_errc::auth || (errc == db_errc::other && failed.sqlstate() != "25P02");
  };
  if (was_known && e != nullptr && may_be_stale(*e)) {
    plan_was_stale_ = true;
    throw to_be_stored_anew(failure);
  }
  std::rethrow_exception(failure);
}

}  // namespace penstock::db::postgres

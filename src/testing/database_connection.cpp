#include "database_connection.h"

#include "penstock/async/cancel.h"
#include "penstock/async/timeout.h"
#include "penstock/db/error.h"
#include "penstock/testing/failure_point.h"

#include <algorithm>
#include <utility>

// A statement takes half of its latency to come to the server, is carried out there in no time, and its answer takes
// the other half. Invariant: whatever ends an operation early leaves the session dirty or dead, never clean.

namespace penstock::testing {

// One operation at a time: what drivers leave to their users, this one checks.
class database_connection::operation {
 public:
  explicit operation(database_connection& c) : connection_(c) {
    if (c.busy_) throw db::database_error(db::db_errc::other, "two operations at a time on one session");
    c.throw_if_gone();
    c.busy_ = true;
  }
  operation(const operation&) = delete;
  operation& operator=(const operation&) = delete;
  ~operation() {
    connection_.busy_ = connection_.committing_ = false;
    if (!ended_) connection_.cut_short_ = true;
    if (connection_.session_) connection_.session_->nothing_to_do();
  }
  void ended() noexcept { ended_ = true; }

 private:
  database_connection& connection_;
  bool ended_ = false;
};

database_connection::database_connection(std::shared_ptr<database_server> home, std::unique_ptr<server_session> session)
    : home_(std::move(home)), session_(std::move(session)) {
  opened_at(std::source_location::current());
}

void database_connection::opened_at(const std::source_location& where) {
  if (session_)
    open_.emplace("database session", home_->options.name + " #" + std::to_string(session_->number()), where);
}

template <class Work>
task<void> database_connection::run(std::string_view what, std::string_view sql, Work& work, bool ends_transaction) {
  if (!ends_transaction) require_whole_transaction();
  operation here(*this);
  committing_ = what == "commit";
  std::string point = "database." + std::string(what);
  if (should_fail(point)) lose();
  session_->doing(what, sql);
  fate f = home_->decide({home_->statements++, session_->number(), what, sql});
  if (f.what == fate::kind::lost) lose();
  duration latency = home_->random().between(home_->options.least_latency, home_->options.most_latency);
  task<void> going = travel(latency / 2 + f.slower);
  co_await std::move(going);
  if (f.what == fate::kind::never) {
    task<void> waiting = wait_in_vain();
    co_await std::move(waiting);
  }
  if (f.what == fate::kind::carried_later) lose(true);
  std::exception_ptr failure;
  try {
    if (f.what == fate::kind::refused) refuse(f, what == "batch");
    task<void> locking = session_->lock();
    co_await std::move(locking);
    throw_if_gone();
    work(session_->sql());
  } catch (const db::database_error&) {
    failure = std::current_exception();
  }
  if (session_) session_->settle();
  if (!session_) std::rethrow_exception(failure);
  if (f.what == fate::kind::answer_lost) lose();
  if (committing_ && should_fail("database.commit answer")) lose();
  task<void> coming = travel(latency - latency / 2);
  co_await std::move(coming);
  here.ended();
  if (failure) std::rethrow_exception(failure);
}

task<void> database_connection::travel(duration time) {
  co_await sleep_for(time);
  throw_if_gone();
}

// Until the client gives up, or hears that the server is gone.
task<void> database_connection::wait_in_vain() {
  auto until_ended = [](event& ended) -> task<void> { co_await ended.wait(); };
  try {
    task<void> waiting = with_timeout(home_->options.give_up, until_ended(session_->ended()));
    co_await std::move(waiting);
  } catch (const timed_out&) {
    // Then it is lost all the same.
  }
  lose();
}

// A deadlock ends the transaction: what follows in it would be stored by itself.
void database_connection::refuse(const fate& f, bool opens_transaction) {
  db::database_error refused(f.why, home_->options.name + " refused a statement: " + std::string(code_name(f.why)));
  if (f.why == db::db_errc::deadlock || f.why == db::db_errc::serialization) {
    if (opens_transaction || session_->in_transaction()) undone_ = refused;
    session_->rollback();
  }
  throw std::move(refused);
}

// As the drivers of real databases.
void database_connection::require_whole_transaction() const {
  if (!session_ || busy_) return;
  if (cut_short_) throw db::database_error(db::db_errc::other, "a statement was cut short: roll back or reset first");
  if (undone_) throw *undone_;
}

void database_connection::throw_if_gone() {
  if (!session_) throw db::database_error(db::db_errc::connection_lost, "the connection was closed");
  if (session_->killed()) lose();
}

void database_connection::lose(bool commits_later) {
  bool ambiguous = committing_;
  if (session_) home_->abandon(std::move(session_), commits_later);
  session_.reset();
  open_.reset();
  if (ambiguous)
    throw db::database_error(db::db_errc::ambiguous_commit,
                             "the connection to " + home_->options.name + " was lost during COMMIT");
  throw db::database_error(db::db_errc::connection_lost, "the connection to " + home_->options.name + " was lost");
}

task<db::result> database_connection::query(std::string sql, db::parameters values) {
  db::result found;
  auto work = [&](db::detail::memory_session& s) { found = s.query(sql, values); };
  task<void> running = run("query", sql, work);
  co_await std::move(running);
  co_return found;
}

// The rows are held by the client from the first on, as by drivers that buffer: faults come before them or not at all.
task<std::uint64_t> database_connection::query_each(std::string sql, db::parameters values, db::row_consumer take,
                                                    std::size_t max_rows) {
  task<db::result> asking = query(std::move(sql), std::move(values));
  db::result all = co_await std::move(asking);
  max_rows = std::max<std::size_t>(max_rows, 1);
  operation here(*this);
  for (std::size_t next = 0; next < all.rows.size();) {
    db::result some;
    some.columns = all.columns;
    for (; next < all.rows.size() && some.rows.size() < max_rows; ++next)
      some.rows.push_back(std::move(all.rows[next]));
    task<void> taking = take(some);
    co_await std::move(taking);
  }
  here.ended();
  co_return all.rows.size();
}

task<std::uint64_t> database_connection::execute(std::string sql, db::parameters values) {
  std::uint64_t changed = 0;
  auto work = [&](db::detail::memory_session& s) { changed = s.execute(sql, values); };
  task<void> running = run("execute", sql, work);
  co_await std::move(running);
  co_return changed;
}

namespace {

// Rows that the server refuses are left out; the report has a place for each all the same.
void insert_accepted(db::detail::memory_session& s, const db::table_definition& into, const db::row_batch& rows,
                     db::batch_report& report, const std::vector<bool>& accepted) {
  db::row_batch some(rows.columns());
  for (std::size_t r = 0; r < rows.rows(); ++r)
    if (accepted[r]) some.append(rows, r, 1);
  s.insert_rows(into, some, report);
  std::vector<db::row_outcome> in_place(rows.rows());
  for (std::size_t r = 0, next = 0; r < rows.rows(); ++r) {
    if (accepted[r]) {
      in_place[r] = report.rows[next++];
      continue;
    }
    in_place[r].what = db::row_outcome::status::refused;
    in_place[r].refusal = static_cast<std::int32_t>(report.refusals.size());
    report.refusals.push_back({code_name(db::db_errc::data), "the server does not take this value"});
  }
  report.rows = std::move(in_place);
}

}  // namespace

void database_connection::insert_now(const db::table_definition& into, const db::row_batch& rows,
                                     db::batch_report& report) {
  std::vector<bool> accepted = home_->accepted(rows);
  if (std::find(accepted.begin(), accepted.end(), false) == accepted.end())
    session_->sql().insert_rows(into, rows, report);
  else
    insert_accepted(session_->sql(), into, rows, report, accepted);
  report.method = "statement";
  report.round_trips = 1;
}

task<void> database_connection::insert_rows(const db::table_definition& into, const db::row_batch& rows,
                                            db::batch_report& report) {
  throw_if_gone();
  if (!session_->in_transaction())
    throw db::database_error(db::db_errc::other, "insert_rows needs a transaction: begin one first");
  auto work = [&](db::detail::memory_session&) { insert_now(into, rows, report); };
  report.clear();
  task<void> running = run("insert", into.name, work);
  co_await std::move(running);
}

// In one trip, as on servers: whatever its answer says, rows may be in the transaction by then.
task<void> database_connection::begin_batch(db::opening_statement& first, const db::table_definition& into,
                                            const db::row_batch& rows, db::batch_report& report) {
  auto work = [&](db::detail::memory_session& s) {
    s.begin();
    first.changed = s.execute(first.sql, first.values);
    insert_now(into, rows, report);
  };
  report.clear();
  task<void> running = run("batch", into.name, work);
  co_await std::move(running);
}

task<void> database_connection::begin() {
  auto work = [](db::detail::memory_session& s) { s.begin(); };
  task<void> running = run("begin", {}, work);
  co_await std::move(running);
}

task<void> database_connection::commit() {
  auto work = [](db::detail::memory_session& s) { s.commit(); };
  task<void> running = shield(run("commit", {}, work));
  co_await std::move(running);
}

task<void> database_connection::rollback() { return undo("rollback"); }
task<void> database_connection::reset() { return undo("reset"); }

task<void> database_connection::undo(std::string_view what) {
  auto work = [](db::detail::memory_session& s) { s.rollback(); };
  task<void> running = run(what, {}, work, true);
  co_await std::move(running);
  cut_short_ = false;
  undone_.reset();
}

task<void> database_connection::prepare_table(const db::table_definition& definition) {
  auto work = [&](db::detail::memory_session& s) { s.prepare_table(definition); };
  task<void> running = run("prepare", definition.name, work);
  co_await std::move(running);
}

task<void> database_connection::ping() {
  auto work = [](db::detail::memory_session&) {};
  task<void> running = run("ping", {}, work);
  co_await std::move(running);
}

db::session_state database_connection::state() const noexcept {
  if (!session_) return db::session_state::dead;
  return busy_ || cut_short_ || undone_ || session_->in_transaction() ? db::session_state::dirty
                                                                      : db::session_state::clean;
}

void database_connection::close() noexcept {
  session_.reset();
  open_.reset();
}

}  // namespace penstock::testing

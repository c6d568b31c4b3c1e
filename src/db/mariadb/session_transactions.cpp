#include "penstock/async/cancel.h"
#include "penstock/db/error.h"
#include "session.h"

#include <chrono>
#include <utility>

// How a session's transactions begin and are committed; see session_recovery.cpp for those that are rolled back.

namespace penstock::db::mariadb {
namespace {

// An account with a right such as SUPER goes on writing to a server that was made read-only, as one that another is to
// take over from: it is told by no error. What is stored there from then on may be nowhere else. So a transaction asks
// as it begins, and again behind its COMMIT, in the same trips: before the server answered "no" the second time,
// whoever makes it read-only did not look yet for what the other one must have.
// A number, or from MariaDB 12 on a word, one of several for "on": the answer is a row or none, which no setting of the
// session's characters garbles.
// With a limit of its own, which the session's sql_select_limit does not replace.
constexpr const char* read_only_question =
    "SELECT 1 FROM DUAL WHERE CONCAT(@@global.read_only) NOT IN ('0', 'OFF') LIMIT 1";
bool says_read_only(const text_result& answer) noexcept { return !answer.rows.empty(); }
constexpr unsigned forbidden_by_option = 1290;
const complaint turned_read_only{forbidden_by_option, "HY000", "the server has turned read-only, by its read_only"};

constexpr duration shortest_absence = std::chrono::seconds(1);  // of a member that has left its group

}  // namespace

// What follows would run in a transaction of its own, and a COMMIT would be answered as if all had been stored.
void session::require_whole_transaction(const std::string& doing) const {
  if (!rolled_back_) return;
  complaint said = *rolled_back_;
  said.message = "the server has rolled the transaction back: " + said.message;
  throw failure(at_, doing, said);
}

// START TRANSACTION would commit one that is open.
void session::require_no_transaction() const {
  if (wire_->in_transaction())
    throw database_error(db_errc::other, "a transaction is open: commit it or roll it back first");
}

// A transaction that the server ended by itself, as after a deadlock, is over in its words too: one that only seems to
// be would be committed by the next START TRANSACTION.
task<void> session::end_what_was_begun() {
  if (!begun_) co_return;
  task<void> ending = run_text("ROLLBACK", "roll back");
  co_await std::move(ending);
  note_end();
}

void session::note_end() noexcept {
  begun_ = false;
  was_ended_ = false;
  rolled_back_.reset();
}

// What a node of a cluster has committed, all have; and it may keep a question waiting (wsrep_sync_wait).
bool session::asks_for_read_only() const noexcept {
  return home_->url.primary_only && facts_.has_read_only && !facts_.has_cluster;
}

void session::require_writable(const std::string& doing, const text_result& answer) {
  if (says_read_only(answer)) fail(doing, turned_read_only);
}

task<void> session::begin() {
  operation here(*this);
  silence_limit patience(*this);
  require_no_transaction();
  task<void> ending = end_what_was_begun();
  co_await std::move(ending);
  begun_ = true;
  std::string text = "START TRANSACTION";
  if (asks_for_read_only()) text.append(";").append(read_only_question);
  task<void> running = run_text(std::move(text), "begin");
  co_await std::move(running);
  require_writable("begin", answers_.back());
}

task<void> session::begin_batch(opening_statement& first, const table_definition& into, const row_batch& rows,
                                batch_report& report) {
  operation here(*this);
  require_no_transaction();
  task<void> ending = end_what_was_begun();
  co_await std::move(ending);
  begun_ = true;
  batch_opening opening{"START TRANSACTION;" + with_literals(first.sql, first.values, facts_.max_packet) + ";", 2};
  if (asks_for_read_only()) {
    opening.text.append(read_only_question).append(";");
    ++opening.statements;
  }
  task<void> storing = store(into, rows, report, std::move(opening));
  co_await std::move(storing);
  first.changed = inserting_.opening_changed();
}

task<void> session::commit() {
  throw_if_cancelled();
  task<void> whole = shield(finish_commit());
  co_await std::move(whole);
}

task<void> session::finish_commit() {
  operation here(*this);
  require_whole_transaction("commit");
  if (!wire_->in_transaction())
    throw database_error(db_errc::other, begun_
                                             ? "a statement has ended the transaction: what came after it was stored "
                                               "by itself"
                                             : "no transaction is open: begin one first");
  silence_limit patience(*this);
  time_point begun = scheduler::current().now();
  text_ = "COMMIT";
  if (asks_for_read_only()) text_.append(";").append(read_only_question);
  task<bool> running = wire_->run(text_, answers_, asks_for_read_only() ? 2 : 1);
  bool ran = co_await std::move(running);
  if (ran && !says_read_only(answers_.back())) {
    note_end();
    co_return;
  }
  bool is_committed_here = !answers_.empty();
  complaint said = ran ? turned_read_only : wire_->complaint_of_session();
  if (!is_committed_here && may_have_left_group(said)) {
    task<bool> looking = is_member_since(begun);
    said.is_known_conflict = co_await std::move(looking);
  }
  if (!is_committed_here && rolls_commit_back(said)) fail("commit", said);
  database_error lost = failure(at_, "commit", said);
  time_point now = scheduler::current().now();
  if (now - begun >= home_->url.silence_timeout) home_->silent.note(at_, now);
  close();
  throw database_error(db_errc::ambiguous_commit, lost.message() + "; whether it was committed is unknown",
                       lost.server_code(), lost.sqlstate());
}

// One that leaves is a member no more before it gives up what waits, unless it is told to stop, which it does after 50
// seconds; to come back takes longer than a moment. An account that may not ask does not know.
task<bool> session::is_member_since(time_point begun) {
  text_ =
      "SELECT 1 FROM performance_schema.replication_group_members WHERE MEMBER_ID = @@server_uuid AND "
      "MEMBER_STATE = 'ONLINE'";
  task<bool> asking = wire_->run(text_, answers_, 1);
  bool answered = co_await std::move(asking);
  co_return answered && !answers_.front().rows.empty() && scheduler::current().now() - begun < shortest_absence;
}

}  // namespace penstock::db::mariadb

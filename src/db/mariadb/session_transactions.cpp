#include "penstock/async/cancel.h"
#include "penstock/db/error.h"
#include "session.h"

#include <chrono>
#include <utility>

// How a session's transactions begin and are committed; see session_recovery.cpp for those that are rolled back.

namespace penstock::db::mariadb {
namespace {

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

task<void> session::begin() {
  operation here(*this);
  silence_limit patience(*this);
  require_no_transaction();
  task<void> ending = end_what_was_begun();
  co_await std::move(ending);
  begun_ = true;
  task<void> running = run_text("START TRANSACTION", "begin");
  co_await std::move(running);
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
  task<bool> running = wire_->run(text_, answers_, 1);
  bool ran = co_await std::move(running);
  if (ran) {
    note_end();
    co_return;
  }
  complaint said = wire_->complaint_of_session();
  if (may_have_left_group(said)) {
    task<bool> looking = is_member_since(begun);
    said.is_known_conflict = co_await std::move(looking);
  }
  if (rolls_commit_back(said)) fail("commit", said);
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

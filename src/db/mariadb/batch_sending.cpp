#include "batch_insertion.h"

#include <utility>

#include <mysqld_error.h>

// How a batch's statements get to the server, and what goes ahead of them.

namespace penstock::db::mariadb {

// Runs the text, behind what goes ahead of it. The answers are those to the text, which has so many.
task<bool> batch_insertion::send(std::size_t answers) {
  std::size_t ahead = std::exchange(ahead_count_, 0);
  text_.insert(0, std::exchange(ahead_, {}));
  task<bool> running = wire_->run(text_, answers_, answers + ahead);
  bool ran = co_await std::move(running);
  if (ahead == 0) co_return ran;
  ahead_has_run_ = answers_.size() >= ahead;
  if (!ahead_has_run_) co_return false;
  const std::size_t opening = std::exchange(opening_statements_, 0);
  if (opening > 1) opening_changed_ = answers_[1].changed;
  if (opening > 2) opening_answer_ = std::move(answers_[2]);
  answers_.erase(answers_.begin(), answers_.begin() + static_cast<std::ptrdiff_t>(ahead));
  co_return ran;
}

namespace {

const complaint ended_by_cluster{ER_LOCK_DEADLOCK, "40001", "the cluster has ended the transaction"};

}  // namespace

// By the last answer, where that was no error.
bool batch_insertion::lost_transaction() {
  if (!is_guarded() || wire_->in_transaction()) return false;
  lost_ = ended_by_cluster;
  ahead_has_run_ = false;
  return true;
}

complaint batch_insertion::what_failed() const {
  if (lost_) return *lost_;
  complaint said = wire_->complaint_of_session();
  bool lacks_savepoint = is_guarded() && said.code == ER_SP_DOES_NOT_EXIST;
  return lacks_savepoint ? ended_by_cluster : said;
}

// Rows in pieces that end before these, an INSERT each, of which the server stops at the first that fails. The answers
// are those to the ones before it.
task<bool> batch_insertion::send_inserts(std::span<const std::uint32_t> rows, std::span<const std::size_t> ends) {
  std::vector<text_result> inserted;
  bool ran = true;
  std::size_t first = 0;
  text_.clear();
  for (std::size_t end : ends) {
    std::span<const std::uint32_t> piece = rows.subspan(first, end - first);
    first = end;
    if (!is_guarded()) {
      if (!text_.empty()) text_.push_back(';');
      append_insert(piece);
      continue;
    }
    task<std::optional<complaint>> guarding = guard();
    ran = !co_await std::move(guarding);
    if (!ran) break;
    text_.clear();
    append_insert(piece);
    task<bool> sending = send(1);
    ran = co_await std::move(sending);
    undo_is_due_ = !ran;
    if (!ran) break;
    inserted.push_back(std::move(answers_.front()));
  }
  if (is_guarded()) {
    answers_ = std::move(inserted);
    co_return ran;
  }
  task<bool> sending = send(ends.size());
  co_return co_await std::move(sending);
}

task<std::optional<complaint>> batch_insertion::send_ahead() {
  undo_what_failed();
  if (ahead_.empty()) co_return std::nullopt;
  text_.clear();
  task<bool> sending = send(0);
  bool ran = co_await std::move(sending);
  if (!ran) co_return what_failed();
  co_return std::nullopt;
}

// What goes ahead of a statement that inserts. Where the transaction has been ended meanwhile, nothing needs to have
// failed: but the savepoint is in none then.
task<std::optional<complaint>> batch_insertion::guard() {
  if (!is_guarded()) {
    task<std::optional<complaint>> sending_ahead = send_ahead();
    co_return co_await std::move(sending_ahead);
  }
  undo_what_failed();
  text_ = "SAVEPOINT penstock_row";
  task<bool> sending = send(1);
  bool ran = co_await std::move(sending);
  if (!ran || lost_transaction()) co_return what_failed();
  co_return std::nullopt;
}

void batch_insertion::undo_what_failed() {
  if (!std::exchange(undo_is_due_, false)) return;
  ahead_ += "ROLLBACK TO SAVEPOINT penstock_row;";
  ++ahead_count_;
}

// Undone before anything else is sent, on the way to it.
void batch_insertion::undo_to_savepoint() {
  ahead_ = "ROLLBACK TO SAVEPOINT penstock_rows;";
  ahead_count_ = 1;
  ahead_has_run_ = false;
}

// Opens the transaction, when that is still due, with a point to come back to.
task<std::optional<complaint>> batch_insertion::open_with_savepoint() {
  text_ = "SAVEPOINT penstock_rows";
  task<bool> sending = send(1);
  bool ran = co_await std::move(sending);
  if (!ran) co_return what_failed();
  co_return std::nullopt;
}

}  // namespace penstock::db::mariadb

#include "penstock/db/transaction.h"

#include "penstock/core/traceback.h"
#include "penstock/db/error.h"

#include <algorithm>

// An attempt ends outside a transaction, or with the connection dead.

namespace penstock::db::detail {
namespace {

bool may_pass(const std::exception_ptr& failure) {
  auto* e = penstock::detail::exception_as<database_error>(failure);
  return e != nullptr &&
         (e->errc() == db_errc::deadlock || e->errc() == db_errc::lock_timeout || e->errc() == db_errc::serialization);
}

}  // namespace

task<bool> pause_before_retry(std::exception_ptr failure, int attempts_made, const transaction_options* options) {
  if (!may_pass(failure) || attempts_made >= options->max_attempts) co_return false;
  duration pause = options->min_pause;
  for (int i = 1; i < attempts_made && pause < options->max_pause; ++i) pause *= 2;
  pause = std::min(pause, options->max_pause);
  scheduler& s = scheduler::current();
  auto half = static_cast<std::uint64_t>(pause.count() / 2);
  pause -= duration(static_cast<duration::rep>(s.random() % (half + 1)));
  std::optional<time_point> deadline = current_deadline();
  if (deadline && s.now() + pause >= *deadline) co_return false;
  co_await sleep_for(pause);
  co_return true;
}

task<void> begin(connection* c) {
  bool was_clean = c->state() == session_state::clean;
  std::exception_ptr failure;
  try {
    task<void> beginning = c->begin();
    co_await std::move(beginning);
  } catch (...) {
    failure = std::current_exception();
  }
  if (!failure) co_return;
  // Cut short, it may have begun, or begin yet. One that was open before is its owner's.
  if (was_clean && c->state() == session_state::dirty) {
    task<void> undoing = roll_back(c, failure);
    co_await std::move(undoing);
  }
  std::rethrow_exception(failure);
}

task<void> roll_back(connection* c, std::exception_ptr cause) {
  if (c->state() == session_state::dead) co_return;
  try {
    task<void> undoing = shield(c->rollback());
    co_await std::move(undoing);
  } catch (...) {
    attach_failure(cause, std::current_exception());
  }
}

}  // namespace penstock::db::detail

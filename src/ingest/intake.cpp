#include "intake.h"

#include <utility>

namespace penstock::ingest {
namespace {

db::timestamp current_time() { return std::chrono::floor<std::chrono::microseconds>(scheduler::current().wall_now()); }

}  // namespace

intake::intake(stream_writer& into, kept_results keep)
    : into_(into), rows_(into.queue(), keep.stored), taken_in_(current_time()), ledger_(keep) {}

intake::intake(stream_writer& into, kept_results keep, submission::in_one_batch together)
    : into_(into), rows_(into.queue(), together, keep.stored), taken_in_(current_time()), ledger_(keep) {}

void intake::take(std::string_view text, std::uint64_t line) {
  if (rows_.is_in_vain()) {
    ledger_.wait(line);
    return rows_.add_failed();
  }
  if (std::optional<item_error> wrong = into_.parser().add(text, taken_in_, rows_.rows())) {
    reject(std::move(*wrong), line);
    return;
  }
  ledger_.wait(line);
  rows_.row_added();
}

task<void> intake::make_room() {
  task<void> room = rows_.wait_for_room();
  co_await std::move(room);
  collect();
}

task<void> intake::finish() {
  task<void> committed = rows_.committed();
  co_await std::move(committed);
  collect();
  into_.count(ledger_.counts());
  ledger_.close();
}

void intake::collect() {
  rows_.collect([this](const db::row_outcome& outcome, const db::row_refusal* refusal,
                       const std::exception_ptr* failure) { ledger_.end(outcome, refusal, failure); });
}

}  // namespace penstock::ingest

#include "intake.h"

#include "penstock/core/outcome.h"
#include "penstock/ingest/error.h"

#include <algorithm>
#include <utility>

namespace penstock::ingest {
namespace {

item_error error_of_batch(const std::exception_ptr& failure) {
  const auto* known = detail::exception_as<error>(failure);
  if (known != nullptr && known->is(ingest_errc::outcome_unknown))
    return {code_name(ingest_errc::outcome_unknown), "it is not known whether its batch was committed", {}, {}};
  return {code_name(ingest_errc::commit_failed), "its batch was not committed", {}, {}};
}

}  // namespace

intake::intake(stream_writer& into, kept_results keep)
    : into_(into),
      kept_(keep),
      rows_(into.queue()),
      taken_in_(std::chrono::floor<std::chrono::microseconds>(scheduler::current().wall_now())) {}

void intake::take(std::string_view text, std::uint64_t line) {
  if (std::optional<item_error> wrong = into_.parser().add(text, taken_in_, rows_.rows())) {
    reject(std::move(*wrong), line);
    return;
  }
  waiting_.push_back({next_index_++, line});
  rows_.row_added();
}

void intake::reject(item_error why, std::uint64_t line) {
  ++counts_.rejected;
  std::uint64_t index = next_index_++;
  if (keep(item_status::rejected)) results_.push_back({index, line, item_status::rejected, 0, std::move(why)});
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
  into_.count(counts_);
  std::sort(results_.begin(), results_.end(),
            [](const item_result& a, const item_result& b) { return a.index < b.index; });
}

void intake::collect() {
  rows_.collect(
      [this](const db::row_outcome& outcome, const db::row_refusal* refusal, const std::exception_ptr* failure) {
        ended(waiting_[first_waiting_++], outcome, refusal, failure);
      });
  if (first_waiting_ < waiting_.size() / 2) return;
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(first_waiting_));
  first_waiting_ = 0;
}

void intake::ended(const waiting_item& item, const db::row_outcome& outcome, const db::row_refusal* refusal,
                   const std::exception_ptr* failure) {
  item_result result{item.index, item.line, item_status::stored, 0, {}};
  if (failure != nullptr) {
    if (!failure_) failure_ = *failure;
    ++counts_.failed;
    result.status = item_status::failed;
  } else if (refusal != nullptr) {
    ++counts_.rejected;
    result.status = item_status::rejected;
  } else if (outcome.what == db::row_outcome::status::duplicate) {
    ++counts_.duplicates;
    result.status = item_status::duplicate;
  } else {
    ++counts_.stored;
    result.id = outcome.id;
  }
  if (!keep(result.status)) return;
  if (refusal != nullptr) result.error = item_error{refusal->code, refusal->message, {}, {}};
  if (failure != nullptr) result.error = error_of_batch(*failure);
  results_.push_back(std::move(result));
}

bool intake::keep(item_status status) noexcept {
  bool good = status == item_status::stored || status == item_status::duplicate;
  if (good && !kept_.stored) return false;
  std::size_t& kept = good ? kept_good_ : kept_bad_;
  truncated_ = truncated_ || kept == kept_.most;
  return kept < kept_.most && ++kept > 0;
}

}  // namespace penstock::ingest

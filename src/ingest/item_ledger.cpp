#include "item_ledger.h"

#include "penstock/core/outcome.h"
#include "penstock/ingest/error.h"

#include <algorithm>

namespace penstock::ingest {
namespace {

constexpr std::uint64_t most_items_with_a_bit = 65'536;

bool is_unknown(const std::exception_ptr& failure) {
  const auto* known = detail::exception_as<error>(failure);
  return known != nullptr && known->is(ingest_errc::outcome_unknown);
}

item_error error_of_batch(bool unknown) {
  if (unknown)
    return {code_name(ingest_errc::outcome_unknown), "it is not known whether its batch was committed", {}, {}};
  return {code_name(ingest_errc::commit_failed), "its batch was not committed", {}, {}};
}

}  // namespace

void item_ledger::reject(item_error why, std::uint64_t line) {
  ++counts_.rejected;
  std::uint64_t index = next_index_++;
  std::size_t text_bytes = why.message.size() + why.pointer.size();
  if (keep(item_status::rejected, text_bytes))
    results_.push_back({index, line, item_status::rejected, 0, std::move(why)});
  else
    note_unnamed(index);
}

void item_ledger::end(const db::row_outcome& outcome, const db::row_refusal* refusal,
                      const std::exception_ptr* failure) {
  waiting_item item = take_oldest();
  item_status status = item_status::stored;
  if (failure != nullptr) {
    fail(*failure);
    status = item_status::failed;
  } else if (refusal != nullptr) {
    ++counts_.rejected;
    status = item_status::rejected;
  } else if (outcome.what == db::row_outcome::status::duplicate) {
    ++counts_.duplicates;
    status = item_status::duplicate;
  } else {
    ++counts_.stored;
  }
  if (!keep(status, refusal == nullptr ? 0 : refusal->message.size())) {
    if (status == item_status::rejected) note_unnamed(item.index);
    return;
  }
  item_result result{item.index, item.line, status, status == item_status::stored ? outcome.id : 0, {}};
  if (refusal != nullptr) result.error = item_error{refusal->code, refusal->message, {}, {}};
  if (failure != nullptr) result.error = error_of_batch(last_is_unknown_);
  results_.push_back(std::move(result));
}

// A batch's failure is looked into once, not for each of its items.
void item_ledger::fail(const std::exception_ptr& failure) {
  if (failure != last_failure_) {
    last_failure_ = failure;
    last_is_unknown_ = is_unknown(failure);
    if (!failure_ || (last_is_unknown_ && unknown_ == 0)) failure_ = failure;
  }
  ++counts_.failed;
  if (last_is_unknown_) ++unknown_;
}

void item_ledger::end_all(const db::batch_report& report, std::size_t first) {
  for (std::size_t row = first; anything_waits(); ++row) {
    const db::row_outcome& outcome = report.rows[row];
    end(outcome, outcome.refusal < 0 ? nullptr : &report.refusals[static_cast<std::size_t>(outcome.refusal)], nullptr);
  }
}

void item_ledger::fail_all(const std::exception_ptr& failure) {
  while (anything_waits()) end({}, nullptr, &failure);
}

void item_ledger::close() {
  std::sort(results_.begin(), results_.end(),
            [](const item_result& a, const item_result& b) { return a.index < b.index; });
}

// What has ended is dropped once it is half of all: an item costs no more than a copy or two.
item_ledger::waiting_item item_ledger::take_oldest() {
  waiting_item oldest = waiting_[first_waiting_++];
  if (first_waiting_ >= 64 && first_waiting_ >= waiting_.size() / 2) {
    waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(first_waiting_));
    first_waiting_ = 0;
  }
  return oldest;
}

void item_ledger::note_unnamed(std::uint64_t index) {
  if (index >= most_items_with_a_bit) return;
  if (index >= unnamed_.size()) unnamed_.resize(index + 1);
  unnamed_[index] = true;
}

bool item_ledger::keep(item_status status, std::size_t text_bytes) noexcept {
  bool good = status == item_status::stored || status == item_status::duplicate;
  if (good && !kept_.stored) return false;
  kept_kind& kept = good ? kept_good_ : kept_bad_;
  std::size_t bytes = sizeof(item_result) + text_bytes;
  if (!kept.is_full) {
    bool fits = kept.results < kept_.most && kept.bytes + bytes <= kept_.most_bytes && share_.take(bytes);
    kept.is_full = !fits && kept.results > 0;
  }
  if (kept.is_full) {
    truncated_ = true;
    return false;
  }
  ++kept.results;
  kept.bytes += bytes;
  return true;
}

}  // namespace penstock::ingest

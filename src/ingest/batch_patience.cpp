#include "batch_committer.h"
#include "batch_parts.h"

#include <algorithm>
#include <chrono>
#include <utility>

// How much time attempts have, and what is learnt of it.

namespace penstock::ingest {
namespace {

// While something takes long, attempts have at least so much time, and some times the usual: parts of a batch, which
// may not use up the time of its division, and all others.
constexpr auto least_time_of_a_part = std::chrono::milliseconds(250);
constexpr auto most_time_of_a_part = std::chrono::seconds(1);
constexpr auto least_time = std::chrono::seconds(1);
constexpr int usual_times = 8;
// A division has time for some parts, where single rows usually take long too.
constexpr int parts_of_a_division = 4;
constexpr auto least_time_of_a_division = std::chrono::seconds(5);
constexpr auto suspicion_lasts = std::chrono::minutes(1);

}  // namespace

// Answers that were kept, and rows that are refused, say nothing of what the table takes; nor do waits for a session,
// or attempts that failed, though a table that stood still may account for them.
void batch_committer::learn(const batch& b, time_point begun, std::optional<duration> took) {
  bool went_in = !b.report.method.empty() &&
                 std::any_of(b.report.rows.begin(), b.report.rows.end(),
                             [](const auto& row) { return row.what != db::row_outcome::status::refused; });
  if (!went_in) return;
  stored_at_ = scheduler::current().now();
  if (took) usual_.committed(b.rows.rows(), *took);
  bool was_quick = *stored_at_ - begun < least_time;
  std::optional<suspicion> slow = std::exchange(may_be_slow_row_, std::nullopt);
  if (slow && was_quick && *stored_at_ - slow->failed < suspicion_lasts) of_rows_.found(slow->begun);
}

// A database that was as slow with all others is to have its time.
void batch_committer::note_slowness(time_point since) {
  time_point now = scheduler::current().now();
  bool goes_on = may_be_slow_row_ && since - may_be_slow_row_->failed < suspicion_lasts;
  time_point first = goes_on ? may_be_slow_row_->begun : since;
  bool others_went_in = stored_at_ && *stored_at_ > since;
  if (others_went_in)
    of_rows_.found(first);
  else
    may_be_slow_row_ = {first, now};
}

duration batch_committer::time_of_part(std::size_t rows) const {
  duration usual = usual_.at_least(rows);
  return std::clamp<duration>(usual_times / 2 * usual, least_time_of_a_part,
                              std::max<duration>(most_time_of_a_part, 2 * usual));
}

duration batch_committer::time_of_division(const coalescer_options& limits) const {
  return std::clamp<duration>(parts_of_a_division * time_of_part(1), least_time_of_a_division,
                              std::max<duration>(least_time_of_a_division, limits.attempt_timeout));
}

// What a shorter limit ended may have needed little more.
bool batch_committer::used_all_time(const std::exception_ptr& failure, const attempt_limits& limits) {
  return takes_too_long(failure) && limits.writing >= limits.of_batch.attempt_timeout;
}

// As long as something takes long.
batch_committer::attempt_limits batch_committer::limits_of(const batch& b, const coalescer_options& limits,
                                                           duration lock_wait) const {
  duration time = std::max<duration>(least_time, usual_times * usual_.at_most(b.rows.rows()));
  duration short_time = std::min(limits.attempt_timeout, time + (marked_ ? lock_wait : duration::zero()));
  return {limits, lock_wait, short_time, short_time, false, nullptr};
}

}  // namespace penstock::ingest

// Once an attempt may have been carried out, the batch never counts as "not stored" any more, whatever comes after it.

#include "app/load/delivery.h"

#include <algorithm>
#include <utility>

namespace penstock::app::load {
namespace {

enum class kind { carried_out, unclear, refused_for_now, ambiguous, refused };

// What stands in between has statuses of its own, such as 524; one that is not known is as 500 or as 200 (RFC 9110,
// 15). Of the latter kind none is penstock's, which tells of each item, nor will the next one be.
kind kind_of_unknown(int status) noexcept {
  if (status / 100 == 2) return kind::unclear;
  return status >= 500 ? kind::ambiguous : kind::refused;
}

kind kind_of(const attempt& a) noexcept {
  if (a.how == attempt::end::not_sent) return kind::refused_for_now;
  if (a.how == attempt::end::lost || a.maybe_stored) return kind::ambiguous;
  switch (a.status) {
    case 200:
      return kind::carried_out;
    case 429:
    case 503:
      return kind::refused_for_now;
    case 408:
      return kind::ambiguous;
    case 501:  // said before a request is carried out, as is the next
    case 505:
    case 511:  // by a network that lets nobody through as yet
      return kind::refused;
    default:
      return kind_of_unknown(a.status);
  }
}

}  // namespace

decision delivery::after(const attempt& last, time_point now, std::uint64_t random) noexcept {
  kind what = kind_of(last);
  if (what == kind::carried_out) return {decision::step::done, {}};
  maybe_stored_ = maybe_stored_ || what == kind::ambiguous || what == kind::unclear;
  if (what != kind::refused && what != kind::unclear) {
    if (std::optional<duration> wait = next_wait(last, now, random)) return {decision::step::retry, *wait};
  }
  return {maybe_stored_ ? decision::step::unknown : decision::step::give_up, {}};
}

std::optional<duration> delivery::next_wait(const attempt& last, time_point now, std::uint64_t random) noexcept {
  if (!first_failure_) first_failure_ = now;
  duration left = *first_failure_ + options_.retry_for - now;
  if (options_.max_retries && retries_ >= *options_.max_retries) return std::nullopt;
  bool waited_in_vain = last.how == attempt::end::lost && options_.retry_for > duration::zero();
  if (left <= duration::zero() && waited_in_vain && !std::exchange(asked_late_, true)) left = options_.first_wait;
  if (left <= duration::zero()) return std::nullopt;
  if (last.retry_after && *last.retry_after > left) return std::nullopt;
  constexpr std::uint64_t most_doublings = 20;
  duration longest = std::min(options_.longest_wait, options_.first_wait * (1 << std::min(retries_, most_doublings)));
  duration shortest = longest / 2;
  duration wait = shortest + duration(random % static_cast<std::uint64_t>(shortest.count() + 1));
  ++retries_;
  return std::max(std::min(wait, left), last.retry_after.value_or(duration::zero()));
}

}  // namespace penstock::app::load

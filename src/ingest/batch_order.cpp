#include "penstock/async/timeout.h"
#include "penstock/ingest/coalescer.h"
#include "penstock/ingest/error.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <utility>

// Which batch goes next, what of it has to wait for earlier rows, and what of those that wait fails untried.

namespace penstock::ingest {
namespace {

// How long a batch waits for earlier rows of some of its submissions before it goes without these. Setting them apart
// copies rows, so it is longer than commits usually take.
constexpr auto longest_wait_for_earlier = std::chrono::seconds(1);

// Of a request that goes on for long, what comes later is tried again.
constexpr auto what_is_at_hand_comes_within = std::chrono::seconds(1);

task<void> until_done(batch_ref b) { co_await b->done.wait(); }

// False when it takes too long.
task<bool> is_done_in_time(batch_ref b) {
  try {
    task<void> waiting = with_timeout(longest_wait_for_earlier, until_done(std::move(b)));
    co_await std::move(waiting);
  } catch (const timed_out&) {
    co_return false;
  }
  co_return true;
}

}  // namespace

batch_ref coalescer::earlier_than_next() const noexcept {
  if (!has_work()) return {};
  const batch& next = sealed_.empty() ? *open_ : *sealed_.front();
  for (const batch_ref& earlier : next.after) {
    if (!earlier->done.is_set()) return earlier;
  }
  return {};
}

// Who is to stop gives nothing another turn, and what is set apart could end unstored.
task<void> coalescer::wait_for_earlier() {
  for (batch_ref earlier = earlier_than_next(); earlier; earlier = earlier_than_next()) {
    task<bool> waiting = is_done_in_time(earlier);
    bool is_done = co_await std::move(waiting);
    if (!is_done && !tries_once_more_ && has_work() && others_wait()) co_return;
  }
}

// Beside the submissions for whose earlier rows the next batch waits.
bool coalescer::others_wait() const {
  const batch& next = sealed_.empty() ? *open_ : *sealed_.front();
  std::set<std::uint64_t> held_up;
  for (const batch_ref& earlier : next.after)
    if (!earlier->done.is_set())
      for (const batch_share& s : earlier->shares) held_up.insert(s.of);
  auto has_others = [&](const batch& b) {
    return std::any_of(b.shares.begin(), b.shares.end(), [&](const auto& s) { return !held_up.contains(s.of); });
  };
  return (open_ && has_others(*open_)) ||
         std::any_of(sealed_.begin(), sealed_.end(), [&](const batch_ref& b) { return has_others(*b); });
}

batch_ref coalescer::take_next() {
  if (sealed_.empty()) seal();
  batch_ref next = std::move(sealed_.front());
  sealed_.pop_front();
  set_followers_apart(*next);
  next->after.clear();
  if (!has_work() && !stopping_) has_rows_.clear();
  return next;
}

// Rows whose submission has earlier ones that are under way, or to be tried again; they count as tried where those
// were.
void coalescer::set_followers_apart(batch& b) {
  std::map<std::uint64_t, rows_set_apart> waiting;
  for (const batch_ref& earlier : b.after)
    for (const batch_share& s : earlier->shares) {
      const rows_set_apart* apart = find_apart(*earlier, s.first, s.first + s.count);
      if (!earlier->done.is_set())
        waiting.emplace(s.of, rows_set_apart{0, 0, {}, false, true});
      else if (apart != nullptr && apart->failure == nullptr)
        waiting.emplace(s.of, *apart);
    }
  if (waiting.empty()) return;
  for (const batch_share& s : b.shares)
    if (auto found = waiting.find(s.of); found != waiting.end()) {
      rows_set_apart followers = found->second;
      followers.first = s.first;
      followers.count = s.count;
      b.apart.push_back(std::move(followers));
    }
}

void coalescer::fail_waiting_since(time_point before, const std::exception_ptr& why) {
  in_vain_ = new_batch();
  in_vain_->failure = why;
  in_vain_->done.set();
  last_in_vain_ = last_submission_;
  in_vain_until_ = scheduler::current().now() + what_is_at_hand_comes_within;
  auto is_old = [&](const batch& b) { return b.opened < before; };
  if (open_ && !open_->rows.empty() && is_old(*open_)) close_open_batch();
  while (!sealed_.empty() && is_old(*sealed_.front())) {
    batch_ref old = std::move(sealed_.front());
    sealed_.pop_front();
    // What follows it, and does not fail with it, follows what it followed.
    std::vector<batch_ref> before_it = std::exchange(old->after, {});
    auto hand_on = [&](batch& later) {
      if (std::find(later.after.begin(), later.after.end(), old) == later.after.end()) return;
      for (const batch_ref& earlier : before_it) go_behind(later, earlier);
    };
    for (const batch_ref& later : sealed_) hand_on(*later);
    if (open_) hand_on(*open_);
    ++committing_;
    finish(*old, why);
  }
  if (!has_work() && !stopping_) has_rows_.clear();
}

void coalescer::fail_waiting() noexcept {
  while (has_work()) {
    batch_ref next = take_next();
    ++committing_;
    finish(*next, std::make_exception_ptr(error(ingest_errc::closed, "closed before these items were committed")));
  }
}

}  // namespace penstock::ingest

#include "memory_room.h"

#include "penstock/async/error.h"
#include "penstock/async/timeout.h"

#include <chrono>

namespace penstock::ingest {
namespace {

// A long item is here within that, save over the slowest of links; and such a one gives way only where others need it.
constexpr duration idle_after = std::chrono::seconds(10);

constexpr std::size_t most_share_uncounted = 4;  // a quarter

task<void> until_set(event& e) { co_await e.wait(); }

}  // namespace

bool memory_share::hold(std::size_t bytes) noexcept {
  std::size_t of_others = room_.taken_ - taken_;
  if (counted(bytes) > taken_ && of_others > 0 && of_others + bytes > room_.most_) return false;
  hold_anyway(bytes);
  return true;
}

void memory_share::hold_anyway(std::size_t bytes) noexcept {
  const std::size_t before = taken_;
  taken_ = counted(bytes);
  if (taken_ == before) return;
  room_.taken_ -= before;
  room_.taken_ += taken_;
  if (before == 0) got_on_ = scheduler::current().now();
  if (before == 0) room_.holders_.push_back(*this);
  if (taken_ == 0) unlink();
  if (taken_ < before) room_.given_back_.set();
}

task<bool> memory_share::wait_for_room(duration patience, std::size_t bytes) {
  const scheduler& clock = scheduler::current();
  const time_point last_try = clock.now() + patience;
  while (!hold(bytes)) {
    const time_point now = clock.now();
    if (now >= last_try) co_return false;
    room_.revoke_idle(bytes - taken_, now);
    room_.given_back_.clear();
    try {
      task<void> waiting = with_timeout(last_try - now, until_set(room_.given_back_));
      co_await std::move(waiting);
    } catch (const timed_out&) {
      co_return hold(bytes);
    }
  }
  co_return true;
}

task<bool> memory_share::wait_with_bytes(duration patience, std::size_t bytes) {
  struct uncounted {
    uncounted(std::size_t& of, std::size_t bytes) noexcept : all(of), own(bytes) { all += own; }
    uncounted(const uncounted&) = delete;
    uncounted& operator=(const uncounted&) = delete;
    ~uncounted() { all -= own; }
    std::size_t& all;
    std::size_t own;
  };
  if (hold(bytes)) co_return true;
  const std::size_t own = bytes - taken_;
  if (room_.uncounted_ > 0 && room_.uncounted_ + own > room_.most_ / most_share_uncounted) co_return false;
  uncounted here(room_.uncounted_, own);
  task<bool> waiting = wait_for_room(patience, bytes);
  co_return co_await std::move(waiting);
}

void memory_share::get_on() noexcept {
  if (taken_ == 0) return;
  got_on_ = scheduler::current().now();
  unlink();
  room_.holders_.push_back(*this);
}

// What was revoked before is on its way back.
void memory_room::revoke_idle(std::size_t wanted_bytes, time_point now) noexcept {
  std::size_t coming = 0;
  holders_.for_each([&](const memory_share& s) { coming += s.was_revoked_ ? s.taken_ : 0; });
  holders_.for_each([&](memory_share& s) {
    bool is_idle = s.waiting_ != nullptr && now - s.got_on_ >= idle_after;
    if (!is_idle || s.was_revoked_ || coming >= wanted_bytes) return;
    s.was_revoked_ = true;
    coming += s.taken_;
    s.waiting_->cancel("others need the memory");
  });
}

}  // namespace penstock::ingest

#include "penstock/async/semaphore.h"

#include "penstock/async/error.h"

#include <string>

// Invariants: available_ + permits held + permits granted but not yet picked up = capacity_. While anyone waits, the
// first waiter wants more than is available.

namespace penstock {

bool semaphore::take(std::size_t count) noexcept {
  if (!waiters_.empty() || available_ < count) return false;
  available_ -= count;
  return true;
}

std::optional<semaphore::permit> semaphore::try_acquire(std::size_t count) noexcept {
  if (!take(count)) return std::nullopt;
  return permit(*this, count);
}

void semaphore::release(std::size_t count) noexcept {
  available_ += count;
  grant();
}

void semaphore::grant() noexcept {
  while (!waiters_.empty() && waiters_.front().count_ <= available_) {
    acquire_awaiter& first = waiters_.pop_front();
    --waiting_;
    available_ -= first.count_;
    first.granted_ = true;
    first.wake();
  }
}

semaphore::acquire_awaiter::~acquire_awaiter() {
  if (granted_) owner_.release(count_);
  if (!waiter_hook::linked()) return;
  waiter_hook::unlink();
  --owner_.waiting_;
  owner_.grant();
}

bool semaphore::acquire_awaiter::await_ready() noexcept {
  if (check_cancelled() || count_ > owner_.capacity_) return true;
  granted_ = owner_.take(count_);
  return granted_;
}

void semaphore::acquire_awaiter::enqueue() noexcept {
  owner_.waiters_.push_back(*this);
  ++owner_.waiting_;
}

void semaphore::acquire_awaiter::cancel() noexcept {
  waiter_hook::unlink();
  --owner_.waiting_;
  wake_cancelled();
  owner_.grant();
}

semaphore::permit semaphore::acquire_awaiter::await_resume() {
  throw_if_cancelled();
  if (!granted_)
    throw error(async_errc::semaphore_capacity, "asked for " + std::to_string(count_) + " permits of a semaphore of " +
                                                    std::to_string(owner_.capacity_));
  granted_ = false;
  return permit(owner_, count_);
}

}  // namespace penstock

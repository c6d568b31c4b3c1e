#pragma once

// Bounded concurrency: at most so many at a time.
//
//   semaphore ten(10);
//   auto permit = co_await ten.acquire();

#include "penstock/async/detail/list.h"
#include "penstock/async/suspension.h"

#include <cstddef>
#include <optional>
#include <utility>

namespace penstock {

/// A counting semaphore, strictly first come first served: a waiter for many permits is not overtaken by later
/// ones for few. On one thread; it outlives its waiters and permits.
class semaphore {
 public:
  class permit;
  class acquire_awaiter;

  /// A semaphore of `capacity` permits, all free.
  explicit semaphore(std::size_t capacity) noexcept : capacity_(capacity), available_(capacity) {}
  semaphore(const semaphore&) = delete;
  semaphore& operator=(const semaphore&) = delete;

  /// Awaits `count` permits; they are free again when the result is destroyed. Cancellable: a cancelled waiter
  /// leaves the queue and holds nothing. Throws `async_errc::semaphore_capacity` for more than the capacity.
  acquire_awaiter acquire(std::size_t count = 1);
  /// Takes `count` permits when that many are free and nobody waits.
  std::optional<permit> try_acquire(std::size_t count = 1) noexcept;

  std::size_t capacity() const noexcept { return capacity_; }
  std::size_t available() const noexcept { return available_; }
  std::size_t waiting() const noexcept { return waiting_; }

 private:
  bool take(std::size_t count) noexcept;
  void release(std::size_t count) noexcept;
  void grant() noexcept;

  std::size_t capacity_;
  std::size_t available_;
  std::size_t waiting_ = 0;
  struct waiter_hook : detail::list_hook {};
  detail::list<acquire_awaiter, waiter_hook> waiters_;
};

/// Permits held; given back on destruction. Move-only.
class [[nodiscard]] semaphore::permit {
 public:
  permit() noexcept = default;
  permit(permit&& other) noexcept
      : owner_(std::exchange(other.owner_, nullptr)), count_(std::exchange(other.count_, 0)) {}
  permit& operator=(permit&& other) noexcept {
    if (this != &other) {
      release();
      owner_ = std::exchange(other.owner_, nullptr);
      count_ = std::exchange(other.count_, 0);
    }
    return *this;
  }
  ~permit() { release(); }

  /// How many permits this holds.
  std::size_t count() const noexcept { return count_; }
  /// Gives the permits back now.
  void release() noexcept {
    if (owner_ != nullptr) std::exchange(owner_, nullptr)->release(std::exchange(count_, 0));
  }

 private:
  friend class semaphore;
  permit(semaphore& owner, std::size_t count) noexcept : owner_(&owner), count_(count) {}

  semaphore* owner_ = nullptr;
  std::size_t count_ = 0;
};

/// Awaitable of `semaphore::acquire`.
class [[nodiscard]] semaphore::acquire_awaiter : public suspension, private semaphore::waiter_hook {
 public:
  acquire_awaiter(semaphore& owner, std::size_t count) noexcept : owner_(owner), count_(count) {}
  ~acquire_awaiter();

  bool await_ready() noexcept;
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> task) noexcept {
    suspend(task.promise());
    enqueue();
  }
  permit await_resume();
  std::string_view waiting_for() const noexcept override { return "a semaphore"; }

 private:
  friend class semaphore;
  friend class detail::list<acquire_awaiter, waiter_hook>;
  void enqueue() noexcept;
  void cancel() noexcept override;

  semaphore& owner_;
  std::size_t count_;
  bool granted_ = false;
};

inline semaphore::acquire_awaiter semaphore::acquire(std::size_t count) { return {*this, count}; }

}  // namespace penstock

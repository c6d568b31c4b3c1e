#pragma once

// A number that one thread alone changes, without a locked instruction, and any may read, as one that renders metrics.

#include <atomic>
#include <cstddef>

namespace penstock::metrics::detail {

class owned_count {
 public:
  operator std::size_t() const noexcept { return number_.load(std::memory_order_relaxed); }
  owned_count& operator+=(std::size_t n) noexcept { return set(*this + n); }
  owned_count& operator-=(std::size_t n) noexcept { return set(*this - n); }
  owned_count& operator++() noexcept { return *this += 1; }
  owned_count& operator--() noexcept { return *this -= 1; }

 private:
  owned_count& set(std::size_t number) noexcept {
    number_.store(number, std::memory_order_relaxed);
    return *this;
  }

  std::atomic<std::size_t> number_ = 0;
};

}  // namespace penstock::metrics::detail

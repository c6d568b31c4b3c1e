#pragma once

// The numbers behind metric handles. Invariant: a cell of an owned slot is written by the one thread that owns the
// slot, so writing needs no locked instruction; threads that came too late for a slot share the last one and use
// atomic additions. Readers sum all cells; a sum may miss additions under way and never loses one.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace penstock::metrics::detail {

inline constexpr std::size_t owned_slots = 7;
inline constexpr std::size_t shared_slot = owned_slots;
inline constexpr std::size_t slot_count = owned_slots + 1;
inline constexpr std::size_t cache_line = 64;
inline constexpr std::size_t no_slot = ~std::size_t{0};

extern constinit thread_local std::size_t this_thread_slot;
// Gives the thread a slot until it ends: its own, or the shared one when all are taken.
std::size_t claim_slot() noexcept;

inline std::size_t slot() noexcept {
  std::size_t mine = this_thread_slot;
  return mine != no_slot ? mine : claim_slot();
}

template <class Number>
void add_to(std::atomic<Number>& cell, Number n, std::size_t slot) noexcept {
  if (slot != shared_slot) [[likely]]
    cell.store(cell.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  else
    cell.fetch_add(n, std::memory_order_relaxed);
}

class counter_cells {
 public:
  void add(std::uint64_t n) noexcept {
    std::size_t mine = slot();
    add_to(cells_[mine].value, n, mine);
  }
  std::uint64_t sum() const noexcept {
    std::uint64_t all = 0;
    for (const padded& cell : cells_) all += cell.value.load(std::memory_order_relaxed);
    return all;
  }

 private:
  struct alignas(cache_line) padded {
    std::atomic<std::uint64_t> value = 0;
  };
  std::array<padded, slot_count> cells_;
};

class histogram_cells {
 public:
  explicit histogram_cells(std::span<const double> upper_bounds);

  void observe(double value) noexcept {
    std::size_t bucket = 0;
    while (bucket < bounds_.size() && !(value <= bounds_[bucket])) ++bucket;
    std::size_t mine = slot();
    add_to(counts_[mine * stride_ + bucket], std::uint64_t{1}, mine);
    add_to(sums_[mine].value, value, mine);
  }

  struct reading {
    std::vector<std::uint64_t> buckets;  // one more than bounds; not cumulative
    std::uint64_t count = 0;
    double sum = 0;
  };
  reading read() const;
  std::span<const double> bounds() const noexcept { return bounds_; }

 private:
  struct alignas(cache_line) padded_sum {
    std::atomic<double> value = 0;
  };
  std::vector<double> bounds_;
  std::size_t stride_;
  std::unique_ptr<std::atomic<std::uint64_t>[]> counts_;
  std::array<padded_sum, slot_count> sums_;
};

}  // namespace penstock::metrics::detail

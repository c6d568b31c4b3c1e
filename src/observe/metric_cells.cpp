#include "penstock/observe/detail/cells.h"

#include <mutex>

namespace penstock::metrics::detail {

constinit thread_local std::size_t this_thread_slot = no_slot;

namespace {

// Which slots are taken. The lock also orders a slot's last writes before those of its next owner.
struct slot_table {
  std::mutex mutex;
  std::array<bool, owned_slots> taken{};
};

slot_table& slots() {
  static slot_table* table = new slot_table;  // Threads may end after static objects are destroyed.
  return *table;
}

struct slot_lease {
  std::size_t slot = shared_slot;
  ~slot_lease() {
    // Destructors of other thread-locals may still count.
    this_thread_slot = shared_slot;
    if (slot == shared_slot) return;
    std::lock_guard lock(slots().mutex);
    slots().taken[slot] = false;
  }
};

}  // namespace

std::size_t claim_slot() noexcept {
  thread_local slot_lease lease;
  {
    std::lock_guard lock(slots().mutex);
    for (std::size_t i = 0; i < owned_slots && lease.slot == shared_slot; ++i) {
      if (slots().taken[i]) continue;
      slots().taken[i] = true;
      lease.slot = i;
    }
  }
  return this_thread_slot = lease.slot;
}

histogram_cells::histogram_cells(std::span<const double> upper_bounds)
    : bounds_(upper_bounds.begin(), upper_bounds.end()) {
  constexpr std::size_t per_line = cache_line / sizeof(std::uint64_t);
  stride_ = (bounds_.size() + 1 + per_line - 1) / per_line * per_line;
  counts_ = std::make_unique<std::atomic<std::uint64_t>[]>(stride_ * slot_count);
}

histogram_cells::reading histogram_cells::read() const {
  reading all;
  all.buckets.resize(bounds_.size() + 1);
  for (std::size_t s = 0; s < slot_count; ++s) {
    for (std::size_t b = 0; b < all.buckets.size(); ++b)
      all.buckets[b] += counts_[s * stride_ + b].load(std::memory_order_relaxed);
    all.sum += sums_[s].value.load(std::memory_order_relaxed);
  }
  for (std::uint64_t n : all.buckets) all.count += n;
  return all;
}

}  // namespace penstock::metrics::detail

#pragma once

// A first-in first-out queue in one block of memory, which grows to what was needed at most and is then reused: in
// steady state it allocates nothing.

#include <cstddef>
#include <memory>
#include <utility>

namespace penstock::detail {

template <class T>
class ring {
 public:
  ring() noexcept = default;
  ring(const ring&) = delete;
  ring& operator=(const ring&) = delete;
  ~ring() {
    while (!empty()) drop_front();
    if (slots_ != nullptr) std::allocator<T>().deallocate(slots_, slot_count_);
  }

  bool empty() const noexcept { return size_ == 0; }
  std::size_t size() const noexcept { return size_; }
  void push_back(T&& value) {
    if (size_ == slot_count_) grow();
    std::construct_at(slot(size_), std::move(value));
    ++size_;
  }
  T pop_front() {
    T value(std::move(*slot(0)));
    drop_front();
    return value;
  }

 private:
  T* slot(std::size_t place) noexcept { return slots_ + ((first_ + place) & (slot_count_ - 1)); }
  void drop_front() noexcept {
    std::destroy_at(slot(0));
    first_ = (first_ + 1) & (slot_count_ - 1);
    --size_;
  }
  void grow() {
    ring larger;
    larger.slot_count_ = slot_count_ < 4 ? 8 : 2 * slot_count_;
    larger.slots_ = std::allocator<T>().allocate(larger.slot_count_);
    while (!empty()) larger.push_back(pop_front());
    std::swap(slots_, larger.slots_);
    std::swap(slot_count_, larger.slot_count_);
    std::swap(size_, larger.size_);
    first_ = 0;
    larger.first_ = 0;
  }

  T* slots_ = nullptr;
  std::size_t slot_count_ = 0;  // zero or a power of two
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

}  // namespace penstock::detail

#pragma once

// What the requests under way hold together of one kind of memory, so that however many they are, it has a bound. Each
// may hold a little whatever the others have; one that is alone may hold all it needs, however small the bound is.

#include "penstock/observe/detail/owned_count.h"

#include <cstddef>

namespace penstock::ingest {

class memory_room {
 public:
  explicit memory_room(std::size_t most_bytes) noexcept : most_(most_bytes) {}
  memory_room(const memory_room&) = delete;
  memory_room& operator=(const memory_room&) = delete;

  bool is_full() const noexcept { return taken_ >= most_; }
  std::size_t taken_bytes() const noexcept { return taken_; }

 private:
  friend class memory_share;
  std::size_t most_;
  metrics::detail::owned_count taken_;
};

// One request's part of it, given back when it is gone. The room outlives it.
class memory_share {
 public:
  static constexpr std::size_t few_bytes = std::size_t{16} << 10;

  explicit memory_share(memory_room& of) noexcept : room_(of) {}
  memory_share(const memory_share&) = delete;
  memory_share& operator=(const memory_share&) = delete;
  ~memory_share() { room_.taken_ -= taken_; }

  // Holds so many bytes in place of those it held. False where these are more and there is no room: then it holds
  // what it held.
  bool hold(std::size_t bytes) noexcept {
    std::size_t of_others = room_.taken_ - taken_;
    if (counted(bytes) > taken_ && of_others > 0 && of_others + bytes > room_.most_) return false;
    hold_anyway(bytes);
    return true;
  }
  void hold_anyway(std::size_t bytes) noexcept {
    room_.taken_ -= taken_;
    taken_ = counted(bytes);
    room_.taken_ += taken_;
  }

 private:
  static constexpr std::size_t counted(std::size_t bytes) noexcept { return bytes > few_bytes ? bytes : 0; }

  memory_room& room_;
  std::size_t taken_ = 0;
};

}  // namespace penstock::ingest

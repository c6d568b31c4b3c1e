#pragma once

// What the kept results of all requests of a stream may take together, so that however many requests hold many results
// at a time, memory has a bound. Each may keep a few whatever the others have, and keeps no more while answers that are
// made already fill theirs.

#include "memory_room.h"

#include <cstddef>
#include <utility>

namespace penstock::ingest {

struct result_room {
  std::size_t most_bytes;
  std::size_t taken_bytes = 0;
};

// One request's part of it, given back when it is gone. A copy has no room and no bound: it is for a moment.
class result_share {
 public:
  // Without a room there is no bound; both outlive the share.
  explicit result_share(result_room* of, const memory_room* answers = nullptr) noexcept
      : room_(of), answers_(answers) {}
  result_share(const result_share& other) noexcept : bytes_(other.bytes_) {}
  result_share(result_share&& other) noexcept
      : room_(std::exchange(other.room_, nullptr)),
        answers_(other.answers_),
        bytes_(std::exchange(other.bytes_, 0)),
        taken_(std::exchange(other.taken_, 0)) {}
  result_share& operator=(result_share other) noexcept {
    std::swap(room_, other.room_);
    std::swap(answers_, other.answers_);
    std::swap(bytes_, other.bytes_);
    std::swap(taken_, other.taken_);
    return *this;
  }
  ~result_share() {
    if (room_ != nullptr) room_->taken_bytes -= taken_;
  }

  // False when there is no more room.
  bool take(std::size_t bytes) noexcept {
    if (room_ != nullptr && bytes_ + bytes > few_bytes) {
      if (room_->taken_bytes + bytes > room_->most_bytes || (answers_ != nullptr && answers_->is_full())) return false;
      room_->taken_bytes += bytes;
      taken_ += bytes;
    }
    bytes_ += bytes;
    return true;
  }
  // What it has, in the room or not.
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  static constexpr std::size_t few_bytes = std::size_t{16} << 10;

  result_room* room_ = nullptr;
  const memory_room* answers_ = nullptr;
  std::size_t bytes_ = 0;
  std::size_t taken_ = 0;  // of the room
};

}  // namespace penstock::ingest

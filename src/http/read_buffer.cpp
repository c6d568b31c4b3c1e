#include "read_buffer.h"

#include <cstring>

namespace penstock::http {

read_buffer::read_buffer(std::size_t bytes) : memory_(std::make_unique_for_overwrite<char[]>(bytes)), size_(bytes) {}

std::span<std::byte> read_buffer::room() {
  if (begin_ == end_) {
    clear();
  } else if (end_ == size_ && begin_ > 0) {
    std::memmove(memory_.get(), memory_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  } else if (end_ == size_) {
    auto larger = std::make_unique_for_overwrite<char[]>(2 * size_);
    std::memcpy(larger.get(), memory_.get(), end_);
    memory_ = std::move(larger);
    size_ *= 2;
  }
  return std::as_writable_bytes(std::span(memory_.get() + end_, size_ - end_));
}

void read_buffer::resize(std::size_t bytes) {
  if (bytes == size_) return;
  memory_ = std::make_unique_for_overwrite<char[]>(bytes);
  size_ = bytes;
  clear();
}

}  // namespace penstock::http

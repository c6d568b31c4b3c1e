#pragma once

// What was read of a connection and not yet taken.

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

namespace penstock::http {

// Invariant: [begin_, end_) is what is there; views of it are valid until the next `room`.
class read_buffer {
 public:
  explicit read_buffer(std::size_t bytes);

  std::string_view data() const noexcept { return {memory_.get() + begin_, end_ - begin_}; }
  bool empty() const noexcept { return begin_ == end_; }
  void take(std::size_t n) noexcept { begin_ += n; }
  void clear() noexcept { begin_ = end_ = 0; }

  // Where the next bytes go: at least one. What is there moves to the front or to a larger memory when it must.
  std::span<std::byte> room();
  void added(std::size_t n) noexcept { end_ += n; }
  // Changes the size of an empty buffer.
  void resize(std::size_t bytes);
  std::size_t size() const noexcept { return size_; }

 private:
  std::unique_ptr<char[]> memory_;
  std::size_t size_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace penstock::http

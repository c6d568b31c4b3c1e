#include "penstock/async/detail/promise.h"

#include <array>
#include <cstddef>
#include <new>
#include <utility>

// Frames are recycled per thread, in classes of 64 bytes. Invariant: a free list holds blocks of exactly its class's
// size, and all lists of a thread together at most `most_kept` bytes. Under a sanitizer every frame is a block of the
// heap, so that use after free is seen.

namespace penstock::detail {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool recycle = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
constexpr bool recycle = false;
#else
constexpr bool recycle = true;
#endif
#else
constexpr bool recycle = true;
#endif

constexpr std::size_t step = 64;
constexpr std::size_t class_count = 64;
constexpr std::size_t most_kept = std::size_t{32} << 20;

struct free_block {
  free_block* next;
};

struct cache {
  std::array<free_block*, class_count> lists{};
  std::size_t kept = 0;
  bool closed = false;

  ~cache() {
    closed = true;
    for (free_block*& first : lists)
      while (first != nullptr) ::operator delete(std::exchange(first, first->next));
  }
};

cache& this_threads_cache() {
  thread_local cache instance;
  return instance;
}

}  // namespace

void* allocate_frame(std::size_t size) {
  std::size_t index = (size - 1) / step;
  if (!recycle || index >= class_count) return ::operator new(size);
  cache& mine = this_threads_cache();
  free_block*& first = mine.lists[index];
  if (first == nullptr) return ::operator new((index + 1) * step);
  mine.kept -= (index + 1) * step;
  return std::exchange(first, first->next);
}

void free_frame(void* frame, std::size_t size) noexcept {
  std::size_t index = (size - 1) / step;
  if (recycle && index < class_count) {
    cache& mine = this_threads_cache();
    if (!mine.closed && mine.kept + (index + 1) * step <= most_kept) {
      mine.lists[index] = new (frame) free_block{mine.lists[index]};
      mine.kept += (index + 1) * step;
      return;
    }
  }
  ::operator delete(frame);
}

}  // namespace penstock::detail

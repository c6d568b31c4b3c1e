#include "penstock/async/detail/promise.h"

#include <array>
#include <cstddef>
#include <new>

// Frames are recycled per thread, in classes of 64 bytes. Invariant: a free list holds blocks of exactly its class's
// size, and at most `most_kept` bytes of them. Under a sanitizer every frame is a block of the heap, so that use after
// free is seen.

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
constexpr std::size_t most_kept = std::size_t{2} << 20;

struct free_block {
  free_block* next;
};

struct free_list {
  free_block* first = nullptr;
  std::size_t kept = 0;
};

struct cache {
  std::array<free_list, class_count> lists;
  bool closed = false;

  ~cache() {
    closed = true;
    for (free_list& list : lists)
      while (list.first != nullptr) {
        free_block* block = list.first;
        list.first = block->next;
        ::operator delete(block);
      }
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
  free_list& list = this_threads_cache().lists[index];
  if (list.first == nullptr) return ::operator new((index + 1) * step);
  free_block* block = list.first;
  list.first = block->next;
  list.kept -= (index + 1) * step;
  return block;
}

void free_frame(void* frame, std::size_t size) noexcept {
  std::size_t index = (size - 1) / step;
  if (recycle && index < class_count) {
    cache& mine = this_threads_cache();
    free_list& list = mine.lists[index];
    if (!mine.closed && list.kept < most_kept) {
      list.first = new (frame) free_block{list.first};
      list.kept += (index + 1) * step;
      return;
    }
  }
  ::operator delete(frame);
}

}  // namespace penstock::detail

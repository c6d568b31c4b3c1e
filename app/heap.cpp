#include "app/heap.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

namespace penstock::app {

#ifdef __GLIBC__

namespace {

constexpr std::uintptr_t huge_page = std::uintptr_t{2} << 20;
constexpr int usual_step = 128 << 10;
constexpr int step = 32 << 20;  // of address space, not of memory: that is taken as it is touched

std::uintptr_t end_of_heap() noexcept { return reinterpret_cast<std::uintptr_t>(sbrk(0)); }

bool is_limited(int resource) noexcept {
  rlimit limit{};
  return getrlimit(resource, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

}  // namespace

// Rules: mallopt(3), madvise(2).
void prepare_heap() noexcept {
  if (is_limited(RLIMIT_AS) || is_limited(RLIMIT_DATA)) return;  // the last step of it could not be used

  mallopt(M_ARENA_MAX, 1);              // other threads' arenas are made of 4 KiB pages
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the largest there is: what is mapped apart is unmapped when it is freed
  mallopt(M_TRIM_THRESHOLD, 2 * step);
  mallopt(M_TOP_PAD, step);
  std::uintptr_t before = end_of_heap();
  std::uintptr_t first = (before + huge_page - 1) / huge_page * huge_page;
  void* volatile block = std::malloc(std::size_t{1} << 20);  // more than there is yet: the heap takes its first step
  std::free(block);
  std::uintptr_t after = end_of_heap();
  if (block == nullptr || after <= first) {  // another malloc, or a limit, to which large steps come too soon
    mallopt(M_TOP_PAD, usual_step);
    return;
  }
  madvise(reinterpret_cast<void*>(first), after - first, MADV_HUGEPAGE);
  // What lies before the first huge page is left out: kept by a block that is never touched.
  constexpr std::uintptr_t overhead = 64;
  auto begin = reinterpret_cast<std::uintptr_t>(block);
  if (begin + overhead < first) block = std::malloc(first - begin - overhead);
}

#else

void prepare_heap() noexcept {}

#endif

}  // namespace penstock::app

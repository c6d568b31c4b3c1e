#pragma once

// Whether this build takes the frames of tasks from those that were used before. Under a sanitizer each one is a block
// of the heap of its own, so that it is noticed when one is used after its end.

namespace penstock {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool frames_are_recycled = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool frames_are_recycled = false;
#else
constexpr bool frames_are_recycled = true;
#endif
#else
constexpr bool frames_are_recycled = true;
#endif

}  // namespace penstock

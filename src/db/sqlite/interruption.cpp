#include "interruption.h"

#include <sqlite3.h>

namespace penstock::db::sqlite {

void interruption::arm() noexcept {
  std::lock_guard lock(mutex_);
  armed_ = true;
  requested_.store(false, std::memory_order_relaxed);
}

void interruption::disarm() noexcept {
  std::lock_guard lock(mutex_);
  armed_ = false;
  requested_.store(false, std::memory_order_relaxed);
}

void interruption::attach(sqlite3* handle) noexcept {
  std::lock_guard lock(mutex_);
  handle_ = handle;
}

void interruption::request() noexcept {
  std::lock_guard lock(mutex_);
  if (!armed_) return;
  requested_.store(true, std::memory_order_relaxed);
  if (handle_ != nullptr) sqlite3_interrupt(handle_);
}

}  // namespace penstock::db::sqlite

#include "insertion_turns.h"

#include "penstock/async/timeout.h"

#include <chrono>
#include <utility>

namespace penstock::db {
namespace {
constexpr auto patience = std::chrono::seconds(1);
}  // namespace

task<semaphore::permit> insertion_turns::take(std::string table) {
  semaphore& of = by_table_.try_emplace(std::move(table), at_a_time_).first->second;
  if (std::optional<semaphore::permit> at_once = of.try_acquire()) co_return std::move(*at_once);
  try {
    task<semaphore::permit> waiting = with_timeout(patience, wait_for(of));
    co_return co_await std::move(waiting);
  } catch (const timed_out&) {
  }
  co_return semaphore::permit();
}

task<semaphore::permit> insertion_turns::wait_for(semaphore& of) {
  auto acquiring = of.acquire();
  co_return co_await std::move(acquiring);
}

}  // namespace penstock::db

#include "insertion_turns.h"

#include "penstock/async/timeout.h"

#include <chrono>
#include <utility>

namespace penstock::db::mariadb {
namespace {
constexpr auto patience = std::chrono::seconds(1);
}  // namespace

task<semaphore::permit> insertion_turns::take(std::string table) {
  semaphore& one = by_table_.try_emplace(std::move(table), 1).first->second;
  if (std::optional<semaphore::permit> at_once = one.try_acquire()) co_return std::move(*at_once);
  try {
    task<semaphore::permit> waiting = with_timeout(patience, wait_for(one));
    co_return co_await std::move(waiting);
  } catch (const timed_out&) {
  }
  co_return semaphore::permit();
}

task<semaphore::permit> insertion_turns::wait_for(semaphore& one) {
  auto acquiring = one.acquire();
  co_return co_await std::move(acquiring);
}

}  // namespace penstock::db::mariadb

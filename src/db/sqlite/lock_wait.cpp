#include "lock_wait.h"

#include "penstock/async/scheduler.h"
#include "penstock/async/timeout.h"

#include <algorithm>
#include <array>
#include <utility>

// Who is first in the line puts the flag down before each try, so a release that comes during the try is not lost.

namespace penstock::db::sqlite {
namespace {

// The pauses of SQLite's own busy timeout.
duration pause_before_try(std::size_t tries) {
  constexpr std::array<int, 12> milliseconds{1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100};
  return std::chrono::milliseconds(milliseconds[std::min(tries, milliseconds.size() - 1)]);
}

task<mutex::guard> enter(mutex& line) {
  auto waiting = line.lock();
  co_return co_await waiting;
}

task<void> wait_for(event& flag) {
  auto waiting = flag.wait();
  co_await waiting;
}

}  // namespace

task<bool> lock_wait::next(bool holds_a_lock) {
  if (!begun_) since_ = scheduler::current().now();
  begun_ = true;
  if (left() <= duration::zero()) co_return false;
  if (!holds_a_lock && place_.count() == 0) {
    task<bool> joining = join();
    bool joined = co_await std::move(joining);
    if (!joined) co_return true;  // the time is over: one last try
  }
  duration longest = std::min(pause_before_try(pauses_++), left());
  task<void> pausing = pause(longest);
  co_await std::move(pausing);
  co_return true;
}

duration lock_wait::left() const { return longest_ - (scheduler::current().now() - since_); }

task<bool> lock_wait::join() {
  try {
    task<mutex::guard> entering = with_timeout(left(), enter(line_.line_));
    place_ = co_await std::move(entering);
    co_return true;
  } catch (const timed_out&) {
    co_return false;
  }
}

task<void> lock_wait::pause(duration longest) {
  if (place_.count() == 0) {
    auto sleeping = sleep_for(longest);
    co_await sleeping;
    co_return;
  }
  try {
    task<void> waiting = with_timeout(longest, wait_for(line_.released_));
    co_await std::move(waiting);
  } catch (const timed_out&) {
    // Others than this loop's sessions may have let go: time to look.
  }
  line_.released_.clear();
}

}  // namespace penstock::db::sqlite

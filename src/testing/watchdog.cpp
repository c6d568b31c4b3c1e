#include "watchdog.h"

#include "environment.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace penstock::testing {
namespace {
constexpr auto patience = std::chrono::seconds(2);
}  // namespace

watchdog::watchdog(std::string test, std::chrono::seconds limit, std::function<void()> ask,
                   std::function<std::string()> last_resort)
    : test_(std::move(test)), limit_(limit), ask_(std::move(ask)), last_resort_(std::move(last_resort)) {
  if (limit_ > std::chrono::seconds::zero()) thread_ = std::thread([this] { watch(); });
}

watchdog::~watchdog() {
  {
    std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void watchdog::watch() {
  std::unique_lock lock(mutex_);
  auto is_over = [this] { return over_; };
  if (changed_.wait_for(lock, limit_, is_over)) return;
  ask_();
  if (changed_.wait_for(lock, patience, is_over)) return;
  end_program(" (its thread is busy or blocked in one of them; this was read from outside)" + last_resort_());
}

void watchdog::end_program(const std::string& tasks) const {
  std::string text = "\nwatchdog: the test " + test_ + " has not ended after " + std::to_string(limit_.count()) +
                     " s of real time. Its tasks:" + tasks +
                     "\nwatchdog: the program ends here. PENSTOCK_WATCHDOG_SECONDS sets the limit, 0 for none.\n";
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
  std::abort();
}

std::chrono::seconds watchdog::limit_from_environment(std::chrono::seconds otherwise) {
  std::optional<std::uint64_t> seconds = environment_number("PENSTOCK_WATCHDOG_SECONDS");
  return seconds ? std::chrono::seconds(*seconds) : otherwise;
}

}  // namespace penstock::testing

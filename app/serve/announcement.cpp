// Invariant: the thread is detached and shares nothing with who began it but the promise: what holds it, for good
// maybe, is a descriptor alone.

#include "app/serve/announcement.h"

#include <penstock/observe/log.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include <poll.h>
#include <pthread.h>

namespace penstock::app {
namespace {

constexpr int milliseconds_until_warning = 1'000;
constexpr std::chrono::seconds patience_at_the_end(2);

void write_out(std::string_view text, int descriptor) noexcept {
  pollfd room{descriptor, POLLOUT, 0};
  if (::poll(&room, 1, milliseconds_until_warning) == 0)
    log::warn(
        "standard output takes nothing, as a pipe that nobody reads: the places to reach the service at are not "
        "told there");
  while (!text.empty()) {
    ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written > 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (written < 0 && errno == EAGAIN) {
      ::poll(&room, 1, -1);
    } else if (written == 0 || errno != EINTR) {
      std::string why = std::generic_category().message(written == 0 ? ENOSPC : errno);
      return log::warn("standard output can't be written to", {{"reason", why}});
    }
  }
}

}  // namespace

announcement::announcement(std::string text, int descriptor) {
  std::promise<void> ending;
  ended_ = ending.get_future();
  std::thread([text = std::move(text), descriptor, ending = std::move(ending)]() mutable {
    // Signals are for the loop's thread.
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, nullptr);
    write_out(text, descriptor);
    ending.set_value();
  }).detach();
}

announcement::~announcement() { ended_.wait_for(patience_at_the_end); }

}  // namespace penstock::app

#include "cancel_request.h"

#include "penstock/async/timeout.h"
#include "penstock/net/descriptor.h"
#include "penstock/observe/log.h"

#include <array>
#include <atomic>
#include <system_error>
#include <thread>
#include <utility>

#include <sys/eventfd.h>
#include <unistd.h>

// PQcancel waits for a server that accepts and says nothing, for as long as that takes, and can't be ended. So each
// call has a thread of its own, which is left behind when it takes too long; it touches nothing but what it shares with
// who waits for it.

namespace penstock::db::postgres {
namespace {

// Threads at a time. Beyond, the server counts as not reached: it is not well anyway.
constexpr int most_calls = 32;
std::atomic<int> calls{0};

class call {
 public:
  explicit call(std::shared_ptr<PGcancel> request) : request_(std::move(request)), done_(eventfd(0, EFD_CLOEXEC)) {
    if (done_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
    ++calls;
  }
  call(const call&) = delete;
  call& operator=(const call&) = delete;
  ~call() {
    --calls;
    ::close(done_);
  }

  void run() noexcept {
    // The store publishes the reason too.
    reached_.store(PQcancel(request_.get(), why_.data(), static_cast<int>(why_.size())) != 0);
    eventfd_write(done_, 1);
  }
  int done() const noexcept { return done_; }
  // Once `done` is readable.
  bool reached() const noexcept { return reached_.load(); }
  const char* why() const noexcept { return why_.data(); }

 private:
  std::shared_ptr<PGcancel> request_;
  int done_;
  std::atomic<bool> reached_{false};
  std::array<char, 256> why_{};
};

// Null when the system has no thread or descriptor left.
std::shared_ptr<call> started(std::shared_ptr<PGcancel> request) {
  try {
    auto one = std::make_shared<call>(std::move(request));
    std::thread([one] { one->run(); }).detach();
    return one;
  } catch (const std::system_error& e) {
    log::debug("PostgreSQL: a request to end a statement could not be made", {{"reason", e.what()}});
    return nullptr;
  }
}

}  // namespace

task<bool> cancel_request::send(duration limit) const {
  if (!handle_ || calls >= most_calls) co_return false;
  std::shared_ptr<call> one = started(handle_);
  if (!one) co_return false;
  try {
    net::descriptor_watch done(one->done());
    task<net::readiness> waiting = with_timeout(limit, done.wait(net::readiness::readable));
    co_await std::move(waiting);
  } catch (const timed_out&) {
    log::debug("PostgreSQL: a request to end a statement was not answered");
    co_return false;
  }
  if (!one->reached()) log::debug("PostgreSQL: a statement could not be cancelled yet", {{"reason", one->why()}});
  co_return one->reached();
}

}  // namespace penstock::db::postgres

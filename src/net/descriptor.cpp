#include "penstock/net/descriptor.h"

#include "penstock/async/race.h"
#include "penstock/net/asio.h"

#include <utility>

#include <boost/asio/posix/basic_stream_descriptor.hpp>

// The descriptor is only lent to Asio, and taken back before its owner closes it.

namespace penstock::net {

using boost::asio::posix::descriptor_base;

struct descriptor_watch::implementation {
  explicit implementation(event_loop& loop) : lent(io_context_of(loop).get_executor()) {}
  implementation(const implementation&) = delete;
  implementation& operator=(const implementation&) = delete;
  ~implementation() {
    if (lent.is_open()) lent.release();
  }

  task<readiness> wait_for(descriptor_base::wait_type what, readiness then) {
    auto waiting = lent.async_wait(what, use_task);
    co_await waiting;
    co_return then;
  }

  boost::asio::posix::basic_stream_descriptor<boost::asio::io_context::executor_type> lent;
};

descriptor_watch::descriptor_watch(int descriptor)
    : implementation_(std::make_unique<implementation>(event_loop::current())) {
  boost::system::error_code refused;
  implementation_->lent.assign(descriptor, refused);
  throw_if_failed(refused, "watch a descriptor");
}

descriptor_watch::descriptor_watch(descriptor_watch&&) noexcept = default;
descriptor_watch& descriptor_watch::operator=(descriptor_watch&&) noexcept = default;
descriptor_watch::~descriptor_watch() = default;

task<readiness> descriptor_watch::wait(readiness wanted) {
  task<readiness> to_read = implementation_->wait_for(descriptor_base::wait_read, readiness::readable);
  if (!includes(wanted, readiness::writable)) return to_read;
  task<readiness> to_write = implementation_->wait_for(descriptor_base::wait_write, readiness::writable);
  if (!includes(wanted, readiness::readable)) return to_write;
  return race(std::move(to_read), std::move(to_write));
}

}  // namespace penstock::net

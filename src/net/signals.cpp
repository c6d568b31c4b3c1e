#include "penstock/net/signals.h"

#include "event_loop_implementation.h"
#include "penstock/net/asio.h"

#include <boost/asio/signal_set.hpp>
#include <boost/system/system_error.hpp>

namespace penstock::net {

struct signal_set::implementation {
  explicit implementation(event_loop& loop) try : home(loop.native().sockets), signals(home->context) {
  } catch (const boost::system::system_error& e) {
    throw_if_failed(e.code(), "signal_set");
  }
  std::shared_ptr<loop_sockets> home;  // which the set may outlive
  boost::asio::signal_set signals;
};

signal_set::signal_set(std::initializer_list<int> numbers)
    : implementation_(std::make_unique<implementation>(event_loop::current())) {
  for (int number : numbers) {
    boost::system::error_code failure;
    implementation_->signals.add(number, failure);
    throw_if_failed(failure, "signal_set");
  }
}

signal_set::~signal_set() = default;

task<int> signal_set::wait() {
  implementation_->home->require_loop("the signal set");
  auto [failure, number] = co_await implementation_->signals.async_wait(use_task_tuple);
  throw_if_failed(failure, "signal_set");
  co_return number;
}

}  // namespace penstock::net

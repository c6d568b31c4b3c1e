#include "readiness.h"

#include "penstock/async/error.h"
#include "penstock/net/asio.h"

#include <array>
#include <cerrno>
#include <string>

#include <sys/epoll.h>

// Invariant: an edge that says there is something to read is kept in a flag until the socket was found empty, so none
// is lost between two waits; an edge for writing comes only after a send found the socket full (tcp(7), epoll(7)).
// Events only queue tasks: no socket is removed while a batch of them is taken.

namespace penstock::net {
namespace {

constexpr std::size_t events_a_call = 128;

int make_set() {
  int set = ::epoll_create1(EPOLL_CLOEXEC);
  if (set < 0) throw_if_failed({errno, boost::system::system_category()}, "epoll_create1");
  return set;
}

}  // namespace

void socket_readiness::wake_all() noexcept {
  readable = short_reads = true;
  if (reader != nullptr) reader->ready();
  if (writer != nullptr) writer->ready();
}

readiness_set::readiness_set(boost::asio::io_context& context) : set_(context.get_executor(), make_set()) { watch(); }

bool readiness_set::add(int socket, socket_readiness& of) noexcept {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;
  event.data.ptr = &of;
  return ::epoll_ctl(set_.native_handle(), EPOLL_CTL_ADD, socket, &event) == 0;
}

void readiness_set::remove(int socket) noexcept {
  epoll_event unused{};
  ::epoll_ctl(set_.native_handle(), EPOLL_CTL_DEL, socket, &unused);
}

void readiness_set::throw_ended(const char* whose) {
  throw error(async_errc::wrong_scheduler, std::string(whose) + " belongs to an event loop that has ended");
}

void readiness_set::watch() {
  set_.async_wait(boost::asio::posix::descriptor_base::wait_read, [this](const boost::system::error_code& failure) {
    if (failure) return;
    take_events();
    watch();
  });
}

void readiness_set::take_events() noexcept {
  std::array<epoll_event, events_a_call> events;
  int count = ::epoll_wait(set_.native_handle(), events.data(), static_cast<int>(events.size()), 0);
  for (int i = 0; i < count; ++i) {
    auto& of = *static_cast<socket_readiness*>(events[static_cast<std::size_t>(i)].data.ptr);
    std::uint32_t what = events[static_cast<std::size_t>(i)].events;
    if ((what & (EPOLLERR | EPOLLHUP)) != 0) {
      of.wake_all();
      continue;
    }
    if ((what & (EPOLLRDHUP | EPOLLPRI)) != 0) of.short_reads = true;
    if ((what & (EPOLLIN | EPOLLRDHUP)) != 0) {
      of.readable = true;
      if (of.reader != nullptr) of.reader->ready();
    }
    if ((what & EPOLLOUT) != 0 && of.writer != nullptr) of.writer->ready();
  }
}

}  // namespace penstock::net

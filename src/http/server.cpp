#include "penstock/http/server.h"

#include "connection.h"
#include "penstock/async/race.h"
#include "penstock/http/error.h"
#include "penstock/net/error.h"
#include "penstock/observe/log.h"
#include "server_implementation.h"

#include <array>
#include <cstdio>

namespace penstock::http {
namespace {

task<void> wait_for(event& e) { co_await e.wait(); }

// What clients do to a connection is no error of ours.
bool is_the_clients_doing(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const error& e) {
    return e.is(net::net_errc::connection_closed) || e.is(http_errc::body_incomplete) ||
           e.is(async_errc::operation_cancelled);
  } catch (...) {
    return false;
  }
}

}  // namespace

const std::string& date_text::at(system_time now) {
  auto second = std::chrono::floor<std::chrono::seconds>(now);
  if (second.time_since_epoch().count() == second_) return text_;
  second_ = second.time_since_epoch().count();
  static constexpr std::array<const char*, 7> days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array<const char*, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  auto day = std::chrono::floor<std::chrono::days>(second);
  std::chrono::year_month_day date(day);
  std::chrono::hh_mm_ss time(second - day);
  char text[40];
  std::snprintf(text, sizeof(text), "%s, %02u %s %04d %02d:%02d:%02d GMT", days[std::chrono::weekday(day).c_encoding()],
                static_cast<unsigned>(date.day()), months[static_cast<unsigned>(date.month()) - 1],
                static_cast<int>(date.year()), static_cast<int>(time.hours().count()),
                static_cast<int>(time.minutes().count()), static_cast<int>(time.seconds().count()));
  text_ = text;
  return text_;
}

server::server(router routes, const server_options& options)
    : implementation_(std::make_unique<implementation>(std::move(routes), options)) {}

server::~server() = default;

task<void> server::serve(net::listener& at) {
  co_await with_task_group([&](task_group& group) -> task<void> {
    task<void> accepting = implementation_->accept_all(at, group);
    task<void> stop = wait_for(implementation_->stop_asked);
    std::vector<task<void>> either;
    either.push_back(std::move(accepting));
    either.push_back(std::move(stop));
    co_await race(std::move(either));
    at.close();
    implementation_->connections.for_each([](connection& c) { c.finish_soon(); });
  });
}

void server::stop() noexcept {
  implementation_->stopping = true;
  implementation_->stop_asked.set();
}

server_stats server::stats() const noexcept { return implementation_->stats; }

task<void> server::implementation::accept_all(net::listener& at, task_group& group) {
  for (;;) {
    while (stats.open_connections >= options.max_connections) {
      room.clear();
      co_await room.wait();
    }
    std::unique_ptr<net::stream> stream = co_await at.accept();
    ++stats.connections;
    ++stats.open_connections;
    group.start(serve_one(std::move(stream)));
  }
}

task<void> server::implementation::serve_one(std::unique_ptr<net::stream> stream) {
  std::string peer = stream->remote_address();
  std::exception_ptr failure;
  try {
    connection c(*this, std::move(stream));
    co_await c.serve();
  } catch (...) {
    failure = std::current_exception();
  }
  --stats.open_connections;
  room.set();
  // A connection's failure is its own: the others go on.
  if (failure && !is_the_clients_doing(failure))
    log::exception(log::level::warn, "connection failed", failure, {{"peer", peer}});
}

}  // namespace penstock::http

#include "penstock/http/server.h"

#include "answer_head.h"
#include "connection.h"
#include "penstock/async/race.h"
#include "penstock/async/timeout.h"
#include "penstock/observe/log.h"
#include "server_implementation.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace penstock::http {
namespace {

// A system that is left as it is holds no more until they are accepted (listen(2)), the first first.
constexpr int most_who_wait = 4096;
constexpr auto idle_connections_have_ended_after = std::chrono::milliseconds(250);

// RFC 9110, 5.6.7.
std::string date_text(std::chrono::sys_seconds second) {
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
  return text;
}

}  // namespace

const std::string& server_fields::at(const scheduler& clock) {
  if (clock.now() < next_second_) return lines_;
  system_time now = clock.wall_now();
  auto second = std::chrono::floor<std::chrono::seconds>(now);
  next_second_ = clock.now() + (second + std::chrono::seconds(1) - now);
  lines_ = "Date: " + date_text(second) + "\r\n";
  if (!server_name_.empty()) lines_ += "Server: " + server_name_ + "\r\n";
  return lines_;
}

server::server(router routes, const server_options& options) {
  check_answer_field("Server", options.server_name);
  implementation_ = std::make_unique<implementation>(std::move(routes), options);
}

server::~server() = default;

task<void> server::serve(net::listener& at) {
  co_await with_task_group([&](task_group& group) -> task<void> {
    task<void> accepting = implementation_->accept_all(at, group);
    task<void> stop = implementation_->stop_and_linger();
    std::vector<task<void>> either;
    either.push_back(std::move(accepting));
    either.push_back(std::move(stop));
    task<void> first = race(std::move(either));
    co_await std::move(first);
    implementation_->connections.for_each([](connection& c) { c.finish_soon(); });
    task<void> accepting_last = implementation_->accept_those_who_wait(at, group);
    co_await std::move(accepting_last);
    at.close();
  });
}

void server::stop() noexcept {
  implementation_->stopping = true;
  implementation_->stop_asked.set();
}

server_stats server::stats() const noexcept { return implementation_->counts.read(); }

void server::measure(metrics::registry& into) {
  implementation_->metrics.emplace(into, implementation_->routes, implementation_->counts);
}

// Clients that have not heard of the stop may have sent what did not arrive yet.
task<void> server::implementation::stop_and_linger() {
  co_await stop_asked.wait();
  co_await sleep_for(options.stop_linger);
}

task<void> server::implementation::accept_all(net::listener& at, task_group& group) {
  for (;;) {
    while (is_full()) {
      task<void> waiting = wait_for_end();
      co_await std::move(waiting);
    }
    task<std::unique_ptr<net::stream>> accepting = at.accept();
    std::unique_ptr<net::stream> stream = co_await std::move(accepting);
    take_in(std::move(stream), group);
  }
}

bool server::implementation::is_full() const noexcept {
  return counts.open_connections() >= std::max<std::size_t>(1, options.max_connections);
}

task<void> server::implementation::wait_for_end() {
  room.clear();
  co_await room.wait();
}

// A close would reset them, though they may have sent a request. A listener may pause between two who wait: once. Those
// who were answered, and come back at once, must not keep the port open.
task<void> server::implementation::accept_those_who_wait(net::listener& at, task_group& group) {
  const scheduler& clock = scheduler::current();
  const time_point idle_ones_end_by = clock.now() + idle_connections_have_ended_after;
  int accepted = 0;
  for (int in_vain = 0; in_vain < 2 && accepted < most_who_wait;) {
    std::unique_ptr<net::stream> stream;
    try {
      while (is_full()) {
        if (clock.now() >= idle_ones_end_by) co_return;
        task<void> waiting = with_timeout(idle_ones_end_by - clock.now(), wait_for_end());
        co_await std::move(waiting);
      }
      task<std::unique_ptr<net::stream>> accepting = with_timeout(duration::zero(), at.accept());
      stream = co_await std::move(accepting);
    } catch (const timed_out&) {
      ++in_vain;
      continue;
    }
    in_vain = 0;
    ++accepted;
    take_in(std::move(stream), group);
  }
}

void server::implementation::take_in(std::unique_ptr<net::stream> stream, task_group& group) {
  counts.connection_opened();
  if (metrics) metrics->connected();
  group.start(serve_one(std::move(stream)));
}

task<void> server::implementation::serve_one(std::unique_ptr<net::stream> stream) {
  struct ending {
    ~ending() {
      home.counts.connection_ended();
      home.room.set();
    }
    implementation& home;
  };
  ending at_the_end{*this};
  std::string peer = stream->remote_address();
  std::exception_ptr failure;
  try {
    connection c(*this, std::move(stream));
    task<void> serving = c.serve();
    co_await std::move(serving);
  } catch (...) {
    failure = std::current_exception();
  }
  // A connection's failure is its own: the others go on.
  if (failure && !connection::is_the_clients_doing(failure))
    log::exception(log::level::warn, "connection failed", failure, {{"peer", peer}});
}

}  // namespace penstock::http

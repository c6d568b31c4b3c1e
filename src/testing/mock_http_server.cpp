#include "penstock/testing/mock_http_server.h"

#include "breakable_stream.h"
#include "penstock/async/event.h"
#include "penstock/async/task_group.h"
#include "penstock/async/timeout.h"
#include "penstock/http/server.h"

#include <algorithm>
#include <deque>
#include <utility>

#include <gtest/gtest.h>

// Invariant: each request that came whole is recorded, and is counted by one expectation or is an unexpected one.

namespace penstock::testing {
namespace {

constexpr std::size_t most_body_bytes = std::size_t{64} << 20;
constexpr duration between_pieces = std::chrono::milliseconds(10);

task<void> wait_forever() {
  event never;
  co_await never.wait();
}

task<void> write_without_end(http::body_writer& out, const std::string& piece) {
  for (;;) {
    task<void> writing = out.write(piece);
    co_await std::move(writing);
    co_await sleep_for(between_pieces);
  }
}

}  // namespace

mock_answer mock_answer::silence() {
  mock_answer a;
  a.manner_ = manner::silence;
  return a;
}
mock_answer mock_answer::reset() {
  mock_answer a;
  a.manner_ = manner::reset;
  return a;
}
mock_answer& mock_answer::with(std::string name, std::string value) {
  headers_.emplace_back(std::move(name), std::move(value));
  return *this;
}
mock_answer& mock_answer::after(duration d) {
  delay_ = d;
  return *this;
}
mock_answer& mock_answer::cut_after(std::size_t body_bytes) {
  manner_ = manner::cut;
  cut_after_ = body_bytes;
  return *this;
}
mock_answer& mock_answer::reset_after(std::size_t body_bytes) {
  manner_ = manner::cut_by_reset;
  cut_after_ = body_bytes;
  return *this;
}
mock_answer& mock_answer::without_end() {
  manner_ = manner::endless;
  return *this;
}

mock_expectation& mock_expectation::answers(mock_answer a) {
  answers_.push_back(std::move(a));
  return *this;
}
mock_expectation& mock_expectation::times(std::size_t count) {
  times_ = count;
  return *this;
}
mock_expectation& mock_expectation::any_times() {
  any_ = true;
  return *this;
}

// nullopt for any number.
std::optional<std::size_t> mock_expectation::expected() const noexcept {
  if (any_) return std::nullopt;
  return times_.value_or(std::max<std::size_t>(1, answers_.size()));
}

struct mock_http_server::implementation {
  explicit implementation(std::unique_ptr<net::listener> l) : at(std::move(l)), server(routes(), server_options()) {}

  static http::server_options server_options() { return {.max_body_bytes = most_body_bytes, .stop_linger = {}}; }
  http::router routes();
  task<http::response> take(http::request& r);
  const mock_answer* answer_to(const http::request& r);
  task<http::response> give(mock_answer a, const http::request& r);

  breakable_listener at;
  std::deque<mock_expectation> expectations;
  std::vector<mock_request> requests;
  std::vector<std::string> unexpected;
  http::server server;
};

http::router mock_http_server::implementation::routes() {
  http::router all;
  all.otherwise([this](http::request& r) { return take(r); });
  return all;
}

task<http::response> mock_http_server::implementation::take(http::request& r) {
  mock_request got{std::string(r.method()), std::string(r.target()), {}, {}};
  for (const http::header_field& f : r.headers()) got.headers.emplace_back(f.name, f.value);
  task<std::string> reading = r.body().read_all(most_body_bytes);
  got.body = co_await std::move(reading);
  requests.push_back(std::move(got));
  const mock_answer* a = answer_to(r);
  if (a == nullptr) {
    unexpected.push_back(std::string(r.method()) + " " + std::string(r.target()));
    co_return http::response::text(500, "the mock server does not expect " + unexpected.back() + "\n");
  }
  task<http::response> giving = give(*a, r);
  co_return co_await std::move(giving);
}

const mock_answer* mock_http_server::implementation::answer_to(const http::request& r) {
  static const mock_answer empty;
  for (mock_expectation& e : expectations) {
    if (e.method_ != r.method() || e.path_ != r.path() || e.seen_ >= e.expected().value_or(SIZE_MAX)) continue;
    std::size_t number = e.seen_++;
    return e.answers_.empty() ? &empty : &e.answers_[std::min(number, e.answers_.size() - 1)];
  }
  return nullptr;
}

task<http::response> mock_http_server::implementation::give(mock_answer a, const http::request& r) {
  if (a.delay_ > duration::zero()) co_await sleep_for(a.delay_);
  breakable_stream* connection = at.connection(r.remote_address());
  using manner = mock_answer::manner;
  if (a.manner_ == manner::silence) {
    task<void> waiting = wait_forever();
    co_await std::move(waiting);
  }
  if (a.manner_ == manner::reset && connection != nullptr) connection->reset();
  if ((a.manner_ == manner::cut || a.manner_ == manner::cut_by_reset) && connection != nullptr)
    connection->break_after(std::min(a.cut_after_, a.body_.size()), a.manner_ == manner::cut_by_reset);
  http::response result(a.status_, a.body_);
  result.headers = a.headers_;
  if (a.manner_ == manner::endless) {
    std::string piece = a.body_.empty() ? "x" : a.body_;
    result.stream = [piece](http::body_writer& out) { return write_without_end(out, piece); };
  }
  co_return result;
}

mock_http_server::mock_http_server() : mock_http_server(net::listen(net::endpoint::parse("127.0.0.1:0"))) {}

mock_http_server::mock_http_server(std::unique_ptr<net::listener> at)
    : implementation_(std::make_unique<implementation>(std::move(at))) {}

mock_http_server::~mock_http_server() = default;

mock_expectation& mock_http_server::expect(std::string method, std::string path, std::source_location where) {
  implementation_->expectations.push_back(mock_expectation(std::move(method), std::move(path), where));
  return implementation_->expectations.back();
}

std::string mock_http_server::url(std::string_view path) const {
  return "http://" + implementation_->at.local_endpoint().to_string() + std::string(path);
}

const std::vector<mock_request>& mock_http_server::requests() const noexcept { return implementation_->requests; }

task<void> mock_http_server::serve() { return implementation_->server.serve(implementation_->at); }

void mock_http_server::verify() const {
  for (const mock_expectation& e : implementation_->expectations)
    if (e.seen_ < e.expected().value_or(0))
      ADD_FAILURE_AT(e.where_.file_name(), static_cast<int>(e.where_.line()))
          << "a mock server expected " << e.method_ << " " << e.path_ << " " << *e.expected() << " times, and got it "
          << e.seen_ << " times";
  for (const std::string& one : implementation_->unexpected)
    ADD_FAILURE() << "a mock server got " << one << ", which it did not expect";
}

task<void> with_mock_http_server(std::function<task<void>(mock_http_server&)> body) {
  mock_http_server server;
  auto beside = [&](task_group& group) -> task<void> {
    group.start_background(server.serve(), "mock HTTP server");
    task<void> running = body(server);
    co_await std::move(running);
  };
  task<void> all = with_task_group(beside);
  co_await std::move(all);
  server.verify();
}

}  // namespace penstock::testing

#include "connection.h"

#include "body_streams.h"
#include "head_rules.h"
#include "penstock/async/timeout.h"
#include "penstock/core/id.h"
#include "penstock/core/traceback.h"
#include "penstock/http/error.h"
#include "penstock/http/problem.h"
#include "penstock/observe/log.h"
#include "penstock/observe/request_context.h"
#include "server_implementation.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace penstock::http {
namespace {

constexpr std::size_t idle_buffer_bytes = std::size_t{16} << 10;
constexpr std::size_t body_buffer_bytes = std::size_t{128} << 10;
constexpr auto farewell = std::chrono::seconds(1);

bool is_request_id(std::string_view text) noexcept {
  return !text.empty() && text.size() <= 128 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' || c == '_' || c == '.';
  });
}

bool has_line_break(std::string_view text) noexcept {
  return text.find_first_of("\r\n\0", 0, 3) != std::string_view::npos;
}

void append_number(std::string& out, std::uint64_t n) {
  char digits[20];
  out.append(digits, std::to_chars(digits, digits + sizeof(digits), n).ptr);
}

}  // namespace

connection::connection(server::implementation& owner, std::unique_ptr<net::stream> stream)
    : owner_(owner), stream_(std::move(stream)), buffer_(idle_buffer_bytes) {
  owner_.connections.push_back(*this);
}

connection::~connection() = default;

task<void> connection::serve() {
  std::exception_ptr failure;
  try {
    task<void> requests = scope_.run(serve_requests());
    co_await std::move(requests);
  } catch (...) {
    failure = std::current_exception();
  }
  bool too_slow = expired_ && (phase_ == phase::head || phase_ == phase::body);
  if (failure && !expired_ && !finishing_) std::rethrow_exception(failure);
  if (!too_slow) co_return;
  protocol_error late(http_errc::request_timeout, phase_ == phase::head ? "the header section did not come in time"
                                                                        : "the body did not come in time");
  task<void> answer = refuse(late);
  co_await with_timeout(farewell, std::move(answer));
}

void connection::finish_soon() noexcept {
  finishing_ = true;
  if (phase_ == phase::idle && begin_ == end_ && out_.empty()) scope_.cancel("the server stops");
}

task<void> connection::serve_requests() {
  std::optional<protocol_error> refused;
  try {
    while (co_await read_head()) {
      co_await answer_one();
      if (close_after_answer_) break;
      bool more = find_head_end(buffered()) != std::string_view::npos;
      if (!more || out_.size() > owner_.options.max_pipelined_bytes) co_await flush();
      if (finishing_ && !more) break;
    }
  } catch (const protocol_error& e) {
    refused = e;
  }
  if (refused) {
    co_await refuse(*refused);
  } else {
    co_await flush();
    stream_->shutdown_send();
  }
}

task<bool> connection::read_head() {
  const server_options& limits = owner_.options;
  scanned_ = 0;
  enter(phase::idle);
  for (;;) {
    // Empty lines before a request are skipped (RFC 9112, 2.2).
    while (buffered().starts_with("\r\n")) begin_ += 2;
    std::string_view data = buffered();
    std::size_t from = scanned_ > 2 ? scanned_ - 2 : 0;
    std::size_t found = from < data.size() ? find_head_end(data.substr(from)) : std::string_view::npos;
    if (found != std::string_view::npos) found += from;
    scanned_ = data.size();
    std::size_t line = std::min(data.find('\n'), data.size());
    if (line > limits.max_request_line_bytes)
      throw protocol_error(http_errc::uri_too_long, "the request line is longer than " +
                                                        std::to_string(limits.max_request_line_bytes) + " bytes");
    if (std::min(found, data.size()) > limits.max_header_bytes)
      throw protocol_error(http_errc::headers_too_large,
                           "the header section is longer than " + std::to_string(limits.max_header_bytes) + " bytes");
    if (found != std::string_view::npos) {
      head_.assign(data.substr(0, found));
      begin_ += found;
      co_return true;
    }
    if (!data.empty() && phase_ == phase::idle) enter(phase::head);
    if (data.empty() && finishing_) co_return false;
    if (co_await fill() == 0) co_return false;
  }
}

task<void> connection::answer_one() {
  enter(phase::handling);
  ++owner_.stats.requests_in_flight;
  struct counted {
    server_stats& stats;
    ~counted() { --stats.requests_in_flight, ++stats.requests; }
  } count{owner_.stats};
  request r;
  check_head(head_);
  parser_.emplace(head_, r, owner_.options.max_header_fields, owner_.options.max_body_bytes);
  incoming_body body(*this);
  r.body_ = &body;
  r.remote_address_ = &stream_->remote_address();
  std::optional<std::string_view> given = r.header("X-Request-Id");
  r.id_ = given && is_request_id(*given) ? std::string(*given) : make_id(scheduler::current().random());

  response answer = co_await run_handler(r);
  bool keep_alive = parser_->keep_alive() && !finishing_ && !close_after_answer_;
  if (keep_alive && !parser_->is_done()) keep_alive = co_await drain_body();
  close_after_answer_ = !keep_alive;
  if (answer.stream)
    co_await send_stream(r, answer);
  else
    append_answer(r, answer, keep_alive);
}

task<response> connection::run_handler(request& r) {
  response answer;
  std::exception_ptr failure;
  try {
    router::match found = owner_.routes.find(r);
    if (found.call != nullptr) {
      task<void> call = call_handler(*found.call, r, answer);
      request_context context(r.id());
      task<void> bound = current_request.bind(std::move(context), std::move(call));
      co_await std::move(bound);
      co_return answer;
    }
    if (!found.allow.empty() && r.method() == "OPTIONS") co_return response(204, "").with("Allow", found.allow);
    if (!found.allow.empty()) {
      problem p{405, "http.method_not_allowed", std::string(r.method()) + " is not served here", r.id(), {}};
      co_return to_response(p).with("Allow", found.allow);
    }
    problem p{404, "http.not_found", "there is nothing at " + std::string(r.path()), r.id(), {}};
    co_return to_response(p);
  } catch (const problem_error& e) {
    answer = to_response({e.status(), std::string(e.code()), e.message(), r.id(), {}});
    for (const auto& header : e.headers()) answer.headers.push_back(header);
    if (e.status() >= 500) failure = std::current_exception();
  } catch (const protocol_error& e) {
    answer = to_response({status_of(e.errc()), std::string(e.code()), e.message(), r.id(), {}});
    close_after_answer_ = true;
    if (e.is(http_errc::body_incomplete)) throw;
  } catch (...) {
    if (scope_.cancelled()) throw;
    failure = std::current_exception();
    answer = to_response(
        {500, "http.internal_error", "the request failed; the log says more under this request id", r.id(), {}});
  }
  if (failure) {
    log::exception(log::level::error, "request failed", failure,
                   {{"request_id", r.id()}, {"method", r.method()}, {"path", r.path()}, {"status", answer.status}});
  }
  co_return answer;
}

task<void> connection::call_handler(const handler& call, request& r, response& out) {
  task<response> running = call(r);
  out = co_await std::move(running);
}

void connection::append_answer(const request& r, response& answer, bool keep_alive) {
  bool no_content = answer.status == 204 || answer.status == 304 || answer.status < 200;
  append_head(r, answer, no_content ? std::nullopt : std::optional<std::uint64_t>(answer.body.size()), keep_alive);
  out_ += "\r\n";
  if (!no_content && r.method() != "HEAD") out_ += answer.body;
}

void connection::append_head(const request& r, const response& answer, std::optional<std::uint64_t> length,
                             bool keep_alive) {
  for (const auto& [name, value] : answer.headers) {
    if (!has_line_break(name) && !has_line_break(value)) continue;
    throw error(http_errc::bad_request, "a handler's header field '" + name.substr(0, 40) + "' has a line break in it");
  }
  out_ += "HTTP/1.1 ";
  append_number(out_, static_cast<std::uint64_t>(answer.status));
  out_ += ' ';
  out_ += reason_phrase(answer.status);
  out_ += "\r\nDate: ";
  out_ += owner_.date.at(scheduler::current().wall_now());
  if (!owner_.options.server_name.empty()) {
    out_ += "\r\nServer: ";
    out_ += owner_.options.server_name;
  }
  for (const auto& [name, value] : answer.headers) {
    out_ += "\r\n";
    out_ += name;
    out_ += ": ";
    out_ += value;
  }
  if (length) {
    out_ += "\r\nContent-Length: ";
    append_number(out_, *length);
  }
  if (!keep_alive)
    out_ += "\r\nConnection: close";
  else if (r.minor_version() == 0)
    out_ += "\r\nConnection: keep-alive";
  out_ += "\r\n";
}

task<void> connection::send_stream(const request& r, response& answer) {
  bool chunked = r.minor_version() > 0;
  close_after_answer_ = close_after_answer_ || !chunked;
  append_head(r, answer, std::nullopt, !close_after_answer_);
  out_ += chunked ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n";
  if (r.method() == "HEAD") co_return;
  outgoing_body body(*this, chunked);
  task<void> producing = answer.stream(body);
  std::exception_ptr failure;
  try {
    co_await std::move(producing);
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) {
    close_after_answer_ = true;
    log::exception(log::level::error, "answer broke off", failure, {{"request_id", r.id()}, {"path", r.path()}});
    co_return;
  }
  if (chunked) out_ += "0\r\n\r\n";
}

// True when the rest of the body was read, so that the next request can follow.
task<bool> connection::drain_body() {
  std::optional<std::uint64_t> length = parser_->body_length();
  if (parser_->expects_continue() || (length && *length > owner_.options.max_drained_bytes)) co_return false;
  incoming_body body(*this);
  std::uint64_t drained = 0;
  for (;;) {
    std::string_view piece = co_await body.read_some();
    if (piece.empty()) co_return true;
    drained += piece.size();
    if (drained > owner_.options.max_drained_bytes) co_return false;
  }
}

task<std::size_t> connection::fill() {
  if (begin_ == end_) {
    begin_ = end_ = 0;
    if (phase_ == phase::body && buffer_.size() < body_buffer_bytes) buffer_.resize(body_buffer_bytes);
    if (phase_ == phase::idle && buffer_.size() > idle_buffer_bytes) {
      buffer_.resize(idle_buffer_bytes);
      buffer_.shrink_to_fit();
    }
  } else if (end_ == buffer_.size()) {
    if (begin_ == 0) buffer_.resize(buffer_.size() * 2);
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  std::span<char> room(buffer_.data() + end_, buffer_.size() - end_);
  std::size_t n = co_await stream_->read_some(std::as_writable_bytes(room));
  end_ += n;
  co_return n;
}

task<void> connection::flush() {
  if (out_.empty()) co_return;
  phase before = phase_;
  enter(phase::writing);
  co_await stream_->write(net::bytes_of(out_));
  out_.clear();
  if (out_.capacity() > owner_.options.max_pipelined_bytes) out_.shrink_to_fit();
  enter(before);
}

// The last answer of a connection whose next bytes can't be trusted. Reading on for a moment keeps the system from
// resetting the connection before the client has read the answer (RFC 9112, 9.6).
task<void> connection::refuse(const protocol_error& e) {
  request none;
  response answer = to_response({status_of(e.errc()), std::string(e.code()), e.message(), "", {}});
  append_answer(none, answer, false);
  co_await flush();
  stream_->shutdown_send();
  std::uint64_t dropped = 0;
  begin_ = end_ = 0;
  try {
    while (dropped < owner_.options.max_drained_bytes) {
      task<std::size_t> reading = fill();
      std::size_t n = co_await with_timeout(farewell, std::move(reading));
      if (n == 0) break;
      dropped += n;
      begin_ = end_ = 0;
    }
  } catch (const timed_out&) {
    co_return;  // the client had its time
  }
}

void connection::enter(phase p) noexcept {
  const server_options& limits = owner_.options;
  time_point now = scheduler::current().now();
  phase_ = p;
  switch (p) {
    case phase::idle:
      expires_ = now + limits.idle_timeout;
      break;
    case phase::head:
      expires_ = now + limits.header_timeout;
      break;
    case phase::body:
      expires_ = now + limits.body_timeout;
      break;
    case phase::writing:
      expires_ = now + limits.write_timeout;
      break;
    case phase::handling:
      expires_ = time_point::max();
      return;
  }
  if (watchdog_.pending() && watchdog_.deadline() <= expires_) return;
  watchdog_.cancel();
  scheduler::current().add_timer(watchdog_, expires_);
}

void connection::watch(timer& t) noexcept {
  connection& self = static_cast<watchdog&>(t).owner;
  if (self.expires_ == time_point::max()) return;
  if (scheduler::current().now() < self.expires_) {
    scheduler::current().add_timer(t, self.expires_);
    return;
  }
  self.expired_ = true;
  self.scope_.cancel("the client was too slow");
}

}  // namespace penstock::http

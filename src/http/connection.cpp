#include "connection.h"

#include "answer_head.h"
#include "field_syntax.h"
#include "penstock/async/timeout.h"
#include "penstock/async/yield.h"
#include "penstock/core/id.h"
#include "penstock/core/traceback.h"
#include "penstock/http/problem.h"
#include "penstock/net/error.h"
#include "penstock/observe/log.h"
#include "server_implementation.h"
#include "trace_parent.h"

#include <algorithm>
#include <utility>

namespace penstock::http {
namespace {

// Of a connection whose client sends more without waiting: others are to have a turn.
constexpr std::size_t answers_in_a_turn = 8;

bool is_request_id(std::string_view text) noexcept {
  return !text.empty() && text.size() <= 128 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' || c == '_' || c == '.';
  });
}

// Without its end, which is CRLF; of what has come where that has not.
std::size_t length_of_line(std::string_view data) noexcept {
  std::string_view line = data.substr(0, data.find('\n'));
  return line.size() - (line.ends_with('\r') ? 1 : 0);
}

problem problem_of(http_errc code, std::string detail, const request& r) {
  return {status_of(code), std::string(code_name(code)), std::move(detail), r.id(), {}};
}

// What the router answers itself.
response answer_without_handler(const request& r, const router::match& found) {
  if (!found.allow.empty() && r.method() == "OPTIONS") return response(204, "").with("Allow", found.allow);
  if (!found.allow.empty()) {
    std::string detail = std::string(r.method()) + " is not served here, only " + found.allow;
    return to_response(problem_of(http_errc::method_not_allowed, std::move(detail), r)).with("Allow", found.allow);
  }
  return to_response(problem_of(http_errc::not_found, "there is nothing at " + std::string(r.path()), r));
}

}  // namespace

connection::connection(server::implementation& owner, std::unique_ptr<net::stream> stream)
    : owner_(owner), loop_(scheduler::current()), stream_(std::move(stream)), in_(idle_buffer_bytes) {
  owner_.connections.push_back(*this);
  finishing_ = owner_.stopping;
  request_.body_ = &body_;
  request_.remote_address_ = &stream_->remote_address();
}

connection::~connection() = default;

task<void> connection::serve() {
  std::exception_ptr failure;
  try {
    task<void> bound = current_request.bind(std::cref(context_), serve_requests());
    task<void> requests = scope_.run(std::move(bound));
    co_await std::move(requests);
  } catch (...) {
    failure = std::current_exception();
  }
  if (!failure || ends_quietly_) co_return;
  if (!head_expired_) std::rethrow_exception(failure);
  protocol_error late(http_errc::request_timeout, "the header section did not come in time");
  try {
    task<void> answer = with_timeout(2 * farewell, refuse(late));
    co_await std::move(answer);
  } catch (const timed_out&) {
    co_return;  // it takes nothing either
  }
}

void connection::finish_soon() noexcept {
  bool has_its_time = std::exchange(finishing_, true) && !served_one_;  // it was accepted as the server stopped
  if (has_its_time || phase_ != phase::idle || !in_.empty()) return;
  expire_at(loop_.now());
}

bool connection::is_the_clients_doing(const std::exception_ptr& failure) noexcept {
  if (!attached_failures(failure).empty()) return false;
  try {
    std::rethrow_exception(failure);
  } catch (const error& e) {
    return e.is(net::net_errc::connection_closed) || e.is(async_errc::operation_cancelled);
  } catch (...) {
    return false;
  }
}

task<void> connection::serve_requests() {
  std::optional<protocol_error> refused;
  bool client_ended = false;
  std::size_t answered = 0;
  try {
    while (!close_after_answer_) {
      if (take_head()) {
        throw_if_cancelled();  // no handler begins what can't be answered
        co_await answer_one();
        served_one_ = true;
        if (++answered % answers_in_a_turn == 0 && !in_.empty()) co_await yield();
        if (out_.size() > owner_.options.max_pipelined_bytes) co_await flush();
        continue;
      }
      if (!out_.empty()) co_await flush();
      if (finishing_ && served_one_ && in_.empty()) break;
      await_request();
      client_ended = co_await fill() == 0;
      if (client_ended) break;
    }
  } catch (const protocol_error& e) {
    refused = e;
  }
  if (refused) {
    co_await refuse(*refused);
    co_return;
  }
  if (broken_) co_return;
  co_await flush();
  stream_->shutdown_send();
  // A client that meant to go on may have sent more before it heard that this was the last answer.
  if (!client_ended && (framing_.keep_alive || !in_.empty() || !decoder_.done())) co_await linger();
}

// Moves a whole head out of the buffer; false when there is none yet.
bool connection::take_head() {
  const server_options& limits = owner_.options;
  head_.clear();
  request_.id_.clear();
  // Empty lines before a request are skipped (RFC 9112, 2.2).
  while (in_.data().starts_with("\r\n")) in_.take(2);
  std::string_view data = in_.data();
  if (data.empty()) return false;
  // What speaks another protocol may never send the end of a head, and would wait for an answer to it.
  if (constexpr char tls_handshake = 0x16; data.front() == tls_handshake)  // RFC 8446, 5.1
    throw protocol_error(http_errc::bad_request, "this is TLS, and the port speaks plain HTTP: use http://");
  if (data.front() != '\r' && data.front() != '\n' && !is_token_character(data.front()))
    throw protocol_error(http_errc::bad_request, "the method is malformed");
  std::size_t from = scanned_ > 2 ? std::min(scanned_, data.size()) - 2 : 0;
  std::size_t found = find_head_end(data.substr(from));
  if (found != std::string_view::npos) found += from;
  if (length_of_line(data.substr(0, limits.max_request_line_bytes + 2)) > limits.max_request_line_bytes)
    throw protocol_error(http_errc::uri_too_long,
                         "the request line is longer than " + std::to_string(limits.max_request_line_bytes) + " bytes");
  if (std::min(found, data.size()) > limits.max_header_bytes)
    throw protocol_error(http_errc::headers_too_large,
                         "the header section is longer than " + std::to_string(limits.max_header_bytes) + " bytes");
  scanned_ = data.size();
  if (found == std::string_view::npos) return false;
  scanned_ = 0;
  head_.assign(data.substr(0, found));
  in_.take(found);
  return true;
}

// The clock of a wait is not set back by bytes that begin no request.
void connection::await_request() {
  if (in_.empty()) in_.resize(idle_buffer_bytes);
  if (in_.empty() && phase_ != phase::idle && phase_ != phase::head) enter(phase::idle);
  if (!in_.empty() && phase_ != phase::head) enter(phase::head);
}

task<void> connection::answer_one() {
  request_in_flight counted(owner_.counts);
  enter(phase::handling);
  begin_request();
  time_point began = loop_.now();
  std::size_t route = owner_.routes.size();  // NOLINT(clang-analyzer-deadcode.DeadStores): what follows may throw
  response answer;
  std::exception_ptr failure;
  try {
    router::match found = owner_.routes.find(request_);
    route = found.number;
    if (found.call != nullptr) {
      task<response> running = (*found.call)(request_);
      answer = co_await std::move(running);
      check_answer(answer);
    } else {
      answer = answer_without_handler(request_, found);
    }
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) answer = answer_to(failure);
  close_after_answer_ = !keeps_alive();
  if (answer.stream && !has_no_body(answer.status))
    co_await send_stream(answer);
  else
    append_answer(answer);
  if (owner_.metrics) owner_.metrics->answered(route, request_.method(), answer.status, loop_.now() - began);
  if (close_after_answer_ || decoder_.done()) co_return;
  answer = response();  // what it holds is not needed while the rest of the body comes
  task<bool> dropping = drop_body();
  close_after_answer_ = !co_await std::move(dropping);
}

void connection::begin_request() {
  decoder_ = body_decoder();
  request_.headers_.clear();
  request_.parameters_.clear();
  framing_ = head_parser(request_, owner_.options.max_header_fields).parse(head_);
  std::optional<std::string_view> given = request_.header("X-Request-Id");
  request_.id_ = given && is_request_id(*given) ? std::string(*given) : make_id(loop_.random());
  context_ = context_of(request_.id_, request_.headers());
  if (framing_.expects_something_else)
    throw protocol_error(http_errc::expectation_failed, "Expect: only 100-continue is known");
  if (framing_.length > owner_.options.max_body_bytes)
    throw protocol_error(http_errc::body_too_large,
                         "the body is longer than " + std::to_string(owner_.options.max_body_bytes) + " bytes");
  decoder_ = framing_.chunked ? body_decoder::of_chunks(owner_.options.max_body_bytes)
                              : body_decoder::of_length(framing_.length);
}

response connection::answer_to(const std::exception_ptr& failure) {
  response answer;
  bool ours = true;
  try {
    std::rethrow_exception(failure);
  } catch (const problem_error& e) {
    answer = to_response({e.status(), std::string(e.code()), e.message(), request_.id(), {}});
    for (const auto& field : e.headers()) answer.headers.push_back(field);
    ours = e.status() >= 500;
  } catch (const protocol_error& e) {
    answer = to_response(problem_of(e.errc(), e.message(), request_));
    close_after_answer_ = true;
    ours = answer.status >= 500;
  } catch (...) {
    if (is_cancelled()) throw;
    std::string detail = "the request failed; the log says more under this request id";
    answer = to_response(problem_of(http_errc::internal_error, std::move(detail), request_));
  }
  if (ours)
    log::exception(log::level::error, "request failed", failure,
                   {{"method", request_.method()}, {"path", request_.path()}, {"status", answer.status}});
  return answer;
}

// Whether the next request can follow: its start must be found, at no more cost than a new connection.
bool connection::keeps_alive() const noexcept {
  if (!framing_.keep_alive || owner_.stopping || close_after_answer_ || expired_) return false;
  return decoder_.done() || (!framing_.expects_continue && end_of_body_is_near());
}

// Whether what the handler leaves of a body is short enough to be read behind the answer. How long chunks will be is
// not known before they are there, and an answer that promised to go on could not be taken back.
bool connection::end_of_body_is_near() const noexcept {
  std::uint64_t most = owner_.options.max_drained_bytes;
  if (!framing_.chunked) return decoder_.known_left() <= most;
  body_decoder ahead = decoder_;
  std::uint64_t left = 0;
  try {
    for (std::string_view data = in_.data(); !ahead.done();) {
      body_decoder::step s = ahead.take(data);
      left += s.piece.size();
      if (s.consumed == 0 || left > most) return false;
      data.remove_prefix(s.consumed);
    }
  } catch (const protocol_error&) {
    return false;  // malformed: no next request can be found behind it
  }
  return true;
}

void connection::append_answer(const response& answer) {
  answer_framing how{body_framing::length, answer.body.size(), !close_after_answer_, request_.minor_version() == 0};
  if (has_no_body(answer.status)) how.body = body_framing::none;
  append_answer_head(out_, answer, owner_.fields.at(loop_), how);
  if (how.body != body_framing::length || request_.method() == "HEAD") return;
  out_ += answer.body;
  if (answer.held) held_.push_back(answer.held);
}

// The last answer of a connection whose next bytes can't be trusted.
task<void> connection::refuse(const protocol_error& e) {
  response answer = to_response(problem_of(e.errc(), e.message(), request_));
  std::string_view refused = head_.empty() ? in_.data() : head_;
  append_answer_head(out_, answer, owner_.fields.at(loop_), {body_framing::length, answer.body.size(), false, false});
  if (!refused.starts_with("HEAD ")) out_ += answer.body;  // RFC 9110, 9.3.2
  if (owner_.metrics) owner_.metrics->answered(owner_.routes.size(), {}, answer.status, duration::zero());
  co_await flush();
  stream_->shutdown_send();
  co_await linger();
}

}  // namespace penstock::http

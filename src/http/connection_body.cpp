#include "answer_head.h"
#include "connection.h"
#include "penstock/core/outcome.h"
#include "penstock/core/traceback.h"
#include "penstock/net/error.h"
#include "penstock/observe/log.h"
#include "server_implementation.h"

#include <charconv>

// Invariant: here a handler, or the producer of its answer, is at work, so a client that is too slow makes its wait
// throw and never cancels it: it ends as it would for any other error.

namespace penstock::http {
namespace {

// What a client does to its own body is no error of ours: a handler that it fails is not logged either.
bool is_about_the_request(const std::exception_ptr& failure) {
  const auto* refusal = penstock::detail::exception_as<protocol_error>(failure);
  return refusal != nullptr && status_of(refusal->errc()) < 500 && attached_failures(failure).empty();
}

}  // namespace

// While it lives, the watchdog wakes the handler's wait instead of ending the connection. One for each wait: a handler
// whose own timeout cut one short may wait again.
class connection::handler_wait {
 public:
  explicit handler_wait(connection& c) noexcept : connection_(c) { c.handler_scope_ = &scope_; }
  handler_wait(const handler_wait&) = delete;
  handler_wait& operator=(const handler_wait&) = delete;
  ~handler_wait() {
    connection_.handler_scope_ = nullptr;
    connection_.enter(phase::handling);
  }
  cancel_scope& scope() noexcept { return scope_; }

 private:
  connection& connection_;
  cancel_scope scope_;
};

// A streamed answer's body, into the connection's output.
class connection::outgoing_body final : public body_writer {
 public:
  outgoing_body(connection& c, bool chunked) noexcept : connection_(c), chunked_(chunked) {}

  task<void> write(std::string_view piece) override {
    if (piece.empty()) co_return;
    std::string& out = connection_.out_;
    if (chunked_) {
      char size[16];
      out.append(size, std::to_chars(size, size + sizeof(size), piece.size(), 16).ptr);
      out += "\r\n";
    }
    out += piece;
    if (chunked_) out += "\r\n";
    task<void> sending = connection_.flush_for_handler();
    co_await std::move(sending);
  }

 private:
  connection& connection_;
  bool chunked_;
};

std::optional<std::uint64_t> connection::incoming_body::length() const noexcept {
  if (connection_.framing_.chunked) return std::nullopt;
  return connection_.framing_.length;
}

task<std::string_view> connection::incoming_body::read_some() {
  connection& c = connection_;
  for (;;) {
    std::string_view piece = c.take_buffered_body();
    if (!piece.empty() || c.decoder_.done()) co_return piece;
    task<void> more = c.read_body_bytes();
    co_await std::move(more);
  }
}

std::string_view connection::take_buffered_body() {
  for (;;) {
    body_decoder::step s = decoder_.take(in_.data());
    in_.take(s.consumed);
    if (!s.piece.empty() || s.consumed == 0) return s.piece;
  }
}

task<void> connection::read_body_bytes() {
  // None follows the head of the answer itself (RFC 9110, 10.1.1).
  if (std::exchange(framing_.expects_continue, false) && in_.empty() && !streaming_)
    out_ += "HTTP/1.1 100 Continue\r\n\r\n";
  std::size_t n = 0;
  handler_wait waiting(*this);
  try {
    task<std::size_t> reading = waiting.scope().run(flush_and_fill());
    n = co_await std::move(reading);
  } catch (const operation_cancelled&) {
    if (!expired_) throw;
  } catch (const error& e) {
    if (!e.is(net::net_errc::connection_closed)) throw;
  }
  if (n > 0) {
    expired_ = false;
    co_return;
  }
  if (expired_) throw protocol_error(http_errc::request_timeout, "the body did not come in time");
  throw protocol_error(http_errc::body_incomplete, "the connection ended inside the body");
}

task<std::size_t> connection::flush_and_fill() {
  co_await flush();
  enter(phase::body);
  if (in_.empty()) in_.resize(body_buffer_bytes);
  task<std::size_t> reading = fill();
  co_return co_await std::move(reading);
}

// Reads what the handler left of a body; false when the next request can't follow. The answer is sent already, so
// nothing that goes wrong here is told any more.
task<bool> connection::drop_body() {
  std::uint64_t dropped = 0;
  try {
    while (!decoder_.done()) {
      std::string_view piece = take_buffered_body();
      dropped += piece.size();
      if (dropped > owner_.options.max_drained_bytes) co_return false;
      if (!piece.empty() || decoder_.done()) continue;
      task<void> more = read_body_bytes();
      co_await std::move(more);
    }
  } catch (const protocol_error&) {
    co_return false;
  }
  co_return true;
}

task<void> connection::send_stream(response& answer) {
  bool chunked = request_.minor_version() > 0;
  bool closes = close_after_answer_;
  std::size_t before = out_.size();
  close_after_answer_ = closes || !chunked;
  answer_framing how{chunked ? body_framing::chunked : body_framing::until_close, 0, !close_after_answer_, !chunked};
  append_answer_head(out_, answer, owner_.fields.at(loop_), how);
  if (request_.method() == "HEAD") co_return;
  outgoing_body body(*this, chunked);
  std::exception_ptr failure;
  streaming_ = true;
  head_gone_ = false;
  try {
    task<void> producing = answer.stream(body);
    co_await std::move(producing);
  } catch (...) {
    failure = std::current_exception();
  }
  streaming_ = false;
  if (!failure) {
    if (chunked) out_ += "0\r\n\r\n";
    co_return;
  }
  if (!head_gone_) {
    out_.resize(before);
    close_after_answer_ = closes;
    answer = answer_to(failure);
    append_answer(answer);
    co_return;
  }
  bool client_left = broken_;
  if (!chunked) {
    // Where the body ends with the connection, only a reset tells the client that this is not its end.
    broken_ = true;
    stream_->reset();
  }
  if (is_cancelled()) std::rethrow_exception(failure);
  close_after_answer_ = true;
  if (client_left) co_return;
  log::exception(is_about_the_request(failure) ? log::level::debug : log::level::error, "answer broke off", failure,
                 {{"method", request_.method()}, {"path", request_.path()}});
}

task<void> connection::flush_for_handler() {
  handler_wait waiting(*this);
  try {
    task<void> writing = waiting.scope().run(flush());
    co_await std::move(writing);
    expired_ = false;
    co_return;
  } catch (const operation_cancelled&) {
    if (!expired_) throw;
  }
  throw error(net::net_errc::connection_closed, "the client does not take the answer");
}

}  // namespace penstock::http

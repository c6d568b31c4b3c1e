#pragma once

// One connection: requests in, answers out, in order. Invariants: requests are handled one at a time; answers are
// gathered while further requests are in the buffer, and written before anything is waited for; whatever a handler
// leaves unread of a body is read or the connection closes; the watchdog timer is armed while the connection lives and
// only compares against `expires_`, so that a request costs no timer operation.

#include "penstock/async/cancel.h"
#include "penstock/async/detail/list.h"
#include "penstock/http/error.h"
#include "penstock/http/server.h"
#include "penstock/net/stream.h"
#include "request_parser.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace penstock::http {

class connection : public penstock::detail::list_hook {
 public:
  connection(server::implementation& owner, std::unique_ptr<net::stream> stream);
  ~connection();

  // Serves until the connection ends; throws nothing but what is worth a line in the log.
  task<void> serve();
  // No further request is read; an idle connection ends now.
  void finish_soon() noexcept;

 private:
  class incoming_body;
  class outgoing_body;
  enum class phase { idle, head, body, handling, writing };

  task<void> serve_requests();
  task<bool> read_head();
  task<void> answer_one();
  task<response> run_handler(request& r);
  task<void> call_handler(const handler& call, request& r, response& out);
  void append_answer(const request& r, response& answer, bool keep_alive);
  void append_head(const request& r, const response& answer, std::optional<std::uint64_t> length, bool keep_alive);
  task<void> send_stream(const request& r, response& answer);
  task<bool> drain_body();
  task<std::size_t> fill();
  task<void> flush();
  task<void> refuse(const protocol_error& e);
  std::string_view buffered() const noexcept { return {buffer_.data() + begin_, end_ - begin_}; }
  void enter(phase p) noexcept;
  static void watch(timer& t) noexcept;

  struct watchdog : timer {
    explicit watchdog(connection& c) noexcept : timer(&connection::watch), owner(c) {}
    connection& owner;
  };

  server::implementation& owner_;
  std::unique_ptr<net::stream> stream_;
  cancel_scope scope_;
  watchdog watchdog_{*this};
  time_point expires_{};
  phase phase_ = phase::idle;
  bool expired_ = false;
  bool finishing_ = false;
  bool close_after_answer_ = false;

  std::vector<char> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t scanned_ = 0;
  std::string head_;
  std::string out_;
  std::optional<request_parser> parser_;
};

}  // namespace penstock::http

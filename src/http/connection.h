#pragma once

// One connection: requests in, answers out, in order. Invariants: requests are handled one at a time; answers are
// gathered while further requests are in the buffer, and written before anything is waited for; whatever a handler
// leaves unread of a body is read or the connection closes; the watchdog timer only compares against `expires_`, so
// that a request costs no timer operation; what a handler waits for here fails in the handler, and what is waited for
// between requests ends the connection.

#include "body_decoder.h"
#include "head_parser.h"
#include "penstock/async/cancel.h"
#include "penstock/async/detail/list.h"
#include "penstock/http/error.h"
#include "penstock/http/server.h"
#include "penstock/net/stream.h"
#include "penstock/observe/request_context.h"
#include "read_buffer.h"

#include <exception>
#include <memory>
#include <optional>
#include <string>

namespace penstock::http {

inline constexpr std::size_t idle_buffer_bytes = std::size_t{16} << 10;
inline constexpr std::size_t body_buffer_bytes = std::size_t{64} << 10;
// How long a connection that has got its last answer is looked after.
inline constexpr auto farewell = std::chrono::seconds(1);

class connection : public penstock::detail::list_hook {
 public:
  connection(server::implementation& owner, std::unique_ptr<net::stream> stream);
  ~connection();

  // Serves until the connection ends; throws nothing but what is worth a line in the log.
  task<void> serve();
  // No further request is read; an idle connection ends now.
  void finish_soon() noexcept;
  // What clients do to a connection is no error of ours.
  static bool is_the_clients_doing(const std::exception_ptr& failure) noexcept;

 private:
  enum class phase { idle, head, body, handling, writing, closing };

  // The body of the request that is handled.
  class incoming_body final : public body_reader {
   public:
    explicit incoming_body(connection& c) noexcept : connection_(c) {}
    task<std::string_view> read_some() override;
    std::optional<std::uint64_t> length() const noexcept override;

   private:
    connection& connection_;
  };
  class outgoing_body;
  class handler_wait;

  // connection.cpp: from one request to the next
  task<void> serve_requests();
  bool take_head();
  void await_request();
  task<void> answer_one();
  void begin_request();
  response answer_to(const std::exception_ptr& failure);
  bool keeps_alive() const noexcept;
  bool end_of_body_is_near() const noexcept;
  void append_answer(const response& answer);
  task<void> refuse(const protocol_error& e);
  task<void> linger();

  // connection_body.cpp: bodies, while a handler runs
  std::string_view take_buffered_body();
  task<void> read_body_bytes();
  task<std::size_t> flush_and_fill();
  task<bool> drop_body();
  task<void> send_stream(response& answer);
  task<void> flush_for_handler();

  // connection_io.cpp: bytes and their time limits
  task<std::size_t> fill();
  task<void> flush();
  void enter(phase p) noexcept;
  void expire_at(time_point when) noexcept;
  static void watch(timer& t) noexcept;

  struct watchdog : timer {
    explicit watchdog(connection& c) noexcept : timer(&connection::watch), owner(c) {}
    connection& owner;
  };

  server::implementation& owner_;
  scheduler& loop_;
  std::unique_ptr<net::stream> stream_;

  cancel_scope scope_;                     // of the whole connection
  cancel_scope* handler_scope_ = nullptr;  // of what a handler awaits of its client; null when it awaits nothing
  watchdog watchdog_{*this};
  time_point expires_ = time_point::max();
  int spared_ = 0;  // how often the watchdog, once expired, has put off what it does
  phase phase_ = phase::handling;
  bool expired_ = false;  // what was waited for last came too late, or not at all
  bool head_expired_ = false;
  bool ends_quietly_ = false;
  bool broken_ = false;     // a write or an answer failed or was cut short: nothing more can be sent
  bool streaming_ = false;  // what is read or written is a producer's doing, behind the head of its answer
  bool head_gone_ = false;  // that head may have been sent, or some of it
  bool finishing_ = false;
  bool close_after_answer_ = false;
  bool served_one_ = false;

  read_buffer in_;
  std::size_t scanned_ = 0;  // of the buffered bytes, in search of a head's end
  std::string head_;         // of the request that is handled; empty before it is whole
  std::string out_;
  std::vector<std::shared_ptr<const void>> held_;  // what answers in `out_` hold

  request request_;
  request_context context_{std::string()};
  framing framing_;
  body_decoder decoder_;
  incoming_body body_{*this};
};

}  // namespace penstock::http

#pragma once

#include "client_multi.h"
#include "client_url.h"
#include "penstock/async/scheduler.h"
#include "penstock/async/suspension.h"
#include "penstock/http/client.h"
#include "penstock/http/gzip_decoder.h"

#include <array>
#include <exception>
#include <memory>
#include <optional>
#include <string>

#include <curl/curl.h>

namespace penstock::http {

struct free_header_list {
  void operator()(curl_slist* l) const noexcept { ::curl_slist_free_all(l); }
};
using header_list = std::unique_ptr<curl_slist, free_header_list>;

// Throws `client_errc::bad_request` for what would not go out as it is meant: a malformed method, field name or value,
// or a field that is the client's to send.
void check_request(const client_request& r);

// One exchange: a request, and its answer or failure. The request, the address and the options outlive it.
class transfer final : private multi_entry {
 public:
  // `addresses` are the host's, as CURLOPT_RESOLVE takes them; empty when it is an address itself. `deadline` is told
  // to the server.
  transfer(client_multi& multi, const client_options& options, const client_request& request, const client_url& where,
           const std::string& addresses, std::optional<time_point> deadline);
  ~transfer();

  class wait_awaiter;
  // Awaits the end of the exchange. Cancellable. Once.
  wait_awaiter wait() noexcept;
  // The answer; throws `client_error`. After `wait`.
  client_response take();
  // How many connections were made for it.
  long connections_made() const noexcept;

 private:
  struct idle_timer : timer {
    explicit idle_timer(transfer& t) noexcept : timer(&fire), owner(t) {}
    static void fire(timer& t) noexcept;
    transfer& owner;
  };

  void start(wait_awaiter& waiter);
  void give_up() noexcept;
  template <class Value>
  void set(CURLoption option, Value value);
  void set_limits();
  void set_method();
  void set_fields(std::optional<time_point> deadline);
  void set_addresses(const std::string& addresses);

  static int on_progress(void* self, curl_off_t, curl_off_t received, curl_off_t, curl_off_t sent) noexcept;
  static int on_request(void* self, char*, char*, int, int) noexcept;
  void finished(CURLcode result) noexcept override;
  void refused_by(std::exception_ptr connecting) noexcept override;
  void watch_for_idleness();

  // client_transfer_answer.cpp: the answer, as it comes
  static std::size_t on_header(char* data, std::size_t, std::size_t size, void* self) noexcept;
  static std::size_t on_body(char* data, std::size_t, std::size_t size, void* self) noexcept;
  void add_header_line(std::string_view line);
  void fold(std::string_view line);
  void check_head_came() const;
  void check_length() const;
  void check_transfer_coding() const;
  // libcurl can decode too, but takes a coded body that breaks off for a whole one.
  void take_coding();
  [[noreturn]] void throw_bad_coding(const std::string& what) const;
  [[noreturn]] void throw_too_large() const;
  void add_piece(std::string_view piece);
  void add_body(std::string_view piece);

  [[noreturn]] void throw_failure() const;
  client_timing timing() const noexcept;

  client_multi& multi_;
  const client_options& options_;
  const client_request& request_;
  const client_url& where_;
  header_list fields_;
  header_list addresses_;
  std::array<char, CURL_ERROR_SIZE> reason_{};

  client_response answer_;
  std::size_t header_bytes_ = 0;
  bool head_done_ = false;
  std::optional<gzip_decoder> packed_;  // while the answer is gzip
  std::uint64_t packed_bytes_ = 0;
  std::string unasked_coding_;
  bool was_sent_ = false;
  bool starts_again_ = false;   // the kept connection that it was to use can't be used
  std::exception_ptr refused_;  // what a callback threw
  CURLcode result_ = CURLE_OK;
  scheduler& clock_;
  time_point moved_at_;  // when a byte went either way
  curl_off_t moved_bytes_ = 0;
  idle_timer idle_{*this};
  wait_awaiter* waiter_ = nullptr;
};

class [[nodiscard]] transfer::wait_awaiter : public suspension {
 public:
  explicit wait_awaiter(transfer& t) noexcept : transfer_(t) {}
  bool await_ready() noexcept { return check_cancelled(); }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> task) {
    transfer_.start(*this);
    suspend(task.promise());
  }
  void await_resume() const { throw_if_cancelled(); }
  std::string_view waiting_for() const noexcept override { return "an HTTP answer"; }

 private:
  friend class transfer;
  void cancel() noexcept override {
    transfer_.give_up();
    wake_cancelled();
  }
  transfer& transfer_;
};

inline transfer::wait_awaiter transfer::wait() noexcept { return wait_awaiter(*this); }

}  // namespace penstock::http

#include "client_transfer.h"

#include "penstock/async/error.h"
#include "penstock/core/outcome.h"
#include "penstock/core/units.h"
#include "penstock/http/request.h"
#include "penstock/net/error.h"
#include "penstock/observe/request_context.h"
#include "trace_parent.h"

#include <algorithm>
#include <climits>
#include <new>
#include <utility>

// Invariant: the easy handle goes back to the multi handle's store when the exchange is over or given up, and is under
// way only between `wait` and `finished`, or the cancellation that takes its place.

namespace penstock::http {
namespace {

// RFC 9110, 5.6.2.
bool is_token(std::string_view text) {
  constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || marks.find(c) != marks.npos;
  });
}

bool is_field_value(std::string_view text) { return text.find_first_of(std::string_view("\r\n\0", 3)) == text.npos; }

bool is_the_clients_field(std::string_view name) {
  for (std::string_view ours : {"host", "content-length", "transfer-encoding", "connection"})
    if (equal_ignoring_case(name, ours)) return true;
  return false;
}

bool has_field(const client_request& r, std::string_view name) {
  return std::any_of(r.headers.begin(), r.headers.end(),
                     [&](const auto& field) { return equal_ignoring_case(field.first, name); });
}

// RFC 9110, 9.2.2; a request with an Idempotency-Key may be repeated too.
bool may_be_sent_twice(const client_request& r) {
  for (std::string_view safe : {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"})
    if (r.method == safe) return true;
  return has_field(r, "Idempotency-Key");
}

// 0 is "no limit" to libcurl.
long milliseconds_of(duration limit) {
  if (limit == duration::max()) return 0;
  auto whole = std::chrono::ceil<std::chrono::milliseconds>(limit).count();
  return static_cast<long>(std::clamp<decltype(whole)>(whole, 1, INT_MAX));
}

long seconds_of(duration limit) {
  if (limit == duration::max()) return 0;
  auto whole = std::chrono::ceil<std::chrono::seconds>(limit).count();
  return static_cast<long>(std::clamp<decltype(whole)>(whole, 1, INT_MAX / 1000));
}

void append(header_list& list, const std::string& line) {
  curl_slist* longer = ::curl_slist_append(list.get(), line.c_str());
  if (longer == nullptr) throw std::bad_alloc();
  static_cast<void>(list.release());
  list.reset(longer);
}

// Nothing was sent by what fails so.
bool is_of_connecting(client_errc code) {
  return code == client_errc::resolve_failed || code == client_errc::connect_failed || code == client_errc::tls_failed;
}

client_errc code_of(CURLcode result, bool answer_began) {
  switch (result) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return client_errc::resolve_failed;
    case CURLE_COULDNT_CONNECT:
      return client_errc::connect_failed;
    case CURLE_OPERATION_TIMEDOUT:
      return client_errc::timed_out;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_ENGINE_INITFAILED:
      return client_errc::tls_failed;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
      return answer_began ? client_errc::broken_response : client_errc::connection_lost;
    case CURLE_PARTIAL_FILE:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_BAD_CONTENT_ENCODING:
      return client_errc::broken_response;
    default:
      return client_errc::transfer_failed;
  }
}

}  // namespace

void check_request(const client_request& r) {
  if (!is_token(r.method))
    throw client_error(client_errc::bad_request, "request", r.url, "the method must be a token such as GET");
  for (const auto& [name, value] : r.headers) {
    std::string field = "header field '" + name + "'";
    if (!is_token(name))
      throw client_error(client_errc::bad_request, r.method, r.url, field + ": its name must be a token");
    if (!is_field_value(value))
      throw client_error(client_errc::bad_request, r.method, r.url, field + ": its value has a line break or NUL");
    if (is_the_clients_field(name))
      throw client_error(client_errc::bad_request, r.method, r.url, field + " is the client's to send: leave it out");
  }
}

transfer::transfer(client_multi& multi, const client_options& options, const client_request& request,
                   const client_url& where, const std::string& addresses, std::optional<time_point> deadline)
    : multi_entry(multi.take_easy()),
      multi_(multi),
      options_(options),
      request_(request),
      where_(where),
      clock_(scheduler::current()) {
  set(CURLOPT_ERRORBUFFER, reason_.data());
  set(CURLOPT_URL, where_.text().c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_PROXY, "");
  // libcurl takes in an HTTP/2 peer's frames for as long as they come, and nothing else gets a turn meanwhile, not even
  // a timeout. Nor is another protocol offered: libcurl would follow a peer that chooses HTTP/2 all the same, which
  // OpenSSL refuses from 3.0.15 on.
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(CURLOPT_SSL_ENABLE_ALPN, 0L);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_QUICK_EXIT, 1L);
  set(CURLOPT_USERAGENT, options_.user_agent.c_str());
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  set(CURLOPT_SSL_VERIFYPEER, options_.verify_tls ? 1L : 0L);
  set(CURLOPT_SSL_VERIFYHOST, options_.verify_tls ? 2L : 0L);
  if (!options_.ca_bundle.empty()) {
    set(CURLOPT_CAINFO, options_.ca_bundle.c_str());
    set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));  // a folder of the system's would be trusted besides
  }
  set(CURLOPT_HEADERFUNCTION, &on_header);
  set(CURLOPT_HEADERDATA, this);
  set(CURLOPT_WRITEFUNCTION, &on_body);
  set(CURLOPT_WRITEDATA, this);
  set(CURLOPT_PREREQFUNCTION, &on_request);
  set(CURLOPT_PREREQDATA, this);
  set_limits();
  set_method();
  set_fields(deadline);
  set_addresses(addresses);
  if (multi_.connects_by_stream()) multi_.connect_by_stream(*this, where_.endpoint());
}

transfer::~transfer() {
  give_up();
  multi_.recycle(take_easy());
}

void transfer::start(wait_awaiter& waiter) {
  waiter_ = &waiter;
  moved_at_ = clock_.now();
  watch_for_idleness();
  multi_.add(*this);
}

void transfer::give_up() noexcept {
  idle_.cancel();
  multi_.remove(*this);
}

template <class Value>
void transfer::set(CURLoption option, Value value) {
  CURLcode refused = ::curl_easy_setopt(easy(), option, value);
  if (refused == CURLE_OUT_OF_MEMORY) throw std::bad_alloc();
  if (refused != CURLE_OK)
    throw client_error(client_errc::transfer_failed, request_.method, where_.text(),
                       std::string("libcurl refuses an option: ") + ::curl_easy_strerror(refused));
}

void transfer::set_limits() {
  set(CURLOPT_CONNECTTIMEOUT_MS,
      options_.connect_timeout == duration::max() ? long{INT_MAX} : milliseconds_of(options_.connect_timeout));
  set(CURLOPT_NOPROGRESS, 0L);
  set(CURLOPT_XFERINFOFUNCTION, &on_progress);
  set(CURLOPT_XFERINFODATA, this);
  set(CURLOPT_MAXAGE_CONN, seconds_of(options_.keep_alive));
}

void transfer::set_method() {
  if (request_.method == "HEAD") {
    set(CURLOPT_NOBODY, 1L);
    return;
  }
  std::string_view body = request_.body_to_send();
  bool has_body = !body.empty() || request_.method == "POST" || request_.method == "PUT";
  if (has_body) {
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    set(CURLOPT_POSTFIELDS, body.empty() ? "" : body.data());
  }
  set(CURLOPT_CUSTOMREQUEST, request_.method.c_str());
}

void transfer::set_fields(std::optional<time_point> deadline) {
  for (const auto& [name, value] : request_.headers) {
    std::string line = name;
    line += value.empty() ? ";" : ": ";
    append(fields_, line += value);
  }
  if (options_.decompress && !has_field(request_, "Accept-Encoding")) append(fields_, "Accept-Encoding: gzip");
  append(fields_, "Expect:");  // waiting for a 100 would cost a round trip
  if (!has_field(request_, "Content-Type")) append(fields_, "Content-Type:");
  if (const request_context* within = current_request.get()) {
    if (!has_field(request_, "X-Request-Id") && is_field_value(within->id()) && !within->id().empty())
      append(fields_, "X-Request-Id: " + within->id());
    if (!has_field(request_, "traceparent") && is_trace_part(within->trace_id(), 32) &&
        is_trace_part(within->span_id(), 16)) {
      append(fields_, "traceparent: 00-" + within->trace_id() + "-" + within->span_id() +
                          (within->is_sampled() ? "-01" : "-00"));
      const std::string& state = within->trace_state();
      if (!has_field(request_, "tracestate") && !state.empty() && is_field_value(state))
        append(fields_, "tracestate: " + state);
    }
  }
  if (deadline && !has_field(request_, "X-Request-Timeout-Ms")) {
    auto left = std::chrono::floor<std::chrono::milliseconds>(*deadline - scheduler::current().now());
    append(fields_, "X-Request-Timeout-Ms: " + std::to_string(std::max<std::int64_t>(left.count(), 0)));
  }
  set(CURLOPT_HTTPHEADER, fields_.get());
}

void transfer::set_addresses(const std::string& addresses) {
  if (addresses.empty()) return;
  // With '+' libcurl forgets them in time.
  append(addresses_, "+" + where_.host() + ":" + where_.port() + ":" + addresses);
  set(CURLOPT_RESOLVE, addresses_.get());
}

// Called before each time the request is sent; for a second time when a kept connection was found closed.
int transfer::on_request(void* self, char*, char*, int, int) noexcept {
  auto& me = *static_cast<transfer*>(self);
  if (me.was_sent_ && !may_be_sent_twice(me.request_)) return CURL_PREREQFUNC_ABORT;
  me.starts_again_ = me.connections_made() == 0 && !me.where_.secure() && !me.multi_.can_use_kept(me);
  if (me.starts_again_) return CURL_PREREQFUNC_ABORT;
  me.was_sent_ = true;
  return CURL_PREREQFUNC_OK;
}

int transfer::on_progress(void* self, curl_off_t, curl_off_t received, curl_off_t, curl_off_t sent) noexcept {
  auto& me = *static_cast<transfer*>(self);
  if (std::exchange(me.moved_bytes_, received + sent) != received + sent) me.moved_at_ = me.clock_.now();
  return 0;
}

// libcurl's own measure is an average over seconds.
void transfer::watch_for_idleness() {
  if (options_.idle_timeout == duration::max()) return;
  clock_.add_timer(idle_, moved_at_ + options_.idle_timeout);
}

void transfer::idle_timer::fire(timer& t) noexcept {
  transfer& self = static_cast<idle_timer&>(t).owner;
  if (self.clock_.now() - self.moved_at_ < self.options_.idle_timeout) return self.watch_for_idleness();
  // Before it was sent, whoever would connect it is silent.
  client_errc code = self.was_sent_ ? client_errc::timed_out : client_errc::connect_failed;
  self.refused_ =
      std::make_exception_ptr(client_error(code, self.request_.method, self.where_.text(),
                                           "no byte came or went for " + format_duration(self.options_.idle_timeout)));
  self.multi_.finish(self, CURLE_OPERATION_TIMEDOUT);
}

void transfer::finished(CURLcode result) noexcept {
  if (std::exchange(starts_again_, false)) {
    // Nothing was sent yet over that connection, which is closed.
    try {
      set(CURLOPT_FRESH_CONNECT, 1L);
      multi_.add(*this);
      return;
    } catch (...) {
      refused_ = std::current_exception();
    }
  }
  idle_.cancel();
  result_ = result;
  waiter_->wake();
}

void transfer::refused_by(std::exception_ptr connecting) noexcept {
  client_errc code = client_errc::connect_failed;
  std::string reason = "no connection could be made";
  if (const auto* known = penstock::detail::exception_as<error>(connecting)) {
    reason = known->message();
    if (known->is(net::net_errc::resolve_failed)) code = client_errc::resolve_failed;
  }
  refused_ = std::make_exception_ptr(client_error(code, request_.method, where_.text(), reason, std::move(connecting)));
}

client_response transfer::take() {
  if (refused_) std::rethrow_exception(refused_);
  if (result_ != CURLE_OK) throw_failure();
  check_head_came();
  if (packed_ && !packed_->whole()) throw_bad_coding("the gzip body ends too early");
  answer_.effective_url = where_.address();
  answer_.reused_connection = connections_made() == 0;
  answer_.timing = timing();
  return std::move(answer_);
}

void transfer::throw_failure() const {
  if (result_ == CURLE_ABORTED_BY_CALLBACK && was_sent_)
    throw client_error(client_errc::connection_lost, request_.method, where_.text(),
                       "the kept connection was closed before an answer; not sent again, for it may have been carried "
                       "out: give it an Idempotency-Key if the server knows such");
  std::string reason = reason_[0] != '\0' ? reason_.data() : ::curl_easy_strerror(result_);
  client_errc code = code_of(result_, header_bytes_ > 0);
  if (code == client_errc::timed_out && !was_sent_) code = client_errc::connect_failed;
  // What was sent over a kept connection that closed before an answer may have been carried out, though the connection
  // that it was to be sent over again could not be made.
  if (was_sent_ && is_of_connecting(code)) {
    code = client_errc::connection_lost;
    reason = "the kept connection was closed before an answer, and there was no other to send it again: " + reason;
  }
  throw client_error(code, request_.method, where_.text(), reason);
}

long transfer::connections_made() const noexcept {
  long made = 0;
  ::curl_easy_getinfo(easy(), CURLINFO_NUM_CONNECTS, &made);
  return made;
}

client_timing transfer::timing() const noexcept {
  auto read = [this](CURLINFO what) {
    curl_off_t microseconds = 0;
    ::curl_easy_getinfo(easy(), what, &microseconds);
    return duration(std::chrono::microseconds(microseconds));
  };
  client_timing t;
  if (connections_made() > 0)
    t.connected = read(where_.secure() ? CURLINFO_APPCONNECT_TIME_T : CURLINFO_CONNECT_TIME_T);
  t.first_byte = read(CURLINFO_STARTTRANSFER_TIME_T);
  t.total = read(CURLINFO_TOTAL_TIME_T);
  return t;
}

}  // namespace penstock::http

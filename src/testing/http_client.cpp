#include "penstock/testing/http_client.h"

#include "penstock/async/error.h"
#include "penstock/async/timeout.h"
#include "penstock/core/units.h"
#include "penstock/http/client_error.h"
#include "penstock/http/request.h"
#include "penstock/net/error.h"

#include <charconv>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

// Invariant: a connection is kept only when a request was sent and its answer read to the last byte.

namespace penstock::testing {
namespace {

using http::client_errc;
using http::client_error;
using http::client_request;
using http::client_response;

struct target {
  net::endpoint at;
  std::string path;
};

target target_of(const client_request& r) {
  constexpr std::string_view scheme = "http://";
  std::string_view rest = r.url;
  if (!rest.starts_with(scheme))
    throw client_error(client_errc::bad_url, r.method, r.url, "a simulated client speaks http:// alone");
  rest.remove_prefix(scheme.size());
  std::size_t slash = std::min(rest.find('/'), rest.size());
  std::string host(rest.substr(0, slash));
  if (host.find(':') == std::string::npos) host += ":80";
  return {net::endpoint::parse(host), slash == rest.size() ? "/" : std::string(rest.substr(slash))};
}

std::string head_of(const client_request& r, const target& to, bool keep_alive) {
  std::string head = r.method + " " + to.path + " HTTP/1.1\r\nHost: " + to.at.to_string() + "\r\n";
  if (!r.body.empty() || r.method == "POST" || r.method == "PUT")
    head += "Content-Length: " + std::to_string(r.body.size()) + "\r\n";
  if (!keep_alive) head += "Connection: close\r\n";
  for (const auto& [name, value] : r.headers) head += name + ": " + value + "\r\n";
  return head + "\r\n";
}

template <class Integer>
std::optional<Integer> number_of(std::string_view text, int base = 10) {
  Integer n{};
  auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), n, base);
  if (failure != std::errc() || end == text.data()) return std::nullopt;
  return n;
}

}  // namespace

// One request over one connection.
class http_client::exchange {
 public:
  exchange(net::stream& stream, const client_request& r) : stream_(stream), request_(r) {}

  task<void> write(const target& to, bool keep_alive) {
    std::string head = head_of(request_, to, keep_alive);
    std::vector<std::span<const std::byte>> parts{net::bytes_of(head), net::bytes_of(request_.body)};
    task<void> writing = stream_.write(parts);
    co_await std::move(writing);
  }

  task<client_response> read() {
    client_response answer;
    do {
      task<std::string> heading = read_until("\r\n\r\n");
      std::string head = co_await std::move(heading);
      answer = parse_head(head);
    } while (answer.status < 200);
    task<std::string> body = read_body(answer);
    answer.body = co_await std::move(body);
    answer.effective_url = request_.url;
    co_return answer;
  }

  // Nothing stands in the way of a next request.
  bool may_be_kept(const client_response& answer) const {
    return !until_closed_ && received_.empty() &&
           !http::equal_ignoring_case(answer.header("Connection").value_or(""), "close");
  }
  bool answer_began() const noexcept { return began_; }

 private:
  task<std::string> read_body(const client_response& answer) {
    if (request_.method == "HEAD" || answer.status == 204 || answer.status == 304) co_return std::string();
    if (http::equal_ignoring_case(answer.header("Transfer-Encoding").value_or(""), "chunked")) {
      task<std::string> chunks = read_chunks();
      co_return co_await std::move(chunks);
    }
    if (std::optional<std::string_view> length = answer.header("Content-Length")) {
      std::optional<std::size_t> bytes = number_of<std::size_t>(*length);
      if (!bytes) fail("its Content-Length is no number");
      task<std::string> counted = read_exactly(*bytes);
      co_return co_await std::move(counted);
    }
    until_closed_ = true;
    for (bool more = true; more;) {
      task<bool> reading = read_more();
      more = co_await std::move(reading);
    }
    co_return std::exchange(received_, {});
  }

  task<std::string> read_chunks() {
    std::string body;
    for (;;) {
      task<std::string> line = read_until("\r\n");
      std::string text = co_await std::move(line);
      std::optional<std::size_t> size = number_of<std::size_t>(text, 16);
      if (!size) fail("a chunk has no size");
      task<std::string> chunk = read_exactly(*size + 2);
      std::string bytes = co_await std::move(chunk);
      if (*size == 0) co_return body;
      body.append(bytes, 0, *size);
    }
  }

  task<std::string> read_until(std::string_view mark) {
    std::size_t at;
    while ((at = received_.find(mark)) == std::string::npos) {
      task<bool> reading = read_more();
      bool more = co_await std::move(reading);
      if (!more) fail("it ended in the middle");
    }
    std::string text = received_.substr(0, at + mark.size());
    received_.erase(0, text.size());
    co_return text;
  }

  task<std::string> read_exactly(std::size_t bytes) {
    while (received_.size() < bytes) {
      task<bool> reading = read_more();
      bool more = co_await std::move(reading);
      if (!more) fail("it ended in the middle");
    }
    std::string text = received_.substr(0, bytes);
    received_.erase(0, bytes);
    co_return text;
  }

  task<bool> read_more() {
    std::vector<std::byte> buffer(16 * 1024);
    task<std::size_t> reading = stream_.read_some(buffer);
    std::size_t n = co_await std::move(reading);
    began_ = began_ || n > 0;
    received_.append(reinterpret_cast<const char*>(buffer.data()), n);
    co_return n > 0;
  }

  client_response parse_head(const std::string& head) const {
    std::optional<int> status;
    if (head.starts_with("HTTP/1.") && head.size() > 12) status = number_of<int>(std::string_view(head).substr(9, 3));
    if (!status) fail("it has no status line");
    client_response answer;
    answer.status = *status;
    for (std::size_t at = head.find("\r\n") + 2; at + 2 < head.size();) {
      std::size_t end = head.find("\r\n", at);
      std::size_t colon = head.find(':', at);
      if (colon > end) fail("a field has no colon");
      std::size_t value = std::min(head.find_first_not_of(' ', colon + 1), end);
      answer.headers.emplace_back(head.substr(at, colon - at), head.substr(value, end - value));
      at = end + 2;
    }
    return answer;
  }

  [[noreturn]] void fail(const char* why) const {
    if (!began_)
      throw client_error(client_errc::connection_lost, request_.method, request_.url, "closed before an answer came");
    throw client_error(client_errc::broken_response, request_.method, request_.url, std::string("the answer: ") + why);
  }

  net::stream& stream_;
  const client_request& request_;
  std::string received_;
  bool began_ = false;
  bool until_closed_ = false;
};

http_client::http_client(network& over, std::string from, const http_client_options& options)
    : network_(over), from_(std::move(from)), options_(options) {}

http_client::~http_client() = default;

void http_client::close() noexcept { kept_.reset(); }

namespace {

task<std::unique_ptr<net::stream>> connect(network& over, std::string from, net::endpoint to,
                                           const client_request& request) {
  std::exception_ptr failure;
  client_errc code = client_errc::connect_failed;
  std::string why;
  try {
    task<std::unique_ptr<net::stream>> connecting = over.connect(std::move(from), std::move(to));
    co_return co_await std::move(connecting);
  } catch (const operation_cancelled&) {
    throw;
  } catch (const error& e) {
    failure = std::current_exception();
    if (e.is(net::net_errc::resolve_failed)) code = client_errc::resolve_failed;
    why = e.message();
  }
  throw client_error(code, request.method, request.url, why, failure);
}

}  // namespace

task<http::client_response> http_client::send(http::client_request request) {
  auto ask = [this](const client_request& r) -> task<client_response> {
    target to = target_of(r);
    std::unique_ptr<net::stream> stream = std::move(kept_);
    if (!stream) {
      task<std::unique_ptr<net::stream>> connecting = connect(network_, from_, to.at, r);
      stream = co_await std::move(connecting);
    }
    exchange one(*stream, r);
    try {
      task<void> writing = one.write(to, options_.keep_alive);
      co_await std::move(writing);
      task<client_response> reading = one.read();
      client_response answer = co_await std::move(reading);
      if (options_.keep_alive && one.may_be_kept(answer)) kept_ = std::move(stream);
      co_return answer;
    } catch (const error& e) {
      if (!e.is(net::net_errc::connection_closed)) throw;
      throw client_error(one.answer_began() ? client_errc::broken_response : client_errc::connection_lost, r.method,
                         r.url, e.message(), std::current_exception());
    }
  };
  try {
    task<client_response> limited = with_timeout(options_.request_timeout, ask(request));
    co_return co_await std::move(limited);
  } catch (const timed_out&) {
    throw client_error(client_errc::timed_out, request.method, request.url,
                       "no whole answer within " + format_duration(options_.request_timeout), std::current_exception());
  }
}

}  // namespace penstock::testing

#include "penstock/http/client.h"

#include "client_names.h"
#include "client_transfer.h"
#include "penstock/async/error.h"
#include "penstock/async/event.h"
#include "penstock/async/semaphore.h"
#include "penstock/async/timeout.h"
#include "penstock/core/units.h"
#include "penstock/http/request.h"
#include "penstock/net/error.h"
#include "penstock/observe/log.h"
#include "penstock/observe/metrics.h"

#include <algorithm>
#include <climits>
#include <map>

// Invariants: a transfer under way holds a permit of its origin and one of the client; the origin's is awaited first,
// so that requests to a busy server do not keep others from theirs. libcurl is never given more transfers than it has
// connections for, and so never lets one wait by itself.

namespace penstock::http {
namespace {

// What libcurl is told where streams are connected by name: it looks for no address then.
constexpr const char* unused_address = "127.0.0.1";

struct client_metrics {
  metrics::counter answered, failed, cancelled;
  metrics::histogram durations;
  metrics::gauge in_flight;
};

const client_metrics& metrics_of_clients() {
  static const client_metrics all = [] {
    metrics::registry& r = metrics::default_registry();
    constexpr std::string_view name = "penstock_client_requests_total";
    constexpr std::string_view help = "Requests of HTTP clients, by how they ended.";
    return client_metrics{
        r.counter(name, help, {{"outcome", "answered"}}), r.counter(name, help, {{"outcome", "failed"}}),
        r.counter(name, help, {{"outcome", "cancelled"}}),
        r.histogram("penstock_client_request_duration_seconds", "How long requests of HTTP clients took."),
        r.gauge("penstock_client_requests_in_flight", "Requests of HTTP clients that have not ended.")};
  }();
  return all;
}

// Counts a request from its first step to its end, however it ends.
class counted_request {
 public:
  counted_request(client_stats& stats, event& idle)
      : stats_(stats), idle_(idle), metrics_(metrics_of_clients()), clock_(scheduler::current()), start_(clock_.now()) {
    ++stats_.in_flight;
    idle_.clear();
    metrics_.in_flight.add();
  }
  counted_request(const counted_request&) = delete;
  counted_request& operator=(const counted_request&) = delete;
  ~counted_request() {
    if (--stats_.in_flight == 0) idle_.set();
    metrics_.in_flight.sub();
    metrics_.durations.observe(clock_.now() - start_);
    std::uint64_t& sum = answered_ ? stats_.answered : failed_ ? stats_.failed : stats_.cancelled;
    ++sum;
    (answered_ ? metrics_.answered : failed_ ? metrics_.failed : metrics_.cancelled).add();
  }
  void answered() noexcept { answered_ = true; }
  void failed() noexcept { failed_ = true; }

 private:
  client_stats& stats_;
  event& idle_;
  const client_metrics& metrics_;
  const scheduler& clock_;
  time_point start_;
  bool answered_ = false;
  bool failed_ = false;
};

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// RFC 9110, 15.4: what the next request is.
void follow(client_request& r, const client_url& from, const client_url& to, int status) {
  bool becomes_get = (status == 303 && r.method != "HEAD") || ((status == 301 || status == 302) && r.method == "POST");
  bool elsewhere = from.origin() != to.origin();
  if (becomes_get) {
    r.method = "GET";
    r.body.clear();
    r.lent_body = {};
  }
  std::erase_if(r.headers, [&](const auto& field) {
    auto is = [&](std::string_view name) { return equal_ignoring_case(field.first, name); };
    return (becomes_get && (is("Content-Type") || is("Content-Encoding") || is("Content-Language"))) ||
           (elsewhere && (is("Authorization") || is("Cookie") || is("Idempotency-Key")));
  });
  r.url = to.text();
}

}  // namespace

std::string log_value(const client_request& r) { return r.method + " " + log::redact_url(r.url); }

std::optional<std::string_view> client_response::header(std::string_view name) const noexcept {
  for (const auto& [key, value] : headers)
    if (equal_ignoring_case(key, name)) return std::string_view(value);
  return std::nullopt;
}

struct client::implementation {
  explicit implementation(const client_options& o)
      : options(o),
        slots(std::max<std::size_t>(o.max_connections, 1)),
        multi(options, static_cast<long>(std::min<std::size_t>(slots.capacity(), INT_MAX))) {}

  // The requests of one origin. Kept as long as there are any.
  struct origin {
    explicit origin(std::size_t most) : slots(most) {}
    semaphore slots;
    std::size_t users = 0;
  };
  class origin_use {
   public:
    origin_use(implementation& owner, const std::string& name)
        : owner_(owner),
          at_(owner.origins.try_emplace(name, std::max<std::size_t>(owner.options.max_connections_per_host, 1)).first) {
      ++at_->second.users;
    }
    origin_use(const origin_use&) = delete;
    origin_use& operator=(const origin_use&) = delete;
    ~origin_use() {
      if (--at_->second.users == 0) owner_.origins.erase(at_);
    }
    semaphore& slots() noexcept { return at_->second.slots; }

   private:
    implementation& owner_;
    std::map<std::string, origin>::iterator at_;
  };
  // Counts as waiting until it has both permits.
  class waiting_request {
   public:
    explicit waiting_request(client_stats& stats) noexcept : stats_(stats) { ++stats_.waiting; }
    waiting_request(const waiting_request&) = delete;
    waiting_request& operator=(const waiting_request&) = delete;
    ~waiting_request() { --stats_.waiting; }

   private:
    client_stats& stats_;
  };

  task<client_response> send(client_request r);
  task<void> close();
  task<client_response> send_following(client_request r, std::optional<time_point> deadline);
  task<client_response> exchange(const client_request& r, const client_url& where, std::optional<time_point> deadline);
  void refuse_when_overloaded(const client_request& r) const;
  // libcurl's sockets and timers are the scheduler's that the client was made under.
  bool at_home() const { return scheduler::current().number() == home; }
  [[noreturn]] static void throw_away_from_home();

  std::uint64_t home = scheduler::current().number();
  client_options options;
  client_stats stats;
  bool closed = false;
  event idle;  // while no request is in flight, once there was one
  name_cache names;
  std::map<std::string, origin> origins;
  semaphore slots;
  client_multi multi;
};

client::client(const client_options& options) : implementation_(std::make_unique<implementation>(options)) {}
client::~client() = default;

task<client_response> client::send(client_request request) { return implementation_->send(std::move(request)); }

task<client_response> client::get(std::string url) { return send(client_request(std::move(url))); }

task<client_response> client::post(std::string url, std::string body, std::string content_type) {
  return send(client_request("POST", std::move(url), std::move(body)).with("Content-Type", std::move(content_type)));
}

task<void> client::close() { return implementation_->close(); }

client_stats client::stats() const noexcept { return implementation_->stats; }

void client::implementation::throw_away_from_home() {
  throw error(async_errc::wrong_scheduler,
              "an HTTP client is used under another scheduler than it was made under: each loop needs a client of its "
              "own, and a client does not outlive its loop");
}

task<client_response> client::implementation::send(client_request r) {
  if (!at_home()) throw_away_from_home();
  counted_request counted(stats, idle);
  std::string method = r.method;
  std::string url = r.url;
  try {
    if (closed) throw client_error(client_errc::closed, method, url, "the client was closed");
    task<client_response> sending = send_following(std::move(r), current_deadline());
    task<client_response> limited = with_timeout(options.request_timeout, std::move(sending));
    client_response answer = co_await std::move(limited);
    counted.answered();
    co_return answer;
  } catch (const operation_cancelled&) {
    throw;
  } catch (const timed_out&) {
    counted.failed();
    throw client_error(client_errc::timed_out, method, url,
                       "no whole answer within " + format_duration(options.request_timeout), std::current_exception());
  } catch (...) {
    counted.failed();
    throw;
  }
}

task<void> client::implementation::close() {
  if (!at_home() && (stats.in_flight > 0 || multi.carries())) throw_away_from_home();
  closed = true;
  if (stats.in_flight > 0) {
    auto ended = idle.wait();
    co_await ended;
  }
  task<void> closing = multi.close();
  co_await std::move(closing);
}

task<client_response> client::implementation::send_following(client_request r, std::optional<time_point> deadline) {
  check_request(r);
  client_url where = client_url::parse(r.method, r.url);
  for (std::size_t redirects = 0;; ++redirects) {
    task<client_response> exchanging = exchange(r, where, deadline);
    client_response answer = co_await std::move(exchanging);
    answer.redirects = redirects;
    std::optional<std::string_view> location = answer.header("Location");
    if (options.max_redirects == 0 || !is_redirect(answer.status) || !location) co_return answer;
    if (redirects == options.max_redirects)
      throw client_error(client_errc::too_many_redirects, r.method, r.url,
                         "redirected more than " + std::to_string(options.max_redirects) + " times");
    client_url next = where.redirected(r.method, std::string(*location));
    follow(r, where, next, answer.status);
    where = std::move(next);
  }
}

task<client_response> client::implementation::exchange(const client_request& r, const client_url& where,
                                                       std::optional<time_point> deadline) {
  origin_use at(*this, where.origin());
  semaphore::permit of_origin;
  semaphore::permit of_client;
  {
    // Those who need not wait are no burden.
    if (at.slots().available() == 0 || slots.available() == 0) refuse_when_overloaded(r);
    waiting_request waiting(stats);
    of_origin = co_await at.slots().acquire();
    of_client = co_await slots.acquire();
  }
  std::string addresses;
  try {
    if (options.connect) {
      addresses = unused_address;
    } else {
      task<std::string> lookup = names.addresses_of(where.host());
      addresses = co_await std::move(lookup);
    }
  } catch (const error& e) {
    if (!e.is(net::net_errc::resolve_failed)) throw;
    throw client_error(client_errc::resolve_failed, r.method, where.text(), e.message(), std::current_exception());
  }
  transfer t(multi, options, r, where, addresses, deadline);
  co_await t.wait();
  stats.connections += static_cast<std::uint64_t>(t.connections_made());
  co_return t.take();
}

void client::implementation::refuse_when_overloaded(const client_request& r) const {
  if (stats.waiting < options.max_waiting_requests) return;
  throw client_error(client_errc::overloaded, r.method, r.url,
                     std::to_string(stats.waiting) +
                         " requests wait for a connection already: send fewer at once, or "
                         "raise max_connections_per_host");
}

}  // namespace penstock::http

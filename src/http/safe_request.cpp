#include "penstock/http/safe_request.h"

#include "penstock/async/cancel.h"
#include "penstock/async/error.h"
#include "penstock/async/map_bounded.h"
#include "penstock/observe/log.h"
#include "penstock/observe/metrics.h"
#include "penstock/observe/traced.h"

#include <algorithm>
#include <exception>
#include <memory>
#include <optional>

// Invariant: of each request that starts, exactly one of the counters rises, unless it is cancelled.

namespace penstock::http {
namespace {

struct safe_metrics {
  metrics::counter succeeded, failed;
};

const safe_metrics& metrics_of_safe_requests() {
  static const safe_metrics all = [] {
    metrics::registry& r = metrics::default_registry();
    constexpr std::string_view name = "penstock_safe_requests_total";
    constexpr std::string_view help = "Requests sent by safe_request and process_requests, by how they ended.";
    return safe_metrics{r.counter(name, help, {{"outcome", "succeeded"}}),
                        r.counter(name, help, {{"outcome", "failed"}})};
  }();
  return all;
}

task<client_response> send_checked(client& through, client_request request) {
  constexpr int first_failing_status = 400;
  std::string method = request.method;
  task<client_response> sending = through.send(std::move(request));
  client_response answer = co_await std::move(sending);
  if (answer.status >= first_failing_status) throw status_error(method, std::move(answer));
  co_return answer;
}

// Throws what went wrong, once it is logged and counted.
task<client_response> send_observed(client& through, client_request request) {
  auto send = [&through](client_request r) { return send_checked(through, std::move(r)); };
  auto call = traced("safe_request", send, std::move(request));
  try {
    client_response answer = co_await std::move(call);
    metrics_of_safe_requests().succeeded.add();
    co_return answer;
  } catch (const operation_cancelled&) {
    throw;
  } catch (...) {
    metrics_of_safe_requests().failed.add();
    throw;
  }
}

// Options outlive the caller's in the task; not as an aggregate, which GCC 12 mishandles as a coroutine's parameter.
using own_options = std::unique_ptr<client_options>;
own_options copy_of(const client_options& options) { return std::make_unique<client_options>(options); }

// What `work` gives or throws, once the client is closed, whatever happened.
template <class T>
task<T> then_close(client& own, task<T> work) {
  std::exception_ptr failure;
  std::optional<T> result;
  try {
    result.emplace(co_await std::move(work));
  } catch (...) {
    failure = std::current_exception();
  }
  task<void> closing = shield(own.close());
  co_await std::move(closing);
  if (failure) std::rethrow_exception(failure);
  co_return std::move(*result);
}

task<safe_response> send_with_own_client(client_request request, own_options options) {
  client own(*options);
  task<safe_response> sending = then_close(own, safe_request(own, std::move(request)));
  co_return co_await std::move(sending);
}

task<std::vector<safe_response>> process(client& through, std::vector<std::string> urls, std::size_t concurrency) {
  auto get = [&through](const std::string& url) { return send_observed(through, client_request(url)); };
  auto getting = map_bounded_settled(urls, concurrency, get);
  std::vector<safe_response> responses = co_await std::move(getting);
  request_summary sum = summarize(responses);
  log::info("requests processed",
            {{"succeeded", sum.succeeded}, {"failed", sum.failed}, {"body_bytes", sum.body_bytes}});
  co_return responses;
}

task<std::vector<safe_response>> process_with_own_client(std::vector<std::string> urls, std::size_t concurrency,
                                                         own_options options) {
  options->max_connections = std::max(options->max_connections, concurrency);
  options->max_connections_per_host = std::max(options->max_connections_per_host, concurrency);
  client own(*options);
  task<std::vector<safe_response>> processing = then_close(own, process(own, std::move(urls), concurrency));
  co_return co_await std::move(processing);
}

}  // namespace

task<safe_response> safe_request(client& through, client_request request) {
  task<client_response> sending = send_observed(through, std::move(request));
  std::exception_ptr failure;
  try {
    client_response answer = co_await std::move(sending);
    co_return safe_response(std::move(answer));
  } catch (const operation_cancelled&) {
    throw;
  } catch (...) {
    failure = std::current_exception();
  }
  co_return safe_response(failure);
}

task<safe_response> safe_request(client& through, std::string url) {
  return safe_request(through, client_request(std::move(url)));
}

task<safe_response> safe_request(client_request request, const client_options& options) {
  return send_with_own_client(std::move(request), copy_of(options));
}

// Not by default arguments: GCC 12 destroys such a temporary of the caller's co_await twice.
task<safe_response> safe_request(client_request request) {
  return send_with_own_client(std::move(request), copy_of({}));
}

task<safe_response> safe_request(std::string url) {
  return send_with_own_client(client_request(std::move(url)), copy_of({}));
}

task<safe_response> safe_request(std::string url, const client_options& options) {
  return send_with_own_client(client_request(std::move(url)), copy_of(options));
}

task<std::vector<safe_response>> process_requests(client& through, std::vector<std::string> urls,
                                                  const process_options& options) {
  return process(through, std::move(urls), options.max_concurrency);
}

task<std::vector<safe_response>> process_requests(std::vector<std::string> urls, const process_options& options,
                                                  const client_options& through) {
  return process_with_own_client(std::move(urls), options.max_concurrency, copy_of(through));
}

task<std::vector<safe_response>> process_requests(std::vector<std::string> urls, const process_options& options) {
  return process_with_own_client(std::move(urls), options.max_concurrency, copy_of({}));
}

request_summary summarize(std::span<const safe_response> responses) noexcept {
  request_summary sum;
  for (const safe_response& r : responses) {
    ++(r ? sum.succeeded : sum.failed);
    if (r) sum.body_bytes += (*r).body.size();
  }
  return sum;
}

}  // namespace penstock::http

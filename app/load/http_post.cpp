// Only errors with which nothing was sent count as "not sent"; all that is not certain counts as lost.

#include "app/load/http_post.h"

#include "app/load/answer.h"

#include <algorithm>
#include <charconv>
#include <ctime>

namespace penstock::app::load {
namespace {

attempt failed_attempt(const http::client_error& failure) {
  using enum http::client_errc;
  attempt result{.how = attempt::end::lost, .why = failure.what()};
  switch (failure.errc()) {
    case resolve_failed:
    case connect_failed:
    case tls_failed:
    case overloaded:
      result.how = attempt::end::not_sent;
      break;
    case bad_url:
    case bad_request:
      throw failure;
    default:
      break;
  }
  return result;
}

}  // namespace

task<attempt> post_batch(http::client& client, const post_options& to, const batch& b, const std::string& key) {
  http::client_request request("POST", to.url);
  request.lent_body = b.body;
  request.headers = to.headers;
  request.headers.emplace_back("Content-Type", "application/x-ndjson");
  request.headers.emplace_back("Idempotency-Key", key);
  attempt result;
  try {
    task<http::client_response> sent = client.send(std::move(request));
    http::client_response answered = co_await std::move(sent);
    result.status = answered.status;
    if (std::optional<std::string_view> field = answered.header("Retry-After"))
      result.retry_after = parse_retry_after(*field, scheduler::current().wall_now());
    result.body = std::move(answered.body);
    result.maybe_stored = result.status != 200 && says_items_may_be_stored(result.body);
  } catch (const http::client_error& failure) {
    result = failed_attempt(failure);
  }
  co_return result;
}

std::optional<duration> parse_retry_after(std::string_view field, system_time now) {
  constexpr std::uint32_t longest = 86'400 * 365;
  std::uint32_t seconds = 0;
  auto [end, failure] = std::from_chars(field.data(), field.data() + field.size(), seconds);
  if (failure == std::errc() && end == field.data() + field.size())
    return std::chrono::seconds(std::min(seconds, longest));
  std::tm date{};
  std::string text(field);
  const char* behind = strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date);
  if (behind == nullptr || *behind != '\0') return std::nullopt;
  // Kept near `now`: of the years that a date may have, a `system_time` holds some hundreds.
  auto today = std::chrono::floor<std::chrono::seconds>(now);
  std::chrono::sys_seconds then(std::chrono::seconds(timegm(&date)));
  then = std::clamp(then, today, today + std::chrono::seconds(longest));
  return std::max(duration::zero(), duration(then - now));
}

}  // namespace penstock::app::load

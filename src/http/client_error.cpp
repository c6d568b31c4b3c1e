#include "penstock/http/client_error.h"

#include "penstock/http/client.h"
#include "penstock/http/response.h"
#include "penstock/observe/log.h"

namespace penstock::http {
namespace {

std::string describe_failure(std::string_view method, const std::string& url, std::string_view reason) {
  std::string text(method);
  text.append(" ").append(url).append(": ").append(reason);
  return text;
}

// The status, and the beginning of what the body says about it.
std::string describe_status(const client_response& answer) {
  constexpr std::size_t most_bytes = 200;
  std::string text = "answered " + std::to_string(answer.status);
  std::string_view reason = reason_phrase(answer.status);
  if (!reason.empty()) text.append(" ").append(reason);
  if (answer.body.empty()) return text;
  text.append(": ").append(answer.body, 0, most_bytes);
  if (answer.body.size() > most_bytes) text += "...";
  return text;
}

}  // namespace

client_error::client_error(client_errc code, std::string_view method, std::string_view url, std::string_view reason,
                           std::exception_ptr cause, std::source_location where)
    : client_error(code, method, std::make_shared<const std::string>(log::redact_url(url)), reason, std::move(cause),
                   where) {}

client_error::client_error(client_errc code, std::string_view method, std::shared_ptr<const std::string> url,
                           std::string_view reason, std::exception_ptr cause, std::source_location where)
    : error(code, describe_failure(method, *url, reason), std::move(cause), where), code_(code), url_(std::move(url)) {}

client_error::~client_error() = default;

status_error::status_error(std::string_view method, client_response answer, std::source_location where)
    : client_error(client_errc::failed_status, method, answer.effective_url, describe_status(answer), {}, where),
      answer_(std::make_shared<const client_response>(std::move(answer))) {}

status_error::~status_error() = default;

int status_error::status() const noexcept { return answer_->status; }

}  // namespace penstock::http

#pragma once

// Errors on the wire: application/problem+json (RFC 9457).

#include "penstock/core/error.h"
#include "penstock/http/response.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::http {

/// What a problem document says.
struct problem {
  int status = 500;
  std::string code;    ///< The stable code, such as "ingest.overloaded"; clients tell problems apart by it.
  std::string detail;  ///< What is wrong with this request, for people.
  std::string id;      ///< The request's id, under which the log has more; may be empty.
  /// Further members: name and JSON text.
  std::vector<std::pair<std::string, std::string>> members;
};

/// The answer that carries a problem; its title is the status's reason phrase.
response to_response(const problem& p);

/// Throw it in a handler to answer with a problem of one's choice.
class problem_error : public error {
 public:
  /// `status` is one of 400 to 599; another is answered as 500.
  template <error_enum Code>
  problem_error(int status, Code code, std::string detail, std::exception_ptr cause = {},
                std::source_location where = std::source_location::current())
      : error(code, std::move(detail), std::move(cause), where),
        status_(status >= 400 && status <= 599 ? status : 500) {}
  ~problem_error() override;

  int status() const noexcept { return status_; }
  /// Adds a header field to the answer, such as Retry-After. Throws `http_errc::bad_answer` as `response::headers` has
  /// it.
  problem_error& with(std::string name, std::string value);
  const std::vector<std::pair<std::string, std::string>>& headers() const noexcept { return headers_; }

 private:
  int status_;
  std::vector<std::pair<std::string, std::string>> headers_;
};

/// A text as a JSON string, with its quotes; bytes that are no UTF-8 become U+FFFD.
std::string json_string(std::string_view text);

}  // namespace penstock::http

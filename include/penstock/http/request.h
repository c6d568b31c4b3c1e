#pragma once

// What a handler is asked.

#include "penstock/async/task.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::http {

/// A field of the header section; refers to the request's own memory.
struct header_field {
  std::string_view name;
  std::string_view value;  ///< Without surrounding white space.
};

/// The body, read as it comes. What a handler leaves unread is read and dropped up to a bound after it has answered.
class body_reader {
 public:
  body_reader() = default;
  body_reader(const body_reader&) = delete;
  body_reader& operator=(const body_reader&) = delete;
  virtual ~body_reader() = default;
  /// The next piece, valid until the next call; empty at the end. Sends `100 Continue` first where the client waits
  /// for it. Throws `protocol_error`: body_too_large, body_incomplete, request_timeout, or bad_request for malformed
  /// chunks.
  virtual task<std::string_view> read_some() = 0;
  /// The length that the client announced; nullopt for a chunked body.
  virtual std::optional<std::uint64_t> length() const noexcept = 0;
  /// Reads all of it. Throws body_too_large when it is longer than `limit` bytes.
  task<std::string> read_all(std::size_t limit);
};

/// A request, as long as its handler runs. Everything it gives refers to its own memory.
class request {
 public:
  request() = default;
  request(const request&) = delete;
  request& operator=(const request&) = delete;

  std::string_view method() const noexcept { return method_; }
  /// The request target as it was sent.
  std::string_view target() const noexcept { return target_; }
  /// The target's path, not decoded.
  std::string_view path() const noexcept { return path_; }
  /// The target's query without '?', not decoded.
  std::string_view query() const noexcept { return query_; }
  /// 0 for HTTP/1.0, 1 for HTTP/1.1.
  int minor_version() const noexcept { return minor_version_; }

  std::span<const header_field> headers() const noexcept { return headers_; }
  /// The first field of a name, in any case.
  std::optional<std::string_view> header(std::string_view name) const noexcept;
  /// A parameter of the matched route, decoded; empty when the route has none of that name.
  std::string_view parameter(std::string_view name) const noexcept;
  /// All parameters of the query in order, decoded ('+' is a space). Throws bad_request for a malformed escape.
  std::vector<std::pair<std::string, std::string>> query_parameters() const;

  body_reader& body() noexcept { return *body_; }
  /// The request's id: the client's X-Request-Id where that is well formed, else one made here.
  const std::string& id() const noexcept { return id_; }
  const std::string& remote_address() const noexcept { return *remote_address_; }

 private:
  friend class connection;
  friend class head_parser;
  friend class router;

  std::string_view method_;
  std::string_view target_;
  std::string_view path_;
  std::string_view query_;
  int minor_version_ = 1;
  std::vector<header_field> headers_;
  std::vector<std::pair<std::string_view, std::string>> parameters_;
  body_reader* body_ = nullptr;
  std::string id_;
  const std::string* remote_address_ = nullptr;
};

/// Compares field names and tokens as HTTP does: ASCII letters in any case.
bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept;

/// Undoes percent-encoding (RFC 3986, 2.1); `plus_is_space` as in queries of forms. Throws bad_request when an escape
/// is malformed.
std::string percent_decode(std::string_view text, bool plus_is_space = false);

}  // namespace penstock::http

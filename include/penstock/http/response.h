#pragma once

// What a handler answers.
//
//   co_return response::json(200, R"({"ok":true})");

#include "penstock/async/task.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::http {

/// Where a streamed answer is written.
class body_writer {
 public:
  body_writer() = default;
  body_writer(const body_writer&) = delete;
  body_writer& operator=(const body_writer&) = delete;
  virtual ~body_writer() = default;
  /// Sends a piece of the body, at once: pieces of some KiB cost least. Returns when the connection took it. Throws
  /// `net_errc::connection_closed` when the client is gone or takes nothing for the write timeout.
  virtual task<void> write(std::string_view piece) = 0;
};

/// An answer: a status, header fields, and a body that is held or produced while it is sent.
struct response {
  using producer = std::function<task<void>(body_writer&)>;

  int status = 200;  ///< 200 to 599.
  /// Field names and values. Content-Length, Transfer-Encoding, Connection and Date are the server's to add. When one
  /// of them is here, a name is no token or a value has a line break or control character in it (RFC 9110, 5.5), the
  /// server answers 500 instead and logs `http_errc::bad_answer`.
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  /// Produces the body instead: chunked to HTTP/1.1 clients, ended by closing to HTTP/1.0 ones. When it throws before
  /// the first byte, that is answered as if the handler had thrown it; after it, the connection closes without the last
  /// chunk, or is reset where there are no chunks, so that the client sees a broken answer. Not called for HEAD, nor
  /// for statuses without a body (204, 304).
  producer stream;
  /// Is let go once the answer was sent, or will not be: what counts its bytes, say.
  std::shared_ptr<const void> held;

  response() = default;
  response(int s, std::string b) : status(s), body(std::move(b)) {}

  static response text(int status, std::string body);
  static response json(int status, std::string body);
  /// Adds a field and gives the response back.
  response&& with(std::string name, std::string value) &&;
};

/// The reason phrase of a status ("Not Found"); empty for unknown ones.
std::string_view reason_phrase(int status) noexcept;

}  // namespace penstock::http

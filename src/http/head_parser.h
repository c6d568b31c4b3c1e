#pragma once

// One request's head: request line and fields, up to and with the empty line. Strict as RFC 9110 and RFC 9112 allow:
// what two parsers could read in two ways is refused.

#include "penstock/http/request.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace penstock::http {

// Where the head ends in what was read so far, just behind its empty line; npos while that has not come.
std::size_t find_head_end(std::string_view data) noexcept;

// How a request's body is framed, and what its sender wants of the connection (RFC 9112, 6 and 9.3).
struct framing {
  std::uint64_t length = 0;  // of a body that is not chunked
  bool chunked = false;
  bool keep_alive = true;
  bool expects_continue = false;
  bool expects_something_else = false;  // that nobody knows
};

// Reads a head into a request whose fields then refer to it, which `find_head_end` found the end of.
class head_parser {
 public:
  head_parser(request& r, std::size_t most_fields) noexcept : request_(r), most_fields_(most_fields) {}
  // Throws `protocol_error`.
  framing parse(std::string_view head);

 private:
  void take_request_line(std::string_view line);
  void take_target(std::string_view target);
  void take_field(std::string_view line);
  void take_meaning(std::string_view name, std::string_view value);
  void take_connection(std::string_view value);
  void take_transfer_encoding(std::string_view value);
  bool is_http_1_0() const noexcept { return request_.minor_version_ == 0; }

  request& request_;
  std::size_t most_fields_;
  framing framing_;
  int hosts_ = 0;
  bool content_type_ = false;
  bool content_length_ = false;
  bool close_ = false;
  bool keep_alive_ = false;
};

}  // namespace penstock::http

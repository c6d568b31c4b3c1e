#pragma once

// The head of an answer: what a handler said and what the server adds.

#include "penstock/http/response.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace penstock::http {

// How the body follows.
enum class body_framing { none, length, chunked, until_close };

struct answer_framing {
  body_framing body = body_framing::length;
  std::uint64_t length = 0;
  bool keep_alive = true;
  bool http_1_0 = false;
};

// Throws `http_errc::bad_answer` when the status is no final one, or a field is malformed or the server's to add: such
// an answer could be read as two.
void check_answer(const response& answer);
// The same for one field.
void check_answer_field(std::string_view name, std::string_view value);

// True for statuses that have no body, whatever was asked (RFC 9112, 6.3).
constexpr bool has_no_body(int status) noexcept { return status == 204 || status == 304; }

// Appends it, with the empty line at its end. `server_fields` are whole lines that every answer has.
void append_answer_head(std::string& out, const response& answer, std::string_view server_fields,
                        const answer_framing& framing);

}  // namespace penstock::http

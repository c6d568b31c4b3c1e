#pragma once

#include <string_view>

namespace penstock::http {

// What RFC 9110 and RFC 9112 ask of a request's head and Beast's parser does not: lines end with CRLF alone, no
// obsolete folding, no stray control characters, exactly one Host, one framing. `head` is request line and fields, up
// to and with the empty line. Throws `protocol_error`. What passes is given to Beast, which checks the grammar.
void check_head(std::string_view head);

// Where the head ends in what was read so far, just behind its empty line; npos while that has not come.
std::size_t find_head_end(std::string_view data) noexcept;

}  // namespace penstock::http

#pragma once

// Rows of a batch as texts: literals of an INSERT, and lines of a LOAD DATA. Both write into memory that the caller
// keeps, so that in steady state nothing is allocated.

#include "penstock/db/value.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace penstock::db::mariadb {

// Why no column can hold a value, if that is so; nothing else. What passes has a literal and a field.
std::optional<std::string> unstorable(const cell& c, std::size_t max_packet);

// A literal: 12, 1.5e+00, 'it''s', _binary'…', NULL.
void append_literal(std::string& to, const cell& c);
// A field of a line whose fields end in tabs, with backslashes for what would end it.
void append_field(std::string& to, const cell& c);
// A text in quotes, as a literal.
void append_quoted(std::string& to, std::string_view text);

// A whole number that the server has written; 0 for NULL.
std::int64_t number_in(const std::optional<std::string>& text) noexcept;

// Equal for equal values of one column; `server_text` is how the text protocol gives it.
void append_key_part(std::string& to, const cell& c);
void append_key_part(std::string& to, cell::kind kind, std::string_view server_text);

}  // namespace penstock::db::mariadb

#include "body_decoder.h"

#include "field_syntax.h"
#include "penstock/http/error.h"
#include "penstock/http/request.h"

#include <algorithm>

// Invariant: the body's end is found where every strict parser finds it. Lines end with CRLF, sizes are plain
// hexadecimal digits, and what is no data is bounded, line by line and in all.

namespace penstock::http {
namespace {

constexpr std::size_t longest_line = 4 * 1024;
constexpr std::size_t most_trailer_bytes = 16 * 1024;
constexpr std::size_t most_overhead = 16 * 1024;
constexpr std::size_t usual_size_line = 16;

[[noreturn]] void refuse(const char* why) { throw protocol_error(http_errc::bad_request, why); }

void skip_blanks(std::string_view& text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
}

void skip_token(std::string_view& text) {
  std::size_t end = 0;
  while (end < text.size() && is_token_character(text[end])) ++end;
  if (end == 0) refuse("a chunk extension is malformed");
  text.remove_prefix(end);
}

void skip_quoted(std::string_view& text) {
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      text.remove_prefix(i + 1);
      return;
    }
  }
  refuse("a chunk extension's quotes don't end");
}

// *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] ) (RFC 9112, 7.1.1). Nobody knows any: dropped.
void check_extensions(std::string_view text) {
  if (!is_free_of_controls(text)) refuse("a control character in a chunk extension");
  while (!text.empty()) {
    skip_blanks(text);
    if (!text.starts_with(';')) refuse("a chunk's size is followed by something else than an extension");
    text.remove_prefix(1);
    skip_blanks(text);
    skip_token(text);
    std::string_view behind = text;
    skip_blanks(behind);
    if (!behind.starts_with('=')) continue;
    text = behind.substr(1);
    skip_blanks(text);
    if (text.starts_with('"'))
      skip_quoted(text);
    else
      skip_token(text);
  }
}

}  // namespace

body_decoder body_decoder::of_length(std::uint64_t bytes) noexcept {
  body_decoder d;
  d.left_ = bytes;
  d.state_ = bytes == 0 ? state::done : state::length;
  return d;
}

body_decoder body_decoder::of_chunks(std::uint64_t most_bytes) noexcept {
  body_decoder d;
  d.most_bytes_ = d.left_of_all_ = most_bytes;
  d.state_ = state::size_line;
  return d;
}

body_decoder::step body_decoder::take(std::string_view input) {
  if (state_ == state::done || input.empty()) return {};
  if (state_ == state::length) return take_piece(input, state::done);
  if (state_ == state::data) return take_piece(input, state::data_end);
  std::size_t end = input.substr(0, longest_line).find('\n');
  if (end == std::string_view::npos) {
    if (input.size() >= longest_line) refuse("a line within the chunks is too long");
    return {};
  }
  if (end == 0 || input[end - 1] != '\r') refuse("a line within the chunks does not end with CRLF");
  std::string_view line = input.substr(0, end - 1);
  if (state_ == state::size_line)
    take_size_line(line);
  else if (state_ == state::trailer)
    take_trailer_line(line);
  else if (line.empty())
    state_ = state::size_line;
  else
    refuse("a chunk is longer than its size says");
  return {end + 1, {}};
}

body_decoder::step body_decoder::take_piece(std::string_view input, state then) {
  std::string_view piece = input.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size())));
  left_ -= piece.size();
  if (left_ == 0) state_ = then;
  return {piece.size(), piece};
}

void body_decoder::take_size_line(std::string_view line) {
  std::uint64_t size = 0;
  std::size_t digits = 0;
  for (; digits < line.size() && hex_digit(line[digits]) >= 0; ++digits) {
    if (digits == 16) refuse("a chunk's size has more than sixteen digits");
    size = size * 16 + static_cast<std::uint64_t>(hex_digit(line[digits]));
  }
  if (digits == 0) refuse("a chunk's size is no hexadecimal number");
  check_extensions(line.substr(digits));
  if (size > left_of_all_)
    throw protocol_error(http_errc::body_too_large,
                         "the body is longer than " + std::to_string(most_bytes_) + " bytes");
  // Small chunks with long extensions make us read much for little.
  overhead_ += line.size();
  overhead_ -= static_cast<std::size_t>(std::min<std::uint64_t>(overhead_, usual_size_line + size));
  if (overhead_ > most_overhead) refuse("the chunks have more extensions than data");
  left_of_all_ -= size;
  left_ = size;
  state_ = size == 0 ? state::trailer : state::data;
}

// Trailer fields are read and dropped; framing and routing must not come that late (RFC 9110, 6.5.1).
void body_decoder::take_trailer_line(std::string_view line) {
  if (line.empty()) {
    state_ = state::done;
    return;
  }
  trailer_bytes_ += line.size() + 2;
  if (trailer_bytes_ > most_trailer_bytes)
    throw protocol_error(http_errc::headers_too_large, "the trailer section is too long");
  std::size_t colon = line.find(':');
  std::string_view name = line.substr(0, colon);
  if (colon == std::string_view::npos || !is_token(name) || !is_free_of_controls(line))
    refuse("a trailer field is malformed");
  for (std::string_view forbidden : {"content-length", "transfer-encoding", "host", "trailer"})
    if (equal_ignoring_case(name, forbidden)) refuse("a trailer field that may only stand in the header section");
}

}  // namespace penstock::http

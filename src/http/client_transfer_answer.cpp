#include "client_transfer.h"
#include "penstock/core/units.h"
#include "penstock/http/request.h"

#include <algorithm>
#include <charconv>

// Invariant: an answer holds the fields of its last head alone, and never more bytes than the options allow.

namespace penstock::http {
namespace {

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r' || text.back() == '\n'))
    text.remove_suffix(1);
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  return text;
}

// Calls `visit(element, value)` for each element of a list, which may go on in several fields (RFC 9110, 5.6.1).
template <class Fields, class Visit>
void for_each_listed(const Fields& fields, std::string_view list, Visit visit) {
  for (const auto& [name, value] : fields) {
    if (!equal_ignoring_case(name, list)) continue;
    for (std::size_t from = 0; from <= value.size();) {
      std::size_t comma = std::min(value.find(',', from), value.size());
      visit(trimmed(std::string_view(value).substr(from, comma - from)), value);
      from = comma + 1;
    }
  }
}

// The status in a status line; 0 when there is none.
int status_in(std::string_view line) {
  std::size_t space = line.find(' ');
  int status = 0;
  if (space != line.npos) std::from_chars(line.data() + space + 1, line.data() + line.size(), status);
  return status;
}

// Beyond this number libcurl reads the body to the connection's end, wherever that is.
bool is_a_length(std::string_view digits) {
  std::int64_t bytes = -1;
  auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), bytes);
  return failure == std::errc() && end == digits.data() + digits.size() && digits.front() != '-';
}

}  // namespace

std::size_t transfer::on_header(char* data, std::size_t, std::size_t size, void* self) noexcept {
  auto& me = *static_cast<transfer*>(self);
  try {
    me.add_header_line(std::string_view(data, size));
    return size;
  } catch (...) {
    me.refused_ = std::current_exception();
    return 0;
  }
}

std::size_t transfer::on_body(char* data, std::size_t, std::size_t size, void* self) noexcept {
  auto& me = *static_cast<transfer*>(self);
  try {
    me.add_piece(std::string_view(data, size));
    return size;
  } catch (...) {
    me.refused_ = std::current_exception();
    return 0;
  }
}

void transfer::add_header_line(std::string_view line) {
  moved_at_ = clock_.now();
  header_bytes_ += line.size();
  if (header_bytes_ > options_.max_header_bytes)
    throw client_error(client_errc::too_large, request_.method, where_.text(),
                       "the answer's header exceeds " + format_bytes(options_.max_header_bytes) +
                           ": raise max_header_bytes if that is right");
  if (head_done_) {
    // What follows an interim answer (1xx) is a head of its own; what follows the last one is trailers.
    if (answer_.status >= 200) return;
    head_done_ = false;
    answer_.headers.clear();
    answer_.status = 0;
  }
  if (answer_.status == 0) {
    answer_.status = status_in(line);
    return;
  }
  std::string_view field = trimmed(line);
  if (line.starts_with(' ') || line.starts_with('\t')) return fold(field);
  head_done_ = field.empty();
  if (head_done_) {
    check_length();
    check_transfer_coding();
    take_coding();
  }
  std::size_t colon = field.find(':');
  if (colon == field.npos) return;
  answer_.headers.emplace_back(trimmed(field.substr(0, colon)), trimmed(field.substr(colon + 1)));
}

// What goes on with the field before, in an obsolete way (RFC 9112, 5.2).
void transfer::fold(std::string_view line) {
  if (answer_.headers.empty() || line.empty()) return;
  std::string& value = answer_.headers.back().second;
  if (!value.empty()) value += ' ';
  value += line;
}

// To libcurl a connection that ends inside a header, or behind an interim answer, ends an answer without a body.
void transfer::check_head_came() const {
  if (head_done_ && answer_.status >= 200) return;
  throw client_error(client_errc::broken_response, request_.method, where_.text(),
                     head_done_
                         ? "the connection ended behind an interim answer, status " + std::to_string(answer_.status)
                         : "the answer ended inside its header");
}

// A length that has two readings has none (RFC 9112, 6.3).
void transfer::check_length() const {
  std::optional<std::string_view> first;
  for_each_listed(answer_.headers, "Content-Length", [&](std::string_view length, const std::string& value) {
    bool possible = is_a_length(length);
    if (!first) first = length;
    if (!possible || length != *first)
      throw client_error(client_errc::broken_response, request_.method, where_.text(),
                         "the answer's Content-Length is not one possible length: " + value);
  });
}

// No other coding than chunks was asked for (RFC 9112, 7.4). libcurl would unpack it, and take what breaks off for
// whole.
void transfer::check_transfer_coding() const {
  bool chunked = false;
  for_each_listed(answer_.headers, "Transfer-Encoding", [&](std::string_view coding, const std::string& value) {
    if (coding.empty()) return;
    if (chunked || !equal_ignoring_case(coding, "chunked"))
      throw client_error(client_errc::broken_response, request_.method, where_.text(),
                         "the answer's Transfer-Encoding is not chunked alone: " + value);
    chunked = true;
  });
}

// RFC 9110, 8.4.
void transfer::take_coding() {
  packed_.reset();
  unasked_coding_.clear();
  if (!options_.decompress) return;
  for_each_listed(answer_.headers, "Content-Encoding", [&](std::string_view coding, const std::string& value) {
    // "none" is what some servers say for "identity".
    if (coding.empty() || equal_ignoring_case(coding, "identity") || equal_ignoring_case(coding, "none")) return;
    if (packed_ || !(equal_ignoring_case(coding, "gzip") || equal_ignoring_case(coding, "x-gzip")))
      unasked_coding_ = value;  // which matters once there is a body
    else
      packed_.emplace();
  });
}

void transfer::throw_bad_coding(const std::string& what) const {
  throw client_error(client_errc::broken_response, request_.method, where_.text(), what);
}

void transfer::add_piece(std::string_view piece) {
  if (!unasked_coding_.empty())
    throw_bad_coding("the answer's Content-Encoding '" + unasked_coding_ + "' can't be unpacked: gzip alone is");
  if (!packed_) return add_body(piece);
  // Empty members may come without end. What can't be packed is longer by less than this.
  std::uint64_t most = options_.max_response_bytes;
  packed_bytes_ += piece.size();
  if (packed_bytes_ > most && packed_bytes_ - most > most / 1024 + 64 * 1024) throw_too_large();
  packed_->feed(piece);
  for (std::string_view part = packed_->next(); !part.empty(); part = packed_->next()) add_body(part);
  if (packed_->damage() != nullptr) throw_bad_coding(std::string("the gzip body is damaged: ") + packed_->damage());
}

void transfer::add_body(std::string_view piece) {
  constexpr std::uint64_t most_reserved_bytes = 1 << 20;  // a length is a claim until the bytes are there
  curl_off_t announced = -1;
  if (answer_.body.empty() && ::curl_easy_getinfo(easy(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced) == CURLE_OK &&
      announced > 0)
    answer_.body.reserve(
        std::min({static_cast<std::uint64_t>(announced), most_reserved_bytes, options_.max_response_bytes}));
  std::uint64_t known = std::max<std::uint64_t>(answer_.body.size() + piece.size(),
                                                announced > 0 ? static_cast<std::uint64_t>(announced) : 0);
  if (known > options_.max_response_bytes) throw_too_large();
  answer_.body.append(piece);
}

void transfer::throw_too_large() const {
  throw client_error(client_errc::too_large, request_.method, where_.text(),
                     "the answer exceeds " + format_bytes(options_.max_response_bytes) + " (max_response_bytes)");
}

}  // namespace penstock::http

#include "penstock/ingest/item_splitter.h"

#include "penstock/ingest/item_parser.h"
#include "string_scan.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

// Invariants. Every byte of the body is looked at once, in order, and what is found does not depend on where the body
// was cut into pieces: a decision that needs the next byte waits for it. The bytes of the item under way are those in
// `held_`, then those of the piece from `item_start_` to `at_`; `held_` never takes more than `most_` of them.

namespace penstock::ingest {
namespace {

constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
// No more is held for one of these than it needs.
constexpr std::size_t short_item = std::size_t{16} << 10;

bool is_white_space(char c) noexcept { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

bool ends_token(char c) noexcept {
  switch (c) {
    case ',':
    case ':':
    case '[':
    case ']':
    case '{':
    case '}':
    case '"':
      return true;
    default:
      return is_white_space(c);
  }
}

bool has_content(std::string_view text) noexcept {
  return std::any_of(text.begin(), text.end(), [](char c) { return !is_white_space(c); });
}

std::size_t trimmed_size(const char* text, std::size_t size) noexcept {
  while (size > 0 && is_white_space(text[size - 1])) --size;
  return size;
}

}  // namespace

item_splitter::item_splitter(body_format format, std::size_t most_item_bytes)
    : format_(format), most_(std::max<std::size_t>(most_item_bytes, 1)) {}

void item_splitter::feed(std::string_view piece) {
  assert(at_ == piece_.size() || error_ || state_ == state::ended);
  piece_ = piece;
  at_ = counted_ = item_start_ = 0;
}

void item_splitter::finish() { finished_ = true; }

std::optional<body_item> item_splitter::next() {
  if (given_held_) {
    given_held_ = false;
    held_size_ = 0;
  }
  if (error_ || state_ == state::ended) return std::nullopt;
  std::optional<body_item> item;
  if (begin()) item = is_array_ ? next_element() : next_text();
  if (item || error_) return item;
  if (finished_) item = end_body();
  leave_piece();
  return item;
}

// Gets past a byte order mark and to where items are, once. False when that is not decided yet.
bool item_splitter::begin() {
  if (state_ == state::start) {
    while (at_ < piece_.size() && mark_bytes_ < byte_order_mark.size() && piece_[at_] == byte_order_mark[mark_bytes_]) {
      ++mark_bytes_;
      ++at_;
    }
    if (at_ == piece_.size() && !finished_ && mark_bytes_ < byte_order_mark.size()) return false;
    state_ = format_ == body_format::ndjson ? state::before_line : state::before_value;
    if (mark_bytes_ > 0 && mark_bytes_ < byte_order_mark.size()) {  // no mark after all: the first item begins with it
      begin_item(format_ == body_format::ndjson ? state::line : state::value);
      item_offset_ = 0;
      hold(byte_order_mark.substr(0, mark_bytes_));
    }
  }
  if (state_ != state::before_value) return true;
  if (!skip_white_space()) return false;
  is_array_ = piece_[at_] == '[';
  if (is_array_) {
    state_ = state::before_first;
    ++at_;
  } else {
    begin_item(state::value);
  }
  return true;
}

// One value a line, or one value in all: the items of these end where the text does.
std::optional<body_item> item_splitter::next_text() {
  if (state_ == state::before_line) {
    if (!skip_white_space()) return std::nullopt;
    begin_item(state::line);
  }
  std::size_t end = piece_.size();
  bool ends = false;
  if (state_ == state::line && at_ < end) {
    const void* line_feed = std::memchr(piece_.data() + at_, '\n', end - at_);
    ends = line_feed != nullptr;
    if (ends) end = static_cast<std::size_t>(static_cast<const char*>(line_feed) - piece_.data());
  }
  if (!skipping_ && end - at_ > room() && has_content(piece_.substr(at_ + room(), end - at_ - room()))) {
    at_ += room();
    return give(at_, true);
  }
  at_ = end;
  if (!ends) return std::nullopt;
  state_ = state::before_line;
  if (!skipping_) return give(end, false);
  skipping_ = false;
  return next_text();
}

// The elements of an array.
std::optional<body_item> item_splitter::next_element() {
  for (;;) {
    if (state_ == state::token || state_ == state::structure) {
      std::size_t end = skipping_ ? piece_.size() : at_ + std::min(piece_.size() - at_, room());
      bool ended = state_ == state::token ? scan_token(end) : scan_structure(end);
      if (error_) return std::nullopt;
      if (ended) {
        state_ = state::after_element;
        if (!std::exchange(skipping_, false)) return give(at_, false);
      } else if (at_ < piece_.size()) {
        return give(at_, true);
      } else {
        return std::nullopt;
      }
    }
    if (!skip_white_space()) return std::nullopt;
    if (!between_elements(piece_[at_])) return std::nullopt;
  }
}

// Looks at the byte at `at_`, which is between elements or begins one. False when it can't be there.
bool item_splitter::between_elements(char c) {
  switch (state_) {
    case state::before_first:
    case state::before_element:
      if (c == ']' && state_ == state::before_first) {
        state_ = state::after_array;
        break;
      }
      if (c == ',' || c == ']' || c == '}' || c == ':') {
        fail(state_ == state::before_first ? "expected an element or ']' after '['" : "expected an element after ','",
             at_);
        return false;
      }
      begin_item(c == '"' || c == '[' || c == '{' ? state::structure : state::token);
      return true;
    case state::after_element:
      if (c != ',' && c != ']') {
        fail("expected ',' or ']' after an element", at_);
        return false;
      }
      state_ = c == ',' ? state::before_element : state::after_array;
      break;
    default:
      fail("nothing but white space may follow the array", at_);
      return false;
  }
  ++at_;
  return true;
}

// Looks for the end of a token before `end`. True when it is at `at_`.
bool item_splitter::scan_token(std::size_t end) noexcept {
  while (at_ < end && !ends_token(piece_[at_])) ++at_;
  return at_ < piece_.size() && ends_token(piece_[at_]);
}

// Looks for the end of a string or container before `end`. True when it is at `at_`.
bool item_splitter::scan_structure(std::size_t end) {
  const char* const text = piece_.data();
  while (at_ < end) {
    if (nesting_.in_string) {
      at_ = static_cast<std::size_t>(skip_string(text + at_, text + end, nesting_.escaped) - text);
      if (at_ == end) return false;
      ++at_;
      nesting_.in_string = false;
      if (nesting_.depth == 0) return true;
      continue;
    }
    at_ = static_cast<std::size_t>(find_structure(text + at_, text + end) - text);
    if (at_ == end) return false;
    char c = text[at_];
    if (c == '"') {
      nesting_.in_string = true;
    } else if (c == '{' || c == '[') {
      if (!open_level(c == '{', at_)) return false;
    } else {
      if (!close_level(c, at_)) return false;
      if (nesting_.depth == 0) {
        ++at_;
        return true;
      }
    }
    ++at_;
  }
  return false;
}

bool item_splitter::open_level(bool object, std::size_t at) {
  if (nesting_.depth == most_body_depth) {
    fail("arrays and objects are nested more than " + std::to_string(most_body_depth) + " levels deep", at);
    return false;
  }
  if (nesting_.depth % 64 == 0 && nesting_.depth > 0) nesting_.outer.push_back(nesting_.kinds);
  std::uint64_t bit = std::uint64_t{1} << (nesting_.depth % 64);
  nesting_.kinds = object ? nesting_.kinds | bit : nesting_.kinds & ~bit;
  ++nesting_.depth;
  return true;
}

bool item_splitter::close_level(char bracket, std::size_t at) {
  std::size_t level = nesting_.depth - 1;
  bool object = (nesting_.kinds >> (level % 64) & 1) != 0;
  if (object != (bracket == '}')) {
    fail(object ? "expected '}' where ']' closes an object" : "expected ']' where '}' closes an array", at);
    return false;
  }
  nesting_.depth = level;
  if (level % 64 == 0 && level > 0) {
    nesting_.kinds = nesting_.outer.back();
    nesting_.outer.pop_back();
  }
  return true;
}

// Nothing more comes, and all of it was looked at.
std::optional<body_item> item_splitter::end_body() {
  state in = std::exchange(state_, state::ended);
  switch (in) {
    case state::before_value:
      fail("the body is empty", at_);
      break;
    case state::before_first:
    case state::before_element:
    case state::after_element:
      fail("the body ends within the array: expected ']'", at_);
      break;
    case state::token:
    case state::structure:
      fail("the body ends within an element of the array", at_);
      break;
    case state::value:
    case state::line:
      if (in_item_ && !skipping_) return give(at_, false);
      break;
    default:
      break;
  }
  return std::nullopt;
}

bool item_splitter::skip_white_space() noexcept {
  while (at_ < piece_.size() && is_white_space(piece_[at_])) ++at_;
  return at_ < piece_.size();
}

void item_splitter::begin_item(state in) noexcept {
  state_ = in;
  in_item_ = true;
  item_start_ = at_;
  item_offset_ = piece_offset_ + at_;
  item_line_ = line_of(at_);
}

// How many more bytes the item may have.
std::size_t item_splitter::room() const noexcept {
  std::size_t size = held_size_ + (at_ - item_start_);
  return size < most_ ? most_ - size : 0;
}

// Gives the item that ends at `end`, or, too large, the beginning of one that goes on there.
std::optional<body_item> item_splitter::give(std::size_t end, bool too_large) {
  in_item_ = false;
  skipping_ = too_large;
  bool elements = state_ == state::after_element || state_ == state::token || state_ == state::structure;
  std::string_view text = piece_.substr(item_start_, end - item_start_);
  if (held_size_ > 0 || piece_.size() - end < item_padding) {
    hold(text);
    given_held_ = true;
    text = {held_.get(), held_size_};
    std::memset(held_.get() + held_size_, 0, item_padding);
  }
  if (!elements && !too_large) text = text.substr(0, trimmed_size(text.data(), text.size()));
  return body_item{text, item_offset_, item_line_, too_large};
}

// The piece was looked at to its end; its memory may go away.
void item_splitter::leave_piece() {
  if (in_item_) hold(piece_.substr(item_start_));
  line_of(piece_.size());
  piece_offset_ += piece_.size();
  piece_ = {};
  at_ = counted_ = item_start_ = 0;
}

void item_splitter::hold(std::string_view part) {
  part = part.substr(0, most_ - std::min(most_, held_size_));
  std::size_t needed = held_size_ + part.size() + item_padding;
  if (needed > held_capacity_) {
    std::size_t ahead = std::min(2 * held_capacity_, needed <= short_item ? short_item : most_ + item_padding);
    std::size_t capacity = std::max(needed, ahead);
    std::unique_ptr<char[]> larger = std::make_unique_for_overwrite<char[]>(capacity);
    if (held_size_ > 0) std::memcpy(larger.get(), held_.get(), held_size_);
    held_ = std::move(larger);
    held_capacity_ = capacity;
  }
  if (!part.empty()) std::memcpy(held_.get() + held_size_, part.data(), part.size());
  held_size_ += part.size();
}

void item_splitter::release() noexcept {
  if (in_item_) return;
  held_.reset();
  held_size_ = held_capacity_ = 0;
  if (!skipping_) nesting_ = {};
}

void item_splitter::fail(std::string message, std::size_t at) {
  in_item_ = false;
  error_ = body_error{std::move(message), piece_offset_ + at, line_of(at)};
}

// The line that the byte at `at` lies on; asked for in ascending order.
std::uint64_t item_splitter::line_of(std::size_t at) noexcept {
  line_ += count_line_feeds(piece_.substr(counted_, at - counted_));
  counted_ = at;
  return line_;
}

}  // namespace penstock::ingest

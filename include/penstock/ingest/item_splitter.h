#pragma once

// Cuts a body into its items while it comes in. Only what an item's cut needs is looked at: brackets and quotes;
// whether an item is valid JSON is for `item_parser` to say.
//
//   item_splitter split(body_format::ndjson);
//   while (piece = read()) { split.feed(piece); while (auto item = split.next()) take(*item); }
//   split.finish(); while (auto item = split.next()) take(*item);

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::ingest {

/// How a body holds its items. A UTF-8 byte order mark at its start is skipped (RFC 8259, 8.1).
enum class body_format {
  json,    ///< One JSON value: an array is its elements, anything else is one item.
  ndjson,  ///< A JSON value a line; lines of white space alone are skipped (ndjson.org).
};

/// One item of a body.
struct body_item {
  std::string_view text;     ///< `item_padding` bytes behind it are readable; valid until the next call.
  std::uint64_t offset = 0;  ///< Of its first byte in the body.
  std::uint64_t line = 1;    ///< The 1-based line of the body it begins on.
  bool too_large = false;    ///< It is longer than allowed; `text` is only its beginning.
};

/// What is wrong with a body as a whole, beyond any item: what came before stands, what follows is not looked at.
struct body_error {
  std::string message;       ///< Such as "expected ',' or ']' after an element".
  std::uint64_t offset = 0;  ///< In the body.
  std::uint64_t line = 1;
};

/// Elements of an array are cut through this many levels of nesting, for which two megabytes are held; a body that goes
/// deeper is malformed. More than an item of the usual bounds has bytes, so that one that is too deep is rejected
/// alone.
inline constexpr std::size_t most_body_depth = std::size_t{1} << 24;

/// Splits one body. Holds at most one item that is not complete, up to its bound. Belongs to one task.
class item_splitter {
 public:
  /// `most_item_bytes`: of a longer item only that many bytes are given, with `too_large`, as soon as they are there;
  /// the rest of it is skipped. White space around an item does not count.
  explicit item_splitter(body_format format, std::size_t most_item_bytes = std::size_t{1} << 20);

  /// Takes the next piece of the body, once `next` has given nullopt. It must stay valid and unchanged until `next`
  /// gives nullopt again. Items that end within it, with `item_padding` bytes of it behind them, are not copied.
  void feed(std::string_view piece);
  /// No more pieces come. A body that ends too early shows in `error`, once `next` has given nullopt.
  void finish();
  /// The next item; nullopt when more is needed, the body has ended, or it is malformed.
  std::optional<body_item> next();
  /// Why the body was given up; nothing while it is well formed.
  const std::optional<body_error>& error() const noexcept { return error_; }
  /// True when the body is a JSON array or NDJSON: when its items count as many, even a single one.
  bool is_collection() const noexcept { return format_ == body_format::ndjson || is_array_; }
  /// What it has allocated, in bytes: for the longest item so far that came in several pieces, and for its nesting.
  std::size_t held_bytes() const noexcept {
    return held_capacity_ + nesting_.outer.capacity() * sizeof(nesting_.outer.front());
  }
  /// Gives that back, unless an item is under way, of one that is passed over all but the nesting; once `next` has
  /// given nullopt.
  void release() noexcept;

 private:
  enum class state : std::uint8_t {
    start,           // a byte order mark may come
    before_value,    // JSON: white space, then the value or '['
    value,           // JSON, no array: all of the body
    before_first,    // after '['
    before_element,  // after ','
    token,           // in an element that is neither string nor container
    structure,       // in a string, array or object
    after_element,
    after_array,
    before_line,
    line,
    ended
  };
  // Where a scan of brackets and quotes stands. Bit n of the kinds says whether level n is an object.
  struct nesting {
    std::uint64_t kinds = 0;                // of the 64 innermost levels that begin at a multiple of 64
    std::vector<std::uint64_t> outer = {};  // of the levels around them
    std::size_t depth = 0;
    bool in_string = false;
    bool escaped = false;
  };

  bool begin();
  void begin_item(state in) noexcept;
  bool skip_white_space() noexcept;
  std::optional<body_item> next_element();
  std::optional<body_item> next_text();
  bool between_elements(char c);
  bool scan_structure(std::size_t end);
  bool scan_token(std::size_t end) noexcept;
  bool close_level(char bracket, std::size_t at);
  bool open_level(bool object, std::size_t at);
  std::size_t room() const noexcept;
  std::optional<body_item> give(std::size_t end, bool too_large);
  std::optional<body_item> end_body();
  void leave_piece();
  void hold(std::string_view part);
  void fail(std::string message, std::size_t at);
  std::uint64_t line_of(std::size_t at) noexcept;

  body_format format_;
  state state_ = state::start;
  bool is_array_ = false;
  bool finished_ = false;
  bool in_item_ = false;     // an item has begun that was not given yet
  bool skipping_ = false;    // the item was given as too large; its rest passes by
  bool given_held_ = false;  // the item given last lies in `held_`
  std::size_t most_;

  std::string_view piece_;
  std::size_t at_ = 0;              // in the piece: what is before it has been looked at
  std::uint64_t piece_offset_ = 0;  // of the piece in the body
  std::size_t counted_ = 0;         // in the piece: the line feeds before it are in `line_`
  std::uint64_t line_ = 1;
  std::size_t mark_bytes_ = 0;  // of a byte order mark, seen so far

  std::size_t item_start_ = 0;  // in the piece; the item's bytes of earlier pieces are in `held_`
  std::uint64_t item_offset_ = 0;
  std::uint64_t item_line_ = 1;
  nesting nesting_;

  std::unique_ptr<char[]> held_;
  std::size_t held_size_ = 0;
  std::size_t held_capacity_ = 0;

  std::optional<body_error> error_;
};

}  // namespace penstock::ingest

#pragma once

// Cuts a body into its items while it comes in. Only what an item's cut needs is looked at: brackets and quotes;
// whether an item is valid JSON is for `item_parser` to say.
//
//   item_splitter split(body_format::ndjson);
//   while (piece = read()) { split.feed(piece); while (auto item = split.next()) take(*item); }
//   split.finish(); while (auto item = split.next()) take(*item);

#include "penstock/ingest/item_error.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace penstock::ingest {

/// How a body holds its items.
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

/// Splits one body. Holds at most one item that is not complete, up to its bound. Belongs to one task.
class item_splitter {
 public:
  /// `most_item_bytes`: of a longer item only the beginning is given, with `too_large`.
  explicit item_splitter(body_format format, std::size_t most_item_bytes = std::size_t{1} << 20);

  /// Takes the next piece of the body. It must stay valid and unchanged until `next` has given nullopt.
  void feed(std::string_view piece);
  /// No more pieces come. Throws nothing; a body that ends too early shows in `error`.
  void finish();
  /// The next item; nullopt when more is needed, the body has ended, or it is malformed.
  std::optional<body_item> next();
  /// Why the body was given up; nothing while it is well formed.
  const std::optional<body_error>& error() const noexcept { return error_; }
  /// True when the body is a JSON array or NDJSON: when its items count as many, even a single one.
  bool is_collection() const noexcept;

 private:
  std::optional<body_error> error_;
};

}  // namespace penstock::ingest

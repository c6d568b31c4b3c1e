#pragma once

// What is wrong with a text that is no JSON, and where. The parser of the hot path only says that something is; this
// one reads a refused item again, slowly, for people.

#include <cstddef>
#include <optional>
#include <string_view>

namespace penstock::ingest {

/// Why a text is not taken as JSON.
struct json_fault {
  std::string_view message;  ///< Static storage.
  std::size_t offset = 0;    ///< Of the byte where it shows; the text's size when it ends too early.
  bool too_deep = false;     ///< It may be JSON, but nests more than `most_item_depth` levels.
};

/// The first fault of a text that is to be one JSON value (RFC 8259) in UTF-8, white space around it allowed; nothing
/// when there is none. Stricter than the grammar in one way: a \u escape of half a surrogate pair is a fault. Numbers
/// may be of any size.
std::optional<json_fault> diagnose_json(std::string_view text) noexcept;

}  // namespace penstock::ingest

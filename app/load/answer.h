#pragma once

// What the server says about a request's items.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::app::load {

/// An item that the server did not store.
struct refused_item {
  std::size_t index = 0;  ///< Among the items of the request.
  std::string code;
  std::string message;
  std::string pointer;  ///< Where in the item (RFC 6901).
};

/// The answer to a request that was carried out.
struct answer {
  std::uint64_t stored = 0;
  std::uint64_t rejected = 0;  ///< All of them; the server lists only so many in `refused`.
  std::uint64_t duplicates = 0;
  std::vector<refused_item> refused = {};
  std::vector<std::size_t> unnamed = {};  ///< Other rejected items, by index: as far as it is known which they are.
};

/// Reads the answer of `POST /v1/{stream}` to `items` items; nothing when it is none, or counts another number.
std::optional<answer> parse_answer(std::string_view body, std::size_t items);

/// True when a problem document says that some items of its request are stored, as when one of its batches could not be
/// committed, or that it is not known whether they are.
bool says_items_may_be_stored(std::string_view problem);

/// The code of a problem document that a single item may be to blame for, such as one that makes a trigger fail: the
/// database fails the whole request then. Nothing for any other problem.
std::optional<std::string> code_that_one_item_may_cause(std::string_view problem);

/// What a problem document (RFC 9457) says: its code and detail; the status alone when the body is none.
std::string describe_problem(int status, std::string_view body);

}  // namespace penstock::app::load

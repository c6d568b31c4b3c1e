#pragma once

// Why one item was not stored, as the client is told.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace penstock::ingest {

/// What is wrong with an item itself. A row that the database refuses carries the database's code instead
/// ("db.constraint", "db.data").
enum class item_errc {
  syntax,         ///< It is no JSON (RFC 8259).
  not_an_object,  ///< The stream maps parts of objects, and this is no object.
  missing,        ///< A required part is absent or null.
  type,           ///< A part has another type than its column.
  range,          ///< A number, date or text is outside what its column holds.
  too_large,      ///< It is longer than the stream takes.
  step_failed,    ///< The user's processing step threw an exception that has no code of its own.
};

/// The stable code of an item's error.
constexpr std::string_view code_name(item_errc code) noexcept {
  switch (code) {
    case item_errc::syntax:
      return "item.syntax";
    case item_errc::not_an_object:
      return "item.not_an_object";
    case item_errc::missing:
      return "item.missing";
    case item_errc::type:
      return "item.type";
    case item_errc::range:
      return "item.range";
    case item_errc::too_large:
      return "item.too_large";
    case item_errc::step_failed:
      return "item.step_failed";
  }
  return "item.unknown";
}

/// An item's failure. A value, not an exception: bad items are expected, and many.
struct item_error {
  std::string_view code;                     ///< Stable; static storage.
  std::string message;                       ///< For people; names the column where there is one.
  std::string pointer;                       ///< Where in the item (RFC 6901); "" is the whole of it.
  std::optional<std::uint64_t> offset = {};  ///< Of a syntax error: bytes from the item's first one.
};

}  // namespace penstock::ingest

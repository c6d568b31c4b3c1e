#pragma once

// Why an item of a file did not get into the stream, where it was not the server that refused it.

#include <string_view>

namespace penstock::app::load {

/// Failures that `penstock load` itself finds. They stand in the rejects file beside the server's own codes.
enum class load_errc {
  bad_item,         ///< There is a line break inside a string of a JSON item.
  bad_row,          ///< A CSV row has too few or too many fields, or a misplaced quote.
  bad_cell,         ///< A CSV cell is not of its column's type.
  too_large,        ///< An item or row is longer than --max-item-bytes, or too large for the server.
  malformed,        ///< The file is not of its format; nothing behind that place was read.
  unreadable,       ///< The file could not be read, or decompressed, to its end.
  outcome_unknown,  ///< The item was sent, and the answer never came: it may be stored or not.
  not_sent,         ///< The load was given up before the item was sent, or sent again to learn why it was rejected.
  rejected,         ///< The server rejected the item, sent alone, and did not say why.
};

/// The stable code of a load error.
constexpr std::string_view code_name(load_errc code) noexcept {
  switch (code) {
    case load_errc::bad_item:
      return "load.bad_item";
    case load_errc::bad_row:
      return "load.bad_row";
    case load_errc::bad_cell:
      return "load.bad_cell";
    case load_errc::too_large:
      return "load.too_large";
    case load_errc::malformed:
      return "load.malformed";
    case load_errc::unreadable:
      return "load.unreadable";
    case load_errc::outcome_unknown:
      return "load.outcome_unknown";
    case load_errc::not_sent:
      return "load.not_sent";
    case load_errc::rejected:
      return "load.rejected";
  }
  return "load.unknown";
}

}  // namespace penstock::app::load

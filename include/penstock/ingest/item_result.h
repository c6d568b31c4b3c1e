#pragma once

// What became of one item of a request or a batch.

#include "penstock/ingest/item_error.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace penstock::ingest {

/// How an item ended.
enum class item_status : std::uint8_t {
  stored,     ///< Committed.
  duplicate,  ///< An item with the same key is in the table already; nothing changed.
  rejected,   ///< Not stored, and never will be as it is: see the error.
  failed,     ///< Not stored, through no fault of its own: its batch could not be committed. Send it again, unless its
              ///< error is "ingest.outcome_unknown": then it may be stored.
};

/// "stored", "duplicate", "rejected", "failed".
constexpr std::string_view name_of(item_status status) noexcept {
  switch (status) {
    case item_status::stored:
      return "stored";
    case item_status::duplicate:
      return "duplicate";
    case item_status::rejected:
      return "rejected";
    case item_status::failed:
      break;
  }
  return "failed";
}

/// An item's end.
struct item_result {
  std::uint64_t index = 0;  ///< Its place among the items it came with, from 0.
  std::uint64_t line = 0;   ///< The line of the body that it began on, from 1; 0 where there are no lines.
  item_status status = item_status::stored;
  std::int64_t id = 0;                   ///< Of a stored item.
  std::optional<item_error> error = {};  ///< Of a rejected or failed one.
};

/// How many items ended how.
struct item_counts {
  std::uint64_t stored = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t rejected = 0;
  std::uint64_t failed = 0;

  std::uint64_t all() const noexcept { return stored + duplicates + rejected + failed; }
  item_counts& operator+=(const item_counts& more) noexcept {
    stored += more.stored;
    duplicates += more.duplicates;
    rejected += more.rejected;
    failed += more.failed;
    return *this;
  }
  bool operator==(const item_counts&) const = default;
};

}  // namespace penstock::ingest

#pragma once

// Turns an item's JSON text into a row. The hot path: parsed in place, nothing copied but the cells, nothing allocated
// in steady state.

#include "penstock/db/row_batch.h"
#include "penstock/ingest/item_error.h"
#include "penstock/ingest/item_schema.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

namespace penstock::ingest {

/// Bytes that must be readable behind an item's last one; their content does not matter.
inline constexpr std::size_t item_padding = 64;

/// Arrays and objects of an item nest at most this deep (RFC 8259, 9, lets a parser set such a limit).
inline constexpr std::size_t most_item_depth = 1'024;

/// Parses the items of one stream, one at a time. Keeps its memory from item to item; belongs to one thread.
class item_parser {
 public:
  explicit item_parser(item_schema schema);
  item_parser(item_parser&&) noexcept;
  item_parser& operator=(item_parser&&) noexcept;
  ~item_parser();

  const item_schema& schema() const noexcept;

  /// Checks an item, all of it, and adds its row, committed, to `into`; gives what is wrong with it instead, and then
  /// leaves `into` as it was. `item` is one JSON value, white space around it allowed, with `item_padding` readable
  /// bytes behind it. `taken_in` fills `created_at`. A name that comes twice in an object counts with its last value.
  std::optional<item_error> add(std::string_view item, db::timestamp taken_in, db::row_batch& into);

 private:
  struct implementation;
  std::unique_ptr<implementation> implementation_;
};

}  // namespace penstock::ingest

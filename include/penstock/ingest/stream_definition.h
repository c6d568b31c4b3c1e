#pragma once

// A kind of items: its name in URLs, its table, and which parts of an item go into which columns.
//
//   stream_definition whole{.name = "items", .table = "processed_data"};
//   stream_definition mapped{.name = "quakes", .table = "quakes", .key = {"code"},
//                            .columns = {{.name = "code", .pointer = "/id", .required = true},
//                                        {.name = "magnitude", .pointer = "/properties/mag",
//                                         .type = db::column_type::real}}};

#include "penstock/db/value.h"

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace penstock::ingest {

/// The types that a part of an item may have: all but the blob, which JSON has not.
inline constexpr std::array item_column_types{db::column_type::integer,   db::column_type::real,
                                              db::column_type::text,      db::column_type::boolean,
                                              db::column_type::timestamp, db::column_type::json};

/// A column that takes one part of each item. What its type takes; anything else is `item.type`, never converted:
///
///   integer    a whole number of 64 bits ("5.0" and "1e3" are whole; below 2^53 in such a form)
///   real       any number that a double holds, rounded to it
///   text       a string
///   boolean    true or false
///   timestamp  a string, RFC 3339 with 'Z' or an offset, cut at microseconds; or a whole number: milliseconds since
///              1970, UTC. Years 1 to 9999. A date alone, or without an offset, is refused
///   json       any value, stored as the bytes that were sent
///
/// null, for each type, is no value. A blob can't be mapped.
struct stream_column {
  std::string name;
  std::string pointer;  ///< Where in the item, a JSON pointer (RFC 6901); "" is the whole item.
  db::column_type type = db::column_type::text;
  bool required = false;  ///< An item without a value there, or with null, is rejected. Excludes a default.
  /// JSON text of what stands for a missing value or null; nothing: NULL.
  std::optional<std::string> default_value = {};

  bool operator==(const stream_column&) const = default;
};

/// A stream. Without columns, items are kept whole: the table is then (id, data, created_at).
struct stream_definition {
  std::string name;   ///< In URLs: letters, digits, '_' and '-'.
  std::string table;  ///< Made when missing.
  /// Columns that are unique together; repeats are duplicates. Empty: none. They are required, or have a default.
  std::vector<std::string> key = {};
  std::vector<stream_column> columns = {};  ///< Empty: the whole item as JSON.

  bool operator==(const stream_definition&) const = default;
};

}  // namespace penstock::ingest

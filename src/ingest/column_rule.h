#pragma once

// How one part of an item becomes one cell.

#include "penstock/db/value.h"
#include "penstock/ingest/item_error.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <simdjson.h>

namespace penstock::ingest {

/// What an item has for a column.
struct item_part {
  simdjson::dom::element value;
  std::string_view text;  ///< As it was sent; only where it was asked for.
  bool present = false;
  bool is_big_number = false;  ///< A number beyond what `value` can hold; `text` has it.
};

/// A column, made ready.
struct column_rule {
  std::string name;
  std::string pointer;
  db::column_type type = db::column_type::text;
  bool required = false;
  std::optional<db::cell> default_cell = {};
  std::string default_text = {};  ///< What `default_cell` refers to.
};

/// Turns a part into a cell, which refers to the part's content. Gives what is wrong instead; never converts silently.
std::optional<item_error> make_cell(const column_rule& rule, const item_part& part, db::cell& into);

/// "an object", "a string" …: what a JSON value is, for a message.
std::string_view kind_of(simdjson::dom::element value) noexcept;

}  // namespace penstock::ingest

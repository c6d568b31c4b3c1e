#pragma once

// Where things lie in JSON text that is known to be valid: for parts that are stored as they were sent.

#include "column_rule.h"
#include "pointer_tree.h"

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace penstock::ingest {

/// Sets the text of each part that the tree names and the item has. `scratch` is memory for names with escapes.
void find_parts(const pointer_tree& tree, std::string_view json, std::span<item_part> parts, std::string& scratch);

/// The next number of a text at or after `from`; nothing when there is none.
std::optional<std::string_view> next_number(std::string_view json, std::size_t from) noexcept;

}  // namespace penstock::ingest

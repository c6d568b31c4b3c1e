#pragma once

// One CSV cell as a JSON value.

#include <penstock/db/value.h>

#include <string>
#include <string_view>

namespace penstock::app::load {

/// Appends the JSON value of a cell that is not empty. Gives what was expected instead when the cell is not of the
/// type, such as "a whole number", and then leaves `body` as it was; null when all went well.
///
/// Integers of any length pass, leading zeros and '+' dropped; reals keep their digits; booleans are true, false, t, f,
/// yes, no, 1 and 0 in any case; timestamps pass as strings for the server to read, whole numbers as numbers.
const char* append_cell(std::string_view cell, db::column_type type, std::string& body);

/// Appends a text, which is UTF-8, as a JSON string.
void append_json_string(std::string_view text, std::string& body);

}  // namespace penstock::app::load

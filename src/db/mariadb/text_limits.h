#pragma once

// How much the text columns of a table take. A server cuts blanks off that exceed it, and tells so in a note alone
// (https://dev.mysql.com/doc/refman/8.0/en/char.html): two keys could become one, so such texts are refused beforehand.

#include "penstock/db/value.h"

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::db::mariadb {

struct text_limit {
  std::string column;
  std::size_t most;
  bool in_bytes;  // and not in characters
};

// Of the tables that were looked at, by their names.
using text_limits = std::map<std::string, std::vector<text_limit>, std::less<>>;

// Why a column would cut the cell's end off without an error, if it would; nothing else.
std::optional<std::string> cut_by(const text_limit& limit, const cell& c);

}  // namespace penstock::db::mariadb

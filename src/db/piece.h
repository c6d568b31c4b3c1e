#pragma once

#include <cstddef>

namespace penstock::db {

// Of the rows that `connection::query_each` hands over at a time; a row more may go beyond.
constexpr std::size_t most_piece_bytes = std::size_t{1} << 20;

}  // namespace penstock::db

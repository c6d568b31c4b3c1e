#pragma once

// What results hold.

#include "penstock/db/value.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <libpq-fe.h>

namespace penstock::db::postgres {

struct result_deleter {
  void operator()(PGresult* r) const noexcept { PQclear(r); }
};
using result_handle = std::unique_ptr<PGresult, result_deleter>;

std::vector<std::string> column_names(const PGresult* r);

// True where values of the type can be read in their binary format.
bool is_readable_in_binary(Oid type) noexcept;

// A column that was described as another, before the table was altered: only who has the server's sessions in turns
// with others meets that.
bool is_unreadable(const PGresult* r) noexcept;

// A field, whichever its format. Types without a counterpart are texts; the times of "infinity" are the last and the
// first a timestamp can hold.
value field_value(const PGresult* r, int row, int column);

// A field that holds a whole number in its binary format; 0 for any other.
std::int64_t binary_integer(const PGresult* r, int row, int column) noexcept;

// How many rows a command changed or moved.
std::uint64_t affected_rows(const PGresult* r) noexcept;

}  // namespace penstock::db::postgres

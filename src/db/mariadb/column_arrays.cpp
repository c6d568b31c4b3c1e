#include "column_arrays.h"

#include "calendar.h"

namespace penstock::db::mariadb {

bool column_arrays::hold(const row_batch& rows, std::span<const std::uint32_t> which) {
  columns_.resize(rows.columns());
  binds_.assign(rows.columns(), {});
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    column& c = columns_[i];
    c.kind = cell::kind::null;
    for (std::uint32_t row : which) {
      cell::kind kind = rows.row(row)[i].type;
      if (kind == cell::kind::null || kind == c.kind) continue;
      if (c.kind != cell::kind::null) return false;
      c.kind = kind;
    }
    prepare(c, which.size());
    for (std::size_t r = 0; r < which.size(); ++r) set(c, r, rows.row(which[r])[i]);
    bind(c, binds_[i]);
  }
  return true;
}

// An array that is not used for the column's kind keeps what it has.
void column_arrays::prepare(column& c, std::size_t rows) {
  c.indicators.assign(rows, STMT_INDICATOR_NONE);
  switch (c.kind) {
    case cell::kind::real:
      c.reals.resize(rows);
      break;
    case cell::kind::timestamp:
      c.times.resize(rows);
      c.time_places.resize(rows);
      for (std::size_t i = 0; i < rows; ++i) c.time_places[i] = &c.times[i];
      break;
    case cell::kind::text:
    case cell::kind::blob:
      c.texts.resize(rows);
      c.lengths.resize(rows);
      break;
    case cell::kind::integer:
    case cell::kind::boolean:
    case cell::kind::null:
      c.integers.resize(rows);
      break;
  }
}

void column_arrays::set(column& c, std::size_t row, const cell& value) {
  if (value.type == cell::kind::null) c.indicators[row] = STMT_INDICATOR_NULL;
  bool is_null = value.type == cell::kind::null;
  switch (c.kind) {
    case cell::kind::real:
      c.reals[row] = is_null ? 0 : value.real;
      break;
    case cell::kind::timestamp:
      c.times[row] = is_null ? MYSQL_TIME() : *to_datetime(timestamp(std::chrono::microseconds(value.integer)));
      break;
    case cell::kind::text:
    case cell::kind::blob:
      c.texts[row] = is_null || value.size == 0 ? "" : value.data;
      c.lengths[row] = is_null ? 0 : value.size;
      break;
    case cell::kind::integer:
    case cell::kind::boolean:
    case cell::kind::null:
      c.integers[row] = is_null ? 0 : value.integer;
      break;
  }
}

void column_arrays::bind(column& c, MYSQL_BIND& to) {
  to.u.indicator = c.indicators.data();
  switch (c.kind) {
    case cell::kind::real:
      to.buffer_type = MYSQL_TYPE_DOUBLE;
      to.buffer = c.reals.data();
      break;
    case cell::kind::timestamp:
      to.buffer_type = MYSQL_TYPE_DATETIME;
      to.buffer = static_cast<void*>(c.time_places.data());
      break;
    case cell::kind::text:
    case cell::kind::blob:
      to.buffer_type = c.kind == cell::kind::text ? MYSQL_TYPE_STRING : MYSQL_TYPE_LONG_BLOB;
      to.buffer = static_cast<void*>(c.texts.data());
      to.length = c.lengths.data();
      break;
    case cell::kind::integer:
    case cell::kind::boolean:
    case cell::kind::null:
      to.buffer_type = MYSQL_TYPE_LONGLONG;
      to.buffer = c.integers.data();
      break;
  }
}

}  // namespace penstock::db::mariadb

#pragma once

// Rows turned into columns, as array binding wants them
// (https://mariadb.com/kb/en/bulk-insert-column-wise-binding/). Keeps its memory from one batch to the next.

#include "penstock/db/row_batch.h"

#include <cstdint>
#include <span>
#include <vector>

#include <mysql.h>

namespace penstock::db::mariadb {

class column_arrays {
 public:
  // False when a column has values of several kinds, which one array does not hold. `rows` must outlive the binding.
  bool hold(const row_batch& rows, std::span<const std::uint32_t> which);
  MYSQL_BIND* binds() noexcept { return binds_.data(); }

 private:
  struct column {
    cell::kind kind = cell::kind::null;
    std::vector<std::int64_t> integers;
    std::vector<double> reals;
    std::vector<MYSQL_TIME> times;
    std::vector<MYSQL_TIME*> time_places;  // the library wants an array of pointers
    std::vector<const char*> texts;
    std::vector<unsigned long> lengths;
    std::vector<char> indicators;
  };

  static void prepare(column& c, std::size_t rows);
  static void set(column& c, std::size_t row, const cell& value);
  static void bind(column& c, MYSQL_BIND& to);

  std::vector<column> columns_;
  std::vector<MYSQL_BIND> binds_;
};

}  // namespace penstock::db::mariadb

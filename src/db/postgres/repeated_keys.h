#pragma once

// Rows of a batch whose unique key an earlier one has. Keeps its memory.

#include "penstock/db/row_batch.h"
#include "penstock/db/table.h"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace penstock::db::postgres {

class repeated_keys {
 public:
  static constexpr std::size_t none = static_cast<std::size_t>(-1);

  // For each row of `among`, in order, the first of them with the same key; `none` where it is the first, or its key
  // has a null, which equals nothing.
  const std::vector<std::size_t>& find(const table_definition& table, const row_batch& rows,
                                       const std::vector<std::size_t>& among);

 private:
  bool same_key(const row_batch& rows, std::size_t a, std::size_t b) const;
  bool has_null(const row_batch& rows, std::size_t row) const;

  std::vector<std::size_t> key_columns_;
  std::vector<std::pair<std::uint64_t, std::size_t>> by_hash_;  // with the place in `among`
  std::vector<std::size_t> firsts_;
};

}  // namespace penstock::db::postgres

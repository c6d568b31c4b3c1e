#pragma once

// Rows that go to the database together. The hot path: a value's bytes are copied once, into memory that the batch
// keeps and reuses, so that in steady state no row allocates.
//
//   row_batch rows(2);
//   rows.add_text("Tokyo"); rows.add_real(7.1); rows.commit_row();

#include "penstock/db/value.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace penstock::db {

/// Rows of a fixed number of cells. Invariants: every committed row has all its cells; a row that was abandoned
/// leaves no trace; cells stay valid until `clear`.
class row_batch {
 public:
  /// At least one column.
  explicit row_batch(std::size_t columns) noexcept : columns_(columns) {}
  /// What was moved from has no rows, and takes others.
  row_batch(row_batch&& other) noexcept;
  row_batch& operator=(row_batch&& other) noexcept;

  /// Add the next cell of the row under way, left to right.
  void add_null();
  void add_integer(std::int64_t v);
  void add_real(double v);
  void add_boolean(bool v);
  void add_timestamp(timestamp v);
  /// Copies the bytes. At most 4 GiB - 1.
  void add_text(std::string_view v);
  void add_blob(std::span<const std::byte> v);
  /// The row is complete. Throws `db_errc::data`, and abandons it, where it has not as many cells as there are columns.
  void commit_row();
  /// Adds complete rows of another batch, which has as many columns, or throws as `commit_row`; copies their bytes.
  void append(const row_batch& from, std::size_t first, std::size_t count);
  /// Drops the cells added since the last `commit_row`.
  void abandon_row() noexcept;

  std::size_t columns() const noexcept { return columns_; }
  std::size_t rows() const noexcept { return rows_; }
  bool empty() const noexcept { return rows_ == 0; }
  /// Bytes of text and blobs, plus 16 for each cell: what the batch's bound counts.
  std::size_t bytes() const noexcept { return bytes_; }
  std::span<const cell> row(std::size_t index) const noexcept {
    return std::span(cells_).subspan(index * columns_, columns_);
  }
  /// Drops all rows and keeps the memory of their cells, and up to about a megabyte of that of texts and blobs.
  void clear() noexcept;

 private:
  struct block {
    std::unique_ptr<char[]> memory;
    std::size_t size;
  };
  const char* keep(const char* data, std::size_t size);
  cell& add(cell::kind type);
  [[noreturn]] void refuse_row(std::size_t cells);

  std::size_t columns_;
  std::size_t rows_ = 0;
  std::size_t bytes_ = 0;
  std::size_t committed_bytes_ = 0;
  std::vector<cell> cells_;
  std::vector<block> blocks_;
  std::size_t current_block_ = 0;  // blocks_ before it are full
  std::size_t used_ = 0;           // of the current block
};

}  // namespace penstock::db

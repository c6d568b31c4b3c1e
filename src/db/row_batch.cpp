#include "penstock/db/row_batch.h"

#include "penstock/db/error.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

namespace penstock::db {
namespace {
constexpr std::size_t block_size = std::size_t{64} << 10;
constexpr std::size_t most_kept_blocks = 16;
}  // namespace

row_batch::row_batch(row_batch&& other) noexcept : columns_(other.columns_) { *this = std::move(other); }

row_batch& row_batch::operator=(row_batch&& other) noexcept {
  columns_ = other.columns_;
  rows_ = std::exchange(other.rows_, 0);
  bytes_ = std::exchange(other.bytes_, 0);
  committed_bytes_ = std::exchange(other.committed_bytes_, 0);
  cells_ = std::exchange(other.cells_, {});
  blocks_ = std::exchange(other.blocks_, {});
  current_block_ = std::exchange(other.current_block_, 0);
  used_ = std::exchange(other.used_, 0);
  return *this;
}

cell& row_batch::add(cell::kind type) {
  cell& c = cells_.emplace_back();
  c.type = type;
  bytes_ += sizeof(cell);
  return c;
}

void row_batch::add_null() { add(cell::kind::null); }
void row_batch::add_integer(std::int64_t v) { add(cell::kind::integer).integer = v; }
void row_batch::add_real(double v) { add(cell::kind::real).real = v; }
void row_batch::add_boolean(bool v) { add(cell::kind::boolean).integer = v ? 1 : 0; }
void row_batch::add_timestamp(timestamp v) { add(cell::kind::timestamp).integer = v.time_since_epoch().count(); }

void row_batch::add_text(std::string_view v) {
  const char* data = keep(v.data(), v.size());
  cell& c = add(cell::kind::text);
  c.data = data;
  c.size = static_cast<std::uint32_t>(v.size());
}

void row_batch::add_blob(std::span<const std::byte> v) {
  const char* data = keep(reinterpret_cast<const char*>(v.data()), v.size());
  cell& c = add(cell::kind::blob);
  c.data = data;
  c.size = static_cast<std::uint32_t>(v.size());
}

const char* row_batch::keep(const char* data, std::size_t size) {
  if (size > std::numeric_limits<std::uint32_t>::max())
    throw database_error(db_errc::data, "a value of " + std::to_string(size) + " bytes: at most 4 GiB - 1 are taken");
  while (current_block_ < blocks_.size() && blocks_[current_block_].size - used_ < size) {
    ++current_block_;
    used_ = 0;
  }
  if (current_block_ == blocks_.size()) {
    std::size_t wanted = std::max(block_size, size);
    blocks_.push_back({std::make_unique_for_overwrite<char[]>(wanted), wanted});
  }
  char* place = blocks_[current_block_].memory.get() + used_;
  if (size > 0) std::memcpy(place, data, size);
  used_ += size;
  bytes_ += size;
  return place;
}

void row_batch::commit_row() {
  std::size_t cells = cells_.size() - rows_ * columns_;
  if (cells != columns_) refuse_row(cells);
  ++rows_;
  committed_bytes_ = bytes_;
}

// The cells of those that follow would come into the wrong columns.
void row_batch::refuse_row(std::size_t cells) {
  abandon_row();
  throw database_error(db_errc::data, "a batch's row " + std::to_string(rows_) + ", counted from 0, has " +
                                          std::to_string(cells) + (cells == 1 ? " cell" : " cells") + " for " +
                                          std::to_string(columns_) + (columns_ == 1 ? " column" : " columns") +
                                          ": add one for each, by add_null "
                                          "where there is no value");
}

void row_batch::append(const row_batch& from, std::size_t first, std::size_t count) {
  for (std::size_t r = first; r < first + count; ++r) {
    for (const cell& c : from.row(r)) {
      bool has_bytes = c.type == cell::kind::text || c.type == cell::kind::blob;
      const char* data = has_bytes ? keep(c.data, c.size) : nullptr;
      cell& copy = add(c.type);
      copy = c;
      if (has_bytes) copy.data = data;
    }
    commit_row();
  }
}

void row_batch::abandon_row() noexcept {
  cells_.resize(rows_ * columns_);
  bytes_ = committed_bytes_;  // the arena's bytes stay used until clear
}

void row_batch::clear() noexcept {
  cells_.clear();
  if (blocks_.size() > most_kept_blocks) blocks_.resize(most_kept_blocks);
  std::erase_if(blocks_, [](const block& b) { return b.size != block_size; });
  rows_ = bytes_ = committed_bytes_ = current_block_ = used_ = 0;
}

}  // namespace penstock::db

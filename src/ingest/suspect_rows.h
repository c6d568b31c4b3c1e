#pragma once

// Which rows may be the one that a table fails for. Whoever sends a row that upsets it may send it again and again, by
// itself or among fewer others each time, and the table is well all the same; not where no one row is in all that
// failed.

#include "penstock/db/row_batch.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace penstock::ingest {

class suspect_rows {
 public:
  // So many cells of a row are of its item: the same item may come in rows that differ in the others.
  explicit suspect_rows(std::size_t cells) noexcept : cells_(cells) {}
  // These failed together, and one of them may be to blame. True while one may be for all that failed.
  bool may_be_one(const db::row_batch& rows, std::size_t first, std::size_t count);
  // Several failed, each by itself.
  void clear_all_of_them() { hashes_.emplace(); }
  // Whether no one of them may be to blame.
  bool is_table() const noexcept { return hashes_ && hashes_->empty(); }
  // Others went in.
  void forget() noexcept { hashes_.reset(); }

 private:
  std::size_t cells_;
  std::optional<std::vector<std::size_t>> hashes_;  // in their order; nothing while none has failed
};

}  // namespace penstock::ingest

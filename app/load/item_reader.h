#pragma once

// What all file formats have in common: text goes in piece by piece, items come out into batches.

#include "app/load/batch.h"

#include <cstddef>
#include <string_view>

namespace penstock::app::load {

/// Reads the items of one file. Holds at most one unfinished item.
class item_reader {
 public:
  item_reader() = default;
  item_reader(const item_reader&) = delete;
  item_reader& operator=(const item_reader&) = delete;
  virtual ~item_reader() = default;

  /// Takes the next piece of the file, which stays valid until `fill` has given false.
  virtual void feed(std::string_view piece) = 0;
  /// No more pieces come.
  virtual void finish() = 0;
  /// Moves items into a batch. True when it is full and there may be more; false when another piece is needed.
  virtual bool fill(batch& into, const batch_limits& limits) = 0;
  /// True when the rest of the file makes no sense any more: nothing more is worth feeding.
  virtual bool given_up() const noexcept { return false; }
};

}  // namespace penstock::app::load

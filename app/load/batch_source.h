#pragma once

// Files in, batches out. It blocks, so it is called on a worker thread; the loop only sends what it gives.
//
//   batch_source source({"a.ndjson", "b.csv.gz"}, {}, stop);
//   for (batch b; source.fill(b);) send(b);

#include "app/load/batch.h"
#include "app/load/csv_reader.h"
#include "app/load/file_format.h"
#include "app/load/item_reader.h"
#include "app/load/source_file.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace penstock::app::load {

/// How files are read.
struct source_options {
  std::optional<file_format> format = {};  ///< Of all files; nothing: guessed, file by file.
  csv_options csv = {};
  batch_limits batch = {};
  std::size_t most_item_bytes = std::size_t{16} << 20;  ///< Of an item or a CSV row; longer ones are rejected.
};

/// The items of several files, in order. Memory: a batch, an item and some buffers, however long the files are.
class batch_source {
 public:
  /// `stop` outlives it.
  batch_source(std::vector<std::string> paths, source_options options, const stop_flag& stop);

  /// Fills a batch with items of one file. False when there are no more, or `stop` was set. What is wrong with a file,
  /// and not with an item of it, is a rejection as well; the next file is read then. When input comes slowly, as from
  /// a pipe, the batch is given before it is full.
  bool fill(batch& into);

 private:
  void open_next();
  bool fill_from_file(batch& into);
  bool choose_reader(batch& into);
  void account(batch& into) noexcept;
  void close_file() noexcept;

  std::vector<std::string> paths_;
  source_options options_;
  const stop_flag& stop_;
  std::size_t next_path_ = 0;
  std::size_t given_ = 0;  // batches
  std::optional<source_file> file_;
  std::unique_ptr<item_reader> reader_;
  std::string head_;  // What was read before the format is known.
  bool finished_ = false;
  std::uint64_t accounted_bytes_ = 0;
  std::uint64_t last_line_ = 0;
};

}  // namespace penstock::app::load

#pragma once

// Reads CSV: the first row names the columns, each other one becomes a JSON object.

#include "app/load/csv_columns.h"
#include "app/load/csv_splitter.h"
#include "app/load/item_reader.h"

#include <optional>

namespace penstock::app::load {

/// How CSV files are read.
struct csv_options {
  std::optional<char> delimiter = std::nullopt;  ///< By default the comma, or the tab in files that are named so.
  column_types types = {};
};

/// Reads one CSV file.
class csv_reader final : public item_reader {
 public:
  csv_reader(csv_options options, std::size_t most_row_bytes);

  void feed(std::string_view piece) override { splitter_.feed(piece); }
  void finish() override { splitter_.finish(); }
  bool fill(batch& into, const batch_limits& limits) override;
  bool given_up() const noexcept override { return given_up_; }

 private:
  void read_header(const csv_row& row, batch& into);
  void take(const csv_row& row, batch& into);

  csv_options options_;
  csv_splitter splitter_;
  std::optional<csv_columns> columns_;
  bool given_up_ = false;
};

}  // namespace penstock::app::load

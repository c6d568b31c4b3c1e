#pragma once

// Cuts CSV into rows and fields (RFC 4180): quoted fields may hold delimiters, line breaks and doubled quotes; lines
// end in LF, CRLF or CR. Blank lines are skipped.
//
//   csv_splitter split(',', 1 << 20);
//   split.feed(piece);
//   while (const csv_row* row = split.next()) use(row->fields);

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::app::load {

/// One row. Its views are valid until the next call of the splitter.
struct csv_row {
  std::string_view text;  ///< As it stands in the file, without the line's end.
  std::uint64_t line = 1;
  std::vector<std::string_view> fields;  ///< Without quotes.
  std::string problem;                   ///< Why it can't be cut into fields; empty when it can.
  bool too_large = false;                ///< The problem is its length.
};

/// Splits one file. A misplaced quote spoils its line only: what follows is read from the next line on.
class csv_splitter {
 public:
  /// A row longer than `most_row_bytes` has a problem, as a quote that is never closed makes one.
  csv_splitter(char delimiter, std::size_t most_row_bytes);

  /// Takes the next piece of the file; it is copied.
  void feed(std::string_view piece);
  /// No more pieces come.
  void finish() noexcept { finished_ = true; }
  /// The next row; null when more is needed or the file has ended.
  const csv_row* next();

 private:
  enum class step { row, need_more, spoilt };

  step cut();
  step cut_plain(std::size_t& at);
  step cut_quoted(std::size_t& at);
  std::string_view without_quotes(std::size_t begin, std::size_t end, bool doubled);
  step spoil(const char* why);
  void end_row(std::size_t at);
  void pass_line_end(std::size_t at);
  const csv_row* take_spoilt_line();
  bool skip_line();
  bool at_end(std::size_t at) const noexcept { return at >= buffer_.size(); }

  char delimiter_;
  std::size_t most_row_bytes_;
  std::string buffer_;
  std::size_t position_ = 0;  // Of the next row in `buffer_`.
  std::uint64_t line_ = 1;
  bool behind_cr_ = false;  // A CR at the end of `buffer_` has ended a line.
  bool finished_ = false;
  bool skipping_ = false;  // Inside a line that was given up for its length.
  std::string unescaped_;
  csv_row row_;
};

}  // namespace penstock::app::load

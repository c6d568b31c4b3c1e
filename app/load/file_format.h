#pragma once

// Which format a file has, from its name and its first lines.

#include <optional>
#include <string_view>

namespace penstock::app::load {

/// How a file holds its items.
enum class file_format {
  ndjson,  ///< A JSON value a line.
  json,    ///< A JSON array, or one value.
  csv,     ///< Rows below a header (RFC 4180).
};

/// Reads "ndjson", "json" or "csv"; nothing for other names.
std::optional<file_format> parse_file_format(std::string_view name) noexcept;

/// What separates the fields of a CSV file.
inline constexpr char default_delimiter = ',';
/// What separates the fields of a CSV file by its name: a tab in `.tsv`, compressed or not, else a comma.
char delimiter_of(std::string_view path) noexcept;

/// The format of a file: by its name where that says it (.ndjson, .jsonl, .csv, .tsv, before .gz or .zst), otherwise
/// by its beginning, decompressed, which holds the first line that is not blank when it is not too long. Nothing when
/// neither tells.
std::optional<file_format> guess_format(std::string_view path, std::string_view beginning, char delimiter) noexcept;

}  // namespace penstock::app::load

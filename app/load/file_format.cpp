#include "app/load/file_format.h"

#include <algorithm>

namespace penstock::app::load {
namespace {

bool has_extension(std::string_view path, std::string_view extension) noexcept {
  if (path.size() <= extension.size()) return false;
  return std::equal(extension.begin(), extension.end(), path.end() - static_cast<std::ptrdiff_t>(extension.size()),
                    [](char want, char have) { return want == (have >= 'A' && have <= 'Z' ? have + 32 : have); });
}

// True when every bracket and string that the line opens is closed on it.
bool is_whole_value(std::string_view line) noexcept {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    char c = line[i];
    if (in_string && c == '\\')
      ++i;
    else if (c == '"')
      in_string = !in_string;
    else if (!in_string && (c == '{' || c == '['))
      ++depth;
    else if (!in_string && (c == '}' || c == ']'))
      --depth;
  }
  return depth == 0 && !in_string;
}

std::string_view without_compression(std::string_view path) noexcept {
  for (std::string_view packed : {".gz", ".zst"})
    if (has_extension(path, packed)) path.remove_suffix(packed.size());
  return path;
}

// Prose, statements, logs and the page of a proxy have commas in their first line too.
bool may_be_csv_without_saying_so(std::string_view path, char first) noexcept {
  std::string_view name = path.substr(path.rfind('/') + 1);
  bool has_no_extension = name.find('.', 1) == std::string_view::npos;
  return first != '<' && (has_no_extension || has_extension(path, ".txt"));
}

}  // namespace

std::optional<file_format> parse_file_format(std::string_view name) noexcept {
  if (name == "ndjson") return file_format::ndjson;
  if (name == "json") return file_format::json;
  if (name == "csv") return file_format::csv;
  return std::nullopt;
}

char delimiter_of(std::string_view path) noexcept {
  return has_extension(without_compression(path), ".tsv") ? '\t' : default_delimiter;
}

std::optional<file_format> guess_format(std::string_view path, std::string_view beginning, char delimiter) noexcept {
  path = without_compression(path);
  if (has_extension(path, ".ndjson") || has_extension(path, ".jsonl")) return file_format::ndjson;
  if (has_extension(path, ".csv") || has_extension(path, ".tsv")) return file_format::csv;

  std::size_t first = beginning.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return file_format::ndjson;
  std::string_view line = beginning.substr(first);
  line = line.substr(0, line.find_first_of("\r\n"));
  if (line.front() == '[') return file_format::json;
  if (line.front() == '{') return is_whole_value(line) ? file_format::ndjson : file_format::json;
  if (has_extension(path, ".json")) return file_format::json;
  if (line.find(delimiter) != std::string_view::npos && may_be_csv_without_saying_so(path, line.front()))
    return file_format::csv;
  return std::nullopt;
}

}  // namespace penstock::app::load

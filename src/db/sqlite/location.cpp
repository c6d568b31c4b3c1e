#include "location.h"

#include "penstock/core/units.h"
#include "penstock/db/error.h"

#include <atomic>

namespace penstock::db::sqlite {
namespace {

void set_option(location& l, const std::string& text, std::string_view option) {
  std::size_t equals = option.find('=');
  std::string_view key = option.substr(0, equals);
  if (key != "busy_timeout" || equals == std::string_view::npos)
    throw database_error(db_errc::bad_url, "'sqlite:" + text + "': unknown option '" + std::string(option) +
                                               "', the known one is busy_timeout, such as ?busy_timeout=5s");
  try {
    l.busy_timeout = parse_duration(option.substr(equals + 1));
  } catch (const error& e) {
    throw database_error(db_errc::bad_url, "'sqlite:" + text + "', busy_timeout: " + e.message());
  }
}

}  // namespace

location parse_location(const std::string& text) {
  location l;
  std::string_view rest = text;
  // "sqlite:///abs/file" and "sqlite://file" are widespread ways to write the same.
  if (rest.starts_with("//")) rest.remove_prefix(2);
  std::size_t question = rest.find('?');
  l.file = rest.substr(0, question);
  l.name = l.file;
  if (l.file.empty()) throw database_error(db_errc::bad_url, "'sqlite:" + text + "' names no file");
  if (l.file.starts_with("file:"))
    throw database_error(db_errc::bad_url, "'sqlite:" + text + "': SQLite's own URIs are not taken: write sqlite:" +
                                               l.file.substr(std::string_view("file:").size()));
  while (question != std::string_view::npos) {
    rest.remove_prefix(question + 1);
    question = rest.find('&');
    set_option(l, text, rest.substr(0, question));
  }
  return l;
}

std::string new_memory_file() {
  static std::atomic<std::uint64_t> count = 0;
  return "file:/penstock-" + std::to_string(++count) + "?vfs=memdb";
}

}  // namespace penstock::db::sqlite

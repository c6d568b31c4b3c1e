// Invariant: every key of the file is either an option, part of a stream, or reported with its line.

#include "app/serve/config_file.h"

#include "app/serve/option_table.h"
#include "app/serve/stream_tables.h"
#include "app/serve/toml_reading.h"
#include <penstock/core/error.h>
#include <penstock/core/nearest.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>

namespace penstock::app {
namespace {

constexpr std::string_view stream_key = "stream";

class file_reader {
 public:
  file_reader(toml_problems& problems, loaded_config& into) : problems_(problems), into_(into) {}

  void read(const toml::table& root) {
    for (const auto& [key, node] : root) {
      if (key == stream_key)
        read_streams(node, problems_, into_);
      else if (is_section(key))
        read_section(key, node);
      else
        read_option({}, key, node);
    }
  }

 private:
  static bool is_section(std::string_view name) {
    std::span<const option> all = option_table();
    return std::any_of(all.begin(), all.end(),
                       [&](const option& o) { return !o.section().empty() && o.section() == name; });
  }

  void read_section(std::string_view section, const toml::node& node) {
    const toml::table* table = node.as_table();
    if (table == nullptr) {
      problems_.add(node.source(),
                    "expected a table [" + std::string(section) + "], got " + std::string(describe(node)));
      return;
    }
    for (const auto& [key, value] : *table) read_option(section, key, value);
  }

  void read_option(std::string_view section, const toml::key& key, const toml::node& node) {
    std::span<const option> all = option_table();
    auto what = std::find_if(all.begin(), all.end(),
                             [&](const option& o) { return o.section() == section && o.name() == key.str(); });
    if (what == all.end()) {
      problems_.add(key.source(), unknown_key(section, key.str()));
      return;
    }
    std::optional<std::vector<std::string>> texts = texts_of(*what, node);
    if (!texts) {
      problems_.add(node.source(), std::string(what->key) + ": expected " + std::string(describe(what->kind)) +
                                       ", got " + std::string(describe(node)));
      return;
    }
    try {
      set_option(*what, into_.values, *texts);
      into_.origins[static_cast<std::size_t>(what - all.begin())] = problems_.place(node.source());
    } catch (const error& wrong) {
      problems_.add(node.source(), std::string(what->key) + ": " + wrong.message());
    }
  }

  // The value as text, when its TOML type suits the option.
  static std::optional<std::vector<std::string>> texts_of(const option& what, const toml::node& node) {
    bool number = what.kind == value_kind::count || what.kind == value_kind::bytes;
    if (const auto* integer = node.as_integer(); integer != nullptr && number)
      return std::vector{std::to_string(integer->get())};
    if (const auto* string = node.as_string(); string != nullptr && what.kind != value_kind::count)
      return std::vector{string->get()};
    const toml::array* array = node.as_array();
    if (array == nullptr || what.kind != value_kind::endpoints) return std::nullopt;
    std::vector<std::string> texts;
    for (const toml::node& element : *array) {
      const auto* number_in_list = element.as_integer();
      if (!element.is_string() && number_in_list == nullptr) return std::nullopt;
      texts.push_back(number_in_list != nullptr ? std::to_string(number_in_list->get()) : element.as_string()->get());
    }
    return texts;
  }

  // The nearest name of the same section, else the same name elsewhere.
  static std::string unknown_key(std::string_view section, std::string_view name) {
    std::string full = section.empty() ? std::string(name) : std::string(section) + "." + std::string(name);
    std::vector<std::string_view> candidates;
    for (const option& o : option_table()) {
      if (o.section() == section) candidates.push_back(o.name());
      if (section.empty() && !o.section().empty()) candidates.push_back(o.section());
    }
    if (section.empty()) candidates.push_back(stream_key);
    std::string hint = suggestion(name, candidates);
    for (const option& o : option_table())
      if (hint.empty() && o.name() == name) hint = "; did you mean '" + std::string(o.key) + "'?";
    return "unknown key '" + full + "'" + hint;
  }

  toml_problems& problems_;
  loaded_config& into_;
};

std::optional<std::string> read_whole(const std::string& path) {
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  std::ostringstream all;
  if (!in || !(all << in.rdbuf())) {
    // An empty file inserts nothing, which the stream takes for a failure.
    if (in && in.peek() == std::ifstream::traits_type::eof() && errno == 0) return std::string();
    return std::nullopt;
  }
  return all.str();
}

}  // namespace

void read_config_file(const std::string& path, loaded_config& into, std::vector<std::string>& problems) {
  std::optional<std::string> text = read_whole(path);
  if (!text) {
    problems.push_back("cannot read the config file " + (path.empty() ? "''" : path) + ": " +
                       std::strerror(errno != 0 ? errno : EIO));
    return;
  }
  toml_problems located(path);
  try {
    toml::table root = toml::parse(*text, path);
    file_reader(located, into).read(root);
  } catch (const toml::parse_error& wrong) {
    located.add(wrong.source(), wrong.description());
  }
  for (const auto& [line, problem] : located.found()) problems.push_back(problem);
}

std::string_view describe(const toml::node& node) noexcept {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "a whole number";
    case toml::node_type::floating_point:
      return "a number with a fraction";
    case toml::node_type::boolean:
      return "a boolean";
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time:
      return "a date or time";
    case toml::node_type::none:
      break;
  }
  return "nothing";
}

}  // namespace penstock::app

// Invariant: what format_option writes, set_option reads back as the same value; a value that set_option refuses leaves
// the configuration as it was.

#include "app/error.h"
#include "app/serve/option_table.h"
#include <penstock/core/nearest.h>
#include <penstock/core/units.h>
#include <penstock/db/connection.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <type_traits>

namespace penstock::app {
namespace {

[[noreturn]] void refuse(std::string_view value, std::string_view why) {
  throw error(app_errc::bad_config, "'" + std::string(value) + "': " + std::string(why));
}

std::uint64_t parse_count(std::string_view text) {
  std::uint64_t n = 0;
  auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (failure == std::errc::result_out_of_range) n = ~std::uint64_t{0};
  if (text.empty() || failure == std::errc::invalid_argument || end != text.data() + text.size())
    refuse(text, "expected a whole number");
  return n;
}

std::uint64_t parse_mode(std::string_view text) {
  constexpr int octal = 8;
  std::uint64_t mode = 0;
  auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), mode, octal);
  if (text.empty() || failure != std::errc() || end != text.data() + text.size() || mode > 0777)
    refuse(text, "expected the mode of a file, three octal digits such as 0660");
  constexpr std::uint64_t of_owner = 0600;
  if ((mode & of_owner) != of_owner) refuse(text, "its owner must be let in: the first of the three digits is 6 or 7");
  return mode;
}

std::string format_mode(std::uint64_t mode) {
  constexpr std::uint64_t digit = 7;
  std::string text = "0";
  for (int shift : {6, 3, 0}) text += static_cast<char>('0' + ((mode >> shift) & digit));
  return text;
}

std::string format_amount(value_kind kind, std::uint64_t amount) {
  switch (kind) {
    case value_kind::bytes:
      return format_bytes(amount);
    case value_kind::duration:
      return format_duration(std::chrono::nanoseconds(amount));
    default:
      return std::to_string(amount);
  }
}

void check_bounds(const option& what, std::string_view text, std::uint64_t amount) {
  if (amount < what.least) refuse(text, "expected at least " + format_amount(what.kind, what.least));
  if (amount > what.most) refuse(text, "expected at most " + format_amount(what.kind, what.most));
}

constexpr std::array<log::level, 5> levels{log::level::debug, log::level::info, log::level::warn, log::level::error,
                                           log::level::off};
constexpr std::array<std::string_view, 2> formats{"text", "json"};

log::level parse_level(std::string_view text) {
  std::array<std::string_view, levels.size()> names;
  std::transform(levels.begin(), levels.end(), names.begin(), log::level_name);
  auto found = std::find(names.begin(), names.end(), text);
  if (found == names.end()) refuse(text, "expected debug, info, warn, error or off" + suggestion(text, names));
  return levels[static_cast<std::size_t>(found - names.begin())];
}

log::line_format parse_format(std::string_view text) {
  if (text == "text") return log::line_format::text;
  if (text == "json") return log::line_format::json;
  refuse(text, "expected text or json" + suggestion(text, formats));
}

// Lists may be given as one text with commas, as the environment has them.
std::vector<net::endpoint> parse_endpoints(const std::vector<std::string>& values) {
  std::vector<net::endpoint> endpoints;
  std::string wrong;
  for (std::string_view rest : values) {
    for (bool more = true; more;) {
      std::size_t comma = rest.find(',');
      more = comma != std::string_view::npos;
      try {
        endpoints.push_back(net::endpoint::parse(rest.substr(0, comma)));
      } catch (const error& e) {
        wrong += (wrong.empty() ? "" : "; ") + e.message();
      }
      if (more) rest.remove_prefix(comma + 1);
    }
  }
  if (!wrong.empty()) throw error(app_errc::bad_config, wrong);
  if (endpoints.empty()) throw error(app_errc::bad_config, "expected at least one endpoint, such as 127.0.0.1:8080");
  return endpoints;
}

const std::string& only(const std::vector<std::string>& values) {
  if (values.size() != 1) throw error(app_errc::bad_config, "expected one value");
  return values.front();
}

// A text ends up in a header field or a file's name.
const std::string& without_controls(const std::string& text) {
  for (char c : text)
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f)
      throw error(app_errc::bad_config, toml_string(text) + ": has a line break or another control character");
  return text;
}

struct setter {
  const option& what;
  serve_config& in;
  const std::vector<std::string>& values;

  void operator()(std::string& (*field)(serve_config&)) const {
    if (what.kind == value_kind::url) db::database{only(values)};
    field(in) = what.kind == value_kind::text ? without_controls(only(values)) : only(values);
  }
  void operator()(std::uint64_t& (*field)(serve_config&)) const {
    const std::string& text = only(values);
    if (what.kind == value_kind::mode) {
      field(in) = parse_mode(text);
      return;
    }
    std::uint64_t amount = what.kind == value_kind::bytes ? parse_bytes(text) : parse_count(text);
    check_bounds(what, text, amount);
    field(in) = amount;
  }
  void operator()(duration& (*field)(serve_config&)) const {
    const std::string& text = only(values);
    duration d = parse_duration(text);
    check_bounds(what, text, static_cast<std::uint64_t>(d.count()));
    field(in) = d;
  }
  void operator()(std::vector<net::endpoint>& (*field)(serve_config&)) const { field(in) = parse_endpoints(values); }
  void operator()(log::level& (*field)(serve_config&)) const { field(in) = parse_level(only(values)); }
  void operator()(log::line_format& (*field)(serve_config&)) const { field(in) = parse_format(only(values)); }
};

std::string format_endpoints(const std::vector<net::endpoint>& endpoints) {
  std::string out = "[";
  for (const net::endpoint& e : endpoints) {
    if (out.size() > 1) out += ", ";
    out += toml_string(e.to_string());
  }
  return out + "]";
}

}  // namespace

std::string_view describe(value_kind kind) noexcept {
  switch (kind) {
    case value_kind::text:
      return "a text";
    case value_kind::url:
      return "a URL, such as \"sqlite:penstock.db\"";
    case value_kind::endpoints:
      return "a list of endpoints, such as [\"127.0.0.1:8080\"]";
    case value_kind::count:
      return "a whole number";
    case value_kind::bytes:
      return "a size, such as \"4MiB\"";
    case value_kind::duration:
      return "a duration, such as \"1ms\"";
    case value_kind::level:
      return "\"debug\", \"info\", \"warn\", \"error\" or \"off\"";
    case value_kind::format:
      return "\"text\" or \"json\"";
    case value_kind::mode:
      return "the mode of a file, such as \"0660\"";
  }
  return "a value";
}

std::string_view placeholder(value_kind kind) noexcept {
  switch (kind) {
    case value_kind::text:
      return "TEXT";
    case value_kind::url:
      return "URL";
    case value_kind::endpoints:
      return "ENDPOINT";
    case value_kind::count:
      return "NUMBER";
    case value_kind::bytes:
      return "SIZE";
    case value_kind::duration:
      return "DURATION";
    case value_kind::level:
      return "LEVEL";
    case value_kind::format:
      return "FORMAT";
    case value_kind::mode:
      return "MODE";
  }
  return "VALUE";
}

void set_option(const option& what, serve_config& in, const std::vector<std::string>& values) {
  std::visit(setter{what, in, values}, what.field);
}

std::string format_option(const option& what, const serve_config& in) {
  // The fields are reached through references that could change them; nothing here does.
  serve_config& reachable = const_cast<serve_config&>(in);
  return std::visit(
      [&](auto* field) -> std::string {
        const auto& value = field(reachable);
        using type = std::remove_cvref_t<decltype(value)>;
        if constexpr (std::is_same_v<type, std::string>)
          return toml_string(what.kind == value_kind::url ? log::redact_url(value) : value);
        else if constexpr (std::is_same_v<type, std::uint64_t>)
          return what.kind == value_kind::bytes  ? toml_string(format_bytes(value))
                 : what.kind == value_kind::mode ? toml_string(format_mode(value))
                                                 : std::to_string(value);
        else if constexpr (std::is_same_v<type, duration>)
          return toml_string(format_duration(value));
        else if constexpr (std::is_same_v<type, log::level>)
          return toml_string(log::level_name(value));
        else if constexpr (std::is_same_v<type, log::line_format>)
          return toml_string(value == log::line_format::json ? "json" : "text");
        else
          return format_endpoints(value);
      },
      what.field);
}

std::string toml_string(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out = "\"";
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\', out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\u00", out += digits[byte >> 4], out += digits[byte & 15];
    } else {
      out += c;
    }
  }
  return out + '"';
}

}  // namespace penstock::app

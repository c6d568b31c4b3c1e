// Invariant: what `to_json` gives, `set` reads back, save for the null of a cut that is not to be.

#include "app/chaos/toxic_table.h"

#include "app/error.h"
#include <penstock/core/nearest.h>
#include <penstock/core/units.h>
#include <penstock/http/problem.h>

#include <charconv>
#include <cstdio>
#include <vector>

namespace penstock::app::chaos {
namespace {

using testing::toxics;

[[noreturn]] void refuse(std::string_view text, std::string_view expected) {
  throw error(app_errc::bad_usage, "'" + std::string(text) + "': expected " + std::string(expected));
}

bool switched_on(std::string_view text) {
  if (text != "true" && text != "false") refuse(text, "true or false");
  return text == "true";
}

std::string switch_json(bool on) { return on ? "true" : "false"; }

template <class Number>
Number number(std::string_view text, std::string_view expected) {
  Number value{};
  auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end != text.data() + text.size()) refuse(text, expected);
  return value;
}

std::string chance_json(double chance) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.9g", chance);
  return text;
}

std::string duration_json(duration d) { return "\"" + format_duration(d) + "\""; }

constexpr toxic table[] = {
    {"stop", "", "Read, pass on and close nothing", [](toxics& t, std::string_view s) { t.stop = switched_on(s); },
     [](const toxics& t) { return switch_json(t.stop); }},
    {"drop", "", "Read everything and throw it away", [](toxics& t, std::string_view s) { t.drop = switched_on(s); },
     [](const toxics& t) { return switch_json(t.drop); }},
    {"corrupt", "CHANCE", "The chance of each byte, 0 to 1, to be changed",
     [](toxics& t, std::string_view s) { t.corrupt = number<double>(s, "a chance, from 0 to 1"); },
     [](const toxics& t) { return chance_json(t.corrupt); }},
    {"cut_after_bytes", "BYTES", "Close both sides after so many bytes of a connection",
     [](toxics& t, std::string_view s) { t.cut_after_bytes = parse_bytes(s); },
     [](const toxics& t) { return t.cut_after_bytes ? std::to_string(*t.cut_after_bytes) : std::string("null"); }},
    {"cut_by_reset", "", "Reset both sides instead of closing them",
     [](toxics& t, std::string_view s) { t.cut_by_reset = switched_on(s); },
     [](const toxics& t) { return switch_json(t.cut_by_reset); }},
    {"lose_answer_to", "TEXT", "Pass this text on, and drop the connection instead of the answer",
     [](toxics& t, std::string_view s) { t.lose_answer_to = std::string(s); },
     [](const toxics& t) { return http::json_string(t.lose_answer_to); }},
    {"lose_answer_every", "N", "Only each N-th time",
     [](toxics& t, std::string_view s) { t.lose_answer_every = number<std::size_t>(s, "a whole number, at least 1"); },
     [](const toxics& t) { return std::to_string(t.lose_answer_every); }},
    {"latency", "TIME", "How much longer bytes are on their way",
     [](toxics& t, std::string_view s) { t.latency = parse_duration(s); },
     [](const toxics& t) { return duration_json(t.latency); }},
    {"jitter", "TIME", "Up to so much longer, each piece by itself",
     [](toxics& t, std::string_view s) { t.jitter = parse_duration(s); },
     [](const toxics& t) { return duration_json(t.jitter); }},
    {"bytes_per_second", "BYTES", "The bandwidth; 0 for no bound",
     [](toxics& t, std::string_view s) { t.bytes_per_second = parse_bytes(s); },
     [](const toxics& t) { return std::to_string(t.bytes_per_second); }},
    {"slice_bytes", "BYTES", "Write pieces of at most so many bytes; 0 for as they come",
     [](toxics& t, std::string_view s) { t.slice_bytes = static_cast<std::size_t>(parse_bytes(s)); },
     [](const toxics& t) { return std::to_string(t.slice_bytes); }},
};

}  // namespace

std::span<const toxic> toxic_table() { return table; }

const toxic& toxic_named(std::string_view name) {
  std::vector<std::string_view> names;
  for (const toxic& t : table) {
    if (t.name == name) return t;
    names.push_back(t.name);
  }
  throw error(app_errc::bad_usage, "there is no toxic '" + std::string(name) + "'" + suggestion(name, names));
}

std::string option_name(const toxic& t) {
  std::string name = "--";
  for (char c : t.name) name += c == '_' ? '-' : c;
  return name;
}

}  // namespace penstock::app::chaos

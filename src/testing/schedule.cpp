#include "penstock/testing/schedule.h"

#include "penstock/testing/error.h"
#include "penstock/testing/random_stream.h"

#include <charconv>

// Invariant: parse(s.text()) is s.

namespace penstock::testing {
namespace {

constexpr unsigned most_depth = 100;

[[noreturn]] void refuse(std::string_view text) {
  throw error(testing_errc::bad_setting, "schedule '" + std::string(text) +
                                             "': expected fifo, random, pct:<depth from 1 to 100>, or "
                                             "fifo+<choice>:<place>,... with ascending choices");
}

template <class T>
bool read_number(std::string_view& text, T& number) {
  auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

bool read(std::string_view& text, char expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(1);
  return true;
}

std::vector<schedule::change> read_changes(std::string_view whole, std::string_view list) {
  std::vector<schedule::change> changes;
  do {
    schedule::change c{};
    if (!read_number(list, c.choice) || !read(list, ':') || !read_number(list, c.place)) refuse(whole);
    if (!changes.empty() && c.choice <= changes.back().choice) refuse(whole);
    changes.push_back(c);
  } while (read(list, ','));
  if (!list.empty()) refuse(whole);
  return changes;
}

}  // namespace

schedule schedule::parse(std::string_view text) {
  schedule result;
  if (text == "fifo") return result;
  if (text == "random") {
    result.kind = order::random;
    return result;
  }
  if (text.starts_with("fifo+")) {
    result.changes = read_changes(text, text.substr(5));
    return result;
  }
  if (!text.starts_with("pct:")) refuse(text);
  result.kind = order::pct;
  std::string_view depth = text.substr(4);
  if (!read_number(depth, result.depth) || !depth.empty() || result.depth == 0 || result.depth > most_depth)
    refuse(text);
  return result;
}

schedule schedule::for_seed(std::uint64_t seed) {
  random_stream draw(seed, "kind of schedule");
  schedule result;
  result.kind = draw.chance(0.5) ? order::random : order::pct;
  result.depth = 1 + static_cast<unsigned>(draw.below(5));
  return result;
}

std::string schedule::text() const {
  if (kind == order::random) return "random";
  if (kind == order::pct) return "pct:" + std::to_string(depth);
  std::string result = "fifo";
  for (const change& c : changes)
    result += (&c == &changes.front() ? "+" : ",") + std::to_string(c.choice) + ":" + std::to_string(c.place);
  return result;
}

}  // namespace penstock::testing

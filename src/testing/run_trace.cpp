#include "penstock/testing/run_trace.h"

#include "penstock/core/traceback.h"
#include "penstock/core/units.h"

#include <algorithm>
#include <array>
#include <cstdio>

// Invariant: the hash covers every step in order, kept or not; no address goes into it.

namespace penstock::testing {
namespace {

constexpr std::size_t most_kept = 1'000'000;

constexpr std::uint64_t mix(std::uint64_t hash, std::uint64_t value) noexcept {
  hash ^= value + 0x9e3779b97f4a7c15ULL + (hash << 6) + (hash >> 2);
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9ULL;
  return hash ^ (hash >> 27);
}

std::string hexadecimal(std::uint64_t number) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "0x%llx", static_cast<unsigned long long>(number));
  return text.data();
}

}  // namespace

void run_trace::add(const step& s) {
  hash_ = mix(mix(mix(hash_, static_cast<std::uint64_t>(s.what)), s.subject), s.value);
  ++count_;
  if (keep_ && kept_.size() < most_kept) kept_.push_back(s);
}

void run_trace::resumed(duration at, std::uint64_t task, std::uint64_t place, std::uint64_t random_position,
                        const std::source_location& where) {
  now_ = at;
  add({kind::resumed, task, mix(mix(place, random_position), where.line()), at, where});
}

void run_trace::time_went_on(duration to) {
  now_ = to;
  add({kind::time_went_on, 0, static_cast<std::uint64_t>(to.count()), to, {}});
}

void run_trace::drew(std::string_view concern, std::uint64_t number) {
  auto known = std::find(concerns_.begin(), concerns_.end(), concern);
  if (known == concerns_.end()) known = concerns_.insert(known, std::string(concern));
  add({kind::drew, static_cast<std::uint64_t>(known - concerns_.begin()), number, now_, {}});
}

std::string run_trace::describe(const step& s) const {
  std::string at = "at " + format_duration(s.at) + " ";
  switch (s.what) {
    case kind::resumed:
      if (s.subject == 0) return at + "work outside of any task ran";
      return at + "task #" + std::to_string(s.subject) + " went on at " + s.where.file_name() + ":" +
             std::to_string(s.where.line()) + " in " + short_function_name(s.where.function_name());
    case kind::time_went_on:
      return "virtual time went on to " + format_duration(s.at);
    case kind::drew:
      return at + hexadecimal(s.value) + " was drawn for '" + concerns_[static_cast<std::size_t>(s.subject)] + "'";
  }
  return at;
}

std::optional<std::string> first_difference(const run_trace& first, const run_trace& second) {
  if (first.hash_ == second.hash_ && first.count_ == second.count_) return std::nullopt;
  std::size_t both = std::min(first.kept_.size(), second.kept_.size());
  for (std::size_t i = 0; i <= both; ++i) {
    bool first_ended = i == first.kept_.size();
    bool second_ended = i == second.kept_.size();
    if (first_ended && second_ended) break;
    std::string a = first_ended ? "the run ended" : first.describe(first.kept_[i]);
    std::string b = second_ended ? "the run ended" : second.describe(second.kept_[i]);
    if (!first_ended && !second_ended) {
      const run_trace::step& x = first.kept_[i];
      const run_trace::step& y = second.kept_[i];
      if (x.what == y.what && x.subject == y.subject && x.value == y.value && a == b) continue;
      if (a == b) b += ", after another choice or another use of scheduler::random";
    }
    return std::string("step ").append(std::to_string(i + 1)).append(": first ").append(a).append("; then ").append(b);
  }
  return "the runs differ after the " + std::to_string(both) + " steps that were kept";
}

}  // namespace penstock::testing

#include "penstock/testing/random_stream.h"

#include "penstock/testing/run_trace.h"

// Invariant: the nth number depends on the seed, the name and n alone; no address, no clock, no locale.

namespace penstock::testing {
namespace {

// The finaliser of splitmix64 (Steele, Lea, Flood 2014).
constexpr std::uint64_t scatter(std::uint64_t z) noexcept {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

// FNV-1a.
constexpr std::uint64_t hash_of(std::string_view name) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash;
}

}  // namespace

random_stream::random_stream(std::uint64_t seed, std::string_view name) noexcept
    : state_(scatter(seed + 0x9e3779b97f4a7c15ULL) ^ scatter(hash_of(name))) {}

random_stream::random_stream(std::uint64_t seed, std::string_view name, run_trace& draws) noexcept
    : random_stream(seed, name) {
  name_ = name;
  draws_ = &draws;
}

std::uint64_t random_stream::next() {
  std::uint64_t number = scatter(state_ += 0x9e3779b97f4a7c15ULL);
  if (draws_ != nullptr) draws_->drew(name_, number);
  return number;
}

std::uint64_t random_stream::below(std::uint64_t n) {
  if (n < 2) return 0;
  // The last, incomplete run of n numbers below 2^64 is drawn again, or the low results were likelier.
  const std::uint64_t incomplete = (UINT64_MAX % n + 1) % n;
  std::uint64_t drawn = next();
  while (drawn > UINT64_MAX - incomplete) drawn = next();
  return drawn % n;
}

bool random_stream::chance(double probability) { return static_cast<double>(next() >> 11) * 0x1.0p-53 < probability; }

duration random_stream::between(duration least, duration most) {
  if (most <= least) return least;
  auto span = static_cast<std::uint64_t>((most - least).count());
  return least + duration(static_cast<duration::rep>(span == UINT64_MAX ? next() : below(span + 1)));
}

}  // namespace penstock::testing

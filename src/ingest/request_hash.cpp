#include "request_hash.h"

#include <algorithm>
#include <bit>
#include <cstring>

// As the reference does it (https://github.com/veorq/SipHash); the test has its vectors.

namespace penstock::ingest {
namespace {

constexpr std::size_t word_size = sizeof(std::uint64_t);

std::uint64_t word_at(const char* bytes) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, bytes, word_size);
  if constexpr (std::endian::native == std::endian::big) word = __builtin_bswap64(word);
  return word;
}

void append_hexadecimal(std::string& to, std::uint64_t word) {
  constexpr char digits[] = "0123456789abcdef";
  for (std::size_t i = 0; i < word_size; ++i, word >>= 8) {
    to += digits[(word >> 4) & 15];
    to += digits[word & 15];
  }
}

}  // namespace

request_hash::request_hash(std::uint64_t key_low, std::uint64_t key_high) noexcept
    : v_{0x736f6d6570736575 ^ key_low, 0x646f72616e646f6d ^ key_high ^ 0xee, 0x6c7967656e657261 ^ key_low,
         0x7465646279746573 ^ key_high} {}

void request_hash::rounds(int count) noexcept {
  auto [a, b, c, d] = v_;
  while (count-- > 0) {
    a += b;
    b = std::rotl(b, 13) ^ a;
    a = std::rotl(a, 32);
    c += d;
    d = std::rotl(d, 16) ^ c;
    a += d;
    d = std::rotl(d, 21) ^ a;
    c += b;
    b = std::rotl(b, 17) ^ c;
    c = std::rotl(c, 32);
  }
  v_ = {a, b, c, d};
}

void request_hash::take(std::uint64_t word) noexcept {
  v_[3] ^= word;
  rounds(2);
  v_[0] ^= word;
}

void request_hash::add(std::string_view piece) noexcept {
  std::size_t waiting = length_ % word_size;
  length_ += piece.size();
  if (waiting > 0) {
    std::size_t taken = std::min(word_size - waiting, piece.size());
    std::memcpy(rest_.data() + waiting, piece.data(), taken);
    piece.remove_prefix(taken);
    if (waiting + taken < word_size) return;
    take(word_at(reinterpret_cast<const char*>(rest_.data())));
  }
  for (; piece.size() >= word_size; piece.remove_prefix(word_size)) take(word_at(piece.data()));
  if (!piece.empty()) std::memcpy(rest_.data(), piece.data(), piece.size());
}

std::string request_hash::finish() noexcept {
  std::uint64_t last = length_ << 56;
  for (std::size_t i = 0; i < length_ % word_size; ++i) last |= static_cast<std::uint64_t>(rest_[i]) << (8 * i);
  take(last);
  std::string text;
  v_[2] ^= 0xee;
  rounds(4);
  append_hexadecimal(text, v_[0] ^ v_[1] ^ v_[2] ^ v_[3]);
  v_[1] ^= 0xdd;
  rounds(4);
  append_hexadecimal(text, v_[0] ^ v_[1] ^ v_[2] ^ v_[3]);
  return text;
}

}  // namespace penstock::ingest

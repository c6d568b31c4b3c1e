#pragma once

// Tells one request from another: 128 bits over its parts (SipHash-2-4 with the longer output, Aumasson and Bernstein).
// It is no secret and guards against mistakes, not against someone who looks for two requests of one hash: who finds
// them has them under a key of his own. It needs no library, and reads a gigabyte in about a second.
//
//   request_hash h;
//   h.add("ndjson"); h.add(piece); …; std::string text = h.finish();

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace penstock::ingest {

class request_hash {
 public:
  // The key of the function; any will do, as long as it stays.
  explicit request_hash(std::uint64_t key_low = 0, std::uint64_t key_high = 0) noexcept;
  // However a text is cut into pieces, the hash is the same.
  void add(std::string_view piece) noexcept;
  // 32 hexadecimal digits, the bytes of the hash in order. Once, at the end.
  std::string finish() noexcept;

 private:
  void rounds(int count) noexcept;
  void take(std::uint64_t word) noexcept;

  std::array<std::uint64_t, 4> v_;
  std::array<unsigned char, 8> rest_{};  // bytes that are no whole word yet
  std::uint64_t length_ = 0;
};

}  // namespace penstock::ingest

#include "utf8.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

// Most texts are ASCII for long stretches, which are skipped eight bytes at a time.

namespace penstock::db::mariadb {
namespace {

struct form {
  std::size_t size;  // bytes; 0: nothing starts so
  unsigned char second_from;
  unsigned char second_to;
};

form form_of(unsigned char lead) noexcept {
  if (lead < 0xc2) return {0, 0, 0};
  if (lead < 0xe0) return {2, 0x80, 0xbf};
  if (lead == 0xe0) return {3, 0xa0, 0xbf};
  if (lead == 0xed) return {3, 0x80, 0x9f};
  if (lead < 0xf0) return {3, 0x80, 0xbf};
  if (lead == 0xf0) return {4, 0x90, 0xbf};
  if (lead < 0xf4) return {4, 0x80, 0xbf};
  if (lead == 0xf4) return {4, 0x80, 0x8f};
  return {0, 0, 0};
}

}  // namespace

bool is_utf8(std::string_view text) noexcept {
  auto* at = reinterpret_cast<const unsigned char*>(text.data());
  auto* end = at + text.size();
  while (at < end) {
    std::uint64_t eight = 0;
    if (end - at >= 8) {
      std::memcpy(&eight, at, 8);
      if ((eight & 0x8080808080808080) == 0) {
        at += 8;
        continue;
      }
    }
    if (*at < 0x80) {
      ++at;
      continue;
    }
    form f = form_of(*at);
    if (f.size == 0 || static_cast<std::size_t>(end - at) < f.size) return false;
    if (at[1] < f.second_from || at[1] > f.second_to) return false;
    for (std::size_t i = 2; i < f.size; ++i)
      if ((at[i] & 0xc0) != 0x80) return false;
    at += f.size;
  }
  return true;
}

}  // namespace penstock::db::mariadb

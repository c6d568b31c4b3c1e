#include "penstock/core/id.h"

namespace penstock {

std::string make_id(std::uint64_t random_bits) {
  constexpr char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";
  std::string id(13, '0');
  for (std::size_t i = id.size(); i-- > 0; random_bits >>= 5) id[i] = alphabet[random_bits & 31];
  return id;
}

}  // namespace penstock

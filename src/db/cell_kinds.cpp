#include "cell_kinds.h"

namespace penstock::db {

std::string_view name_of(cell::kind kind) noexcept {
  switch (kind) {
    case cell::kind::integer:
      return "an integer";
    case cell::kind::real:
      return "a real number";
    case cell::kind::text:
      return "a text";
    case cell::kind::boolean:
      return "a boolean";
    case cell::kind::timestamp:
      return "a timestamp";
    case cell::kind::blob:
      return "a blob";
    case cell::kind::null:
      break;
  }
  return "null";
}

bool is_truth(const cell& c) noexcept {
  return c.type == cell::kind::boolean || (c.type == cell::kind::integer && (c.integer == 0 || c.integer == 1));
}

bool is_exact_as_real(std::int64_t n) noexcept {
  auto real = static_cast<double>(n);
  return real < 0x1p63 && static_cast<std::int64_t>(real) == n;
}

}  // namespace penstock::db

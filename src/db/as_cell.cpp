#include "as_cell.h"

#include <algorithm>
#include <limits>
#include <type_traits>
#include <variant>

namespace penstock::db {

cell as_cell(const value& v) noexcept {
  cell c;
  auto fill = [&](const auto& held) {
    using T = std::decay_t<decltype(held)>;
    if constexpr (std::is_same_v<T, std::string>) {
      c.type = cell::kind::text;
      c.data = held.data();
      c.size =
          static_cast<std::uint32_t>(std::min<std::size_t>(held.size(), std::numeric_limits<std::uint32_t>::max()));
    } else if constexpr (std::is_same_v<T, blob>) {
      c.type = cell::kind::blob;
      c.data = reinterpret_cast<const char*>(held.bytes.data());
      c.size = static_cast<std::uint32_t>(
          std::min<std::size_t>(held.bytes.size(), std::numeric_limits<std::uint32_t>::max()));
    } else if constexpr (std::is_same_v<T, double>) {
      c.type = cell::kind::real;
      c.real = held;
    } else if constexpr (std::is_same_v<T, timestamp>) {
      c.type = cell::kind::timestamp;
      c.integer = held.time_since_epoch().count();
    } else if constexpr (!std::is_same_v<T, std::monostate>) {
      c.type = std::is_same_v<T, bool> ? cell::kind::boolean : cell::kind::integer;
      c.integer = static_cast<std::int64_t>(held);
    }
  };
  std::visit(fill, v);
  return c;
}

}  // namespace penstock::db

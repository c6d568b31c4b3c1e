#include "trace_parent.h"

#include <utility>

namespace penstock::http {
namespace {

constexpr std::size_t parent_size = 55;             // version, trace, parent and flags, and a hyphen between any two
constexpr std::size_t most_trace_state_size = 512;  // what whoever sends it on must take (section 3.3.1.5)

constexpr std::string_view hex_digits = "0123456789abcdef";

bool is_hex(std::string_view text) noexcept { return text.find_first_not_of(hex_digits) == std::string_view::npos; }

// A later version may have more behind what this one has (section 4.3).
bool is_parent(std::string_view field) noexcept {
  if (field.size() < parent_size || field[2] != '-' || field[35] != '-' || field[52] != '-') return false;
  std::string_view version = field.substr(0, 2);
  if (!is_hex(version) || version == "ff" || !is_hex(field.substr(53, 2))) return false;
  if (field.size() > parent_size && (version == "00" || field[parent_size] != '-')) return false;
  return is_trace_part(field.substr(3, 32), 32) && is_trace_part(field.substr(36, 16), 16);
}

}  // namespace

bool is_trace_part(std::string_view id, std::size_t digits) noexcept {
  return id.size() == digits && is_hex(id) && id.find_first_not_of('0') != std::string_view::npos;
}

request_context context_of(std::string id, std::span<const header_field> fields) {
  std::string_view parent;
  std::string state;
  int parents = 0;
  for (const auto& [name, value] : fields) {
    if (equal_ignoring_case(name, "traceparent")) {
      parent = value;
      ++parents;
    } else if (equal_ignoring_case(name, "tracestate")) {
      state.append(state.empty() ? "" : ",").append(value);
    }
  }
  if (parents != 1 || !is_parent(parent)) return request_context(std::move(id));
  if (state.size() > most_trace_state_size) state.clear();
  bool is_sampled = hex_digits.find(parent[54]) % 2 == 1;
  return request_context(std::move(id), std::string(parent.substr(3, 32)), std::string(parent.substr(36, 16)),
                         is_sampled, std::move(state));
}

}  // namespace penstock::http

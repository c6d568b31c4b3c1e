#include "pointer_tree.h"

#include "penstock/ingest/error.h"

#include <algorithm>
#include <charconv>

// Invariant: `by_name` is sorted, and names each child of its node once.

namespace penstock::ingest {
namespace {

// An index is written in digits without leading zeros (RFC 6901, 4).
bool parse_index(std::string_view token, std::uint64_t& index) noexcept {
  if (token.empty() || (token.size() > 1 && token.front() == '0')) return false;
  auto [end, failure] = std::from_chars(token.data(), token.data() + token.size(), index);
  return failure == std::errc() && end == token.data() + token.size();
}

bool shorter_or_before(std::string_view a, std::string_view b) noexcept {
  return a.size() != b.size() ? a.size() < b.size() : a < b;
}

}  // namespace

std::vector<std::string> parse_pointer(std::string_view pointer) {
  std::vector<std::string> tokens;
  if (pointer.empty()) return tokens;
  if (pointer.front() != '/')
    throw error(ingest_errc::bad_stream,
                "a JSON pointer begins with '/': did you mean '/" + std::string(pointer) + "'?");
  for (std::size_t i = 0; i < pointer.size(); ++i) {
    if (pointer[i] == '/') {
      tokens.emplace_back();
    } else if (pointer[i] != '~') {
      tokens.back() += pointer[i];
    } else if (i + 1 < pointer.size() && (pointer[i + 1] == '0' || pointer[i + 1] == '1')) {
      tokens.back() += pointer[++i] == '0' ? '~' : '/';
    } else {
      throw error(ingest_errc::bad_stream, "in a JSON pointer '~' is written '~0', and '/' within a name '~1'");
    }
  }
  return tokens;
}

void pointer_tree::add(const std::vector<std::string>& tokens, std::uint32_t column) {
  std::uint32_t at = 0;
  for (const std::string& token : tokens) at = child_of(at, token);
  nodes_[at].columns.push_back(column);
}

std::uint32_t pointer_tree::child_of(std::uint32_t parent, const std::string& token) {
  for (const child& c : nodes_[parent].children)
    if (c.name == token) return c.node;
  auto added = static_cast<std::uint32_t>(nodes_.size());
  nodes_.emplace_back();
  node& n = nodes_[parent];
  child c{token, 0, false, added};
  c.is_index = parse_index(token, c.index);
  if (c.is_index) n.index_end = std::max(n.index_end, c.index + 1);
  n.by_name.push_back(static_cast<std::uint32_t>(n.children.size()));
  n.children.push_back(std::move(c));
  std::sort(n.by_name.begin(), n.by_name.end(), [&](std::uint32_t a, std::uint32_t b) {
    return shorter_or_before(n.children[a].name, n.children[b].name);
  });
  return added;
}

std::uint32_t pointer_tree::find(const node& n, std::string_view name, std::uint32_t& hint) noexcept {
  if (hint < n.children.size() && n.children[hint].name == name) return n.children[hint++].node;
  auto found = std::lower_bound(n.by_name.begin(), n.by_name.end(), name, [&](std::uint32_t a, std::string_view b) {
    return shorter_or_before(n.children[a].name, b);
  });
  if (found == n.by_name.end() || n.children[*found].name != name) return none;
  hint = *found + 1;
  return n.children[*found].node;
}

std::uint32_t pointer_tree::find(const node& n, std::uint64_t index) noexcept {
  for (const child& c : n.children)
    if (c.is_index && c.index == index) return c.node;
  return none;
}

}  // namespace penstock::ingest

#pragma once

// The JSON pointers of all columns as one tree, so that an item is walked once however many there are.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::ingest {

/// The tokens of a JSON pointer (RFC 6901, 4), with ~1 and ~0 undone. Throws `ingest_errc::bad_stream` with what is
/// wrong with it.
std::vector<std::string> parse_pointer(std::string_view pointer);

/// Pointers, merged where they share a beginning. Node 0 is the whole item.
class pointer_tree {
 public:
  static constexpr std::uint32_t none = UINT32_MAX;

  /// A step from a node to one below it.
  struct child {
    std::string name;         ///< Of an object's member …
    std::uint64_t index = 0;  ///< … or of an array's element,
    bool is_index = false;    ///< where the name can be one.
    std::uint32_t node = 0;
  };
  struct node {
    std::vector<child> children;         ///< In the order in which they were added.
    std::vector<std::uint32_t> by_name;  ///< Children, sorted by the names' lengths, then the names.
    std::vector<std::uint32_t> columns;  ///< Whose pointer ends here.
    std::uint64_t index_end = 0;         ///< No index below it is as large.
  };

  pointer_tree() : nodes_(1) {}
  void add(const std::vector<std::string>& tokens, std::uint32_t column);

  const node& at(std::uint32_t index) const noexcept { return nodes_[index]; }
  std::size_t size() const noexcept { return nodes_.size(); }
  /// The child for a member; `none` when there is none. `hint` is the child to try first, and is set to the next one:
  /// members come in the same order in item after item.
  static std::uint32_t find(const node& n, std::string_view name, std::uint32_t& hint) noexcept;
  /// The child for an element; `none` when there is none.
  static std::uint32_t find(const node& n, std::uint64_t index) noexcept;

 private:
  std::uint32_t child_of(std::uint32_t parent, const std::string& token);

  std::vector<node> nodes_;
};

}  // namespace penstock::ingest

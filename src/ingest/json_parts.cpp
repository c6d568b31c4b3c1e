#include "json_parts.h"

#include "string_scan.h"

// The text is valid, so a value's end is found from its brackets and quotes alone, and only the containers on the way
// to a part are entered. Recursion goes as deep as the deepest pointer, not as the item.

namespace penstock::ingest {
namespace {

bool is_white_space(char c) noexcept { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

std::size_t end_of_scalar(std::string_view json, std::size_t at) noexcept {
  while (at < json.size() && json[at] != ',' && json[at] != '}' && json[at] != ']' && !is_white_space(json[at])) ++at;
  return at;
}

void append_utf8(unsigned code, std::string& into) {
  auto tail = [&](unsigned shift) { into += static_cast<char>(0x80 | (code >> shift & 0x3F)); };
  if (code < 0x80) {
    into += static_cast<char>(code);
  } else if (code < 0x800) {
    into += static_cast<char>(0xC0 | code >> 6);
    tail(0);
  } else if (code < 0x10000) {
    into += static_cast<char>(0xE0 | code >> 12);
    tail(6), tail(0);
  } else {
    into += static_cast<char>(0xF0 | code >> 18);
    tail(12), tail(6), tail(0);
  }
}

unsigned code_unit(std::string_view digits) noexcept {
  unsigned unit = 0;
  for (char c : digits.substr(0, 4))
    unit = unit * 16 + static_cast<unsigned>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
  return unit;
}

// What a string with escapes means.
void unescape(std::string_view raw, std::string& into) {
  constexpr std::string_view letters = "bfnrt";
  constexpr std::string_view meanings = "\b\f\n\r\t";
  into.clear();
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '\\') {
      into += raw[i];
      continue;
    }
    char c = raw[++i];
    if (c != 'u') {
      std::size_t letter = letters.find(c);
      into += letter == letters.npos ? c : meanings[letter];
      continue;
    }
    unsigned code = code_unit(raw.substr(i + 1));
    i += 4;
    if (code >= 0xD800 && code <= 0xDBFF) {
      code = 0x10000 + ((code - 0xD800) << 10) + (code_unit(raw.substr(i + 3)) - 0xDC00);
      i += 6;
    }
    append_utf8(code, into);
  }
}

class part_finder {
 public:
  part_finder(const pointer_tree& tree, std::string_view json, std::span<item_part> parts, std::string& scratch)
      : tree_(tree), json_(json), parts_(parts), scratch_(scratch) {}

  void value(std::uint32_t index) {
    const pointer_tree::node& node = tree_.at(index);
    skip_white_space();
    std::size_t begin = at_;
    bool container = json_[at_] == '{' || json_[at_] == '[';
    if (node.children.empty() || !container)
      skip_value();
    else if (json_[at_] == '{')
      object(node);
    else
      array(node);
    for (std::uint32_t column : node.columns) parts_[column].text = json_.substr(begin, at_ - begin);
  }

 private:
  void object(const pointer_tree::node& node) {
    std::uint32_t hint = 0;
    while (enter_next('}')) {
      std::string_view member = name();
      skip_white_space();
      ++at_;  // ':'
      below(pointer_tree::find(node, member, hint));
    }
  }

  void array(const pointer_tree::node& node) {
    for (std::uint64_t i = 0; enter_next(']'); ++i)
      below(i < node.index_end ? pointer_tree::find(node, i) : pointer_tree::none);
  }

  void below(std::uint32_t node) {
    if (node != pointer_tree::none)
      value(node);
    else
      skip_value();
  }

  // Takes the opening bracket or a comma and goes on to what follows; or takes the closing bracket, and is false.
  bool enter_next(char closing) noexcept {
    skip_white_space();
    if (json_[at_++] == closing) return false;
    skip_white_space();
    if (json_[at_] != closing) return true;
    ++at_;
    return false;
  }

  std::string_view name() {
    std::size_t begin = at_ + 1;
    skip_value();
    std::string_view raw = json_.substr(begin, at_ - 1 - begin);
    if (raw.find('\\') == raw.npos) return raw;
    unescape(raw, scratch_);
    return scratch_;
  }

  void skip_value() noexcept {
    skip_white_space();
    const char* const end = json_.data() + json_.size();
    const char* at = json_.data() + at_;
    bool escaped = false;
    if (*at != '{' && *at != '[' && *at != '"') {
      at_ = end_of_scalar(json_, at_);
      return;
    }
    int depth = 0;
    do {
      at = find_structure(at, end);
      if (*at == '"')
        at = skip_string(at + 1, end, escaped);
      else
        depth += *at == '{' || *at == '[' ? 1 : -1;
      ++at;
    } while (depth > 0);
    at_ = static_cast<std::size_t>(at - json_.data());
  }

  void skip_white_space() noexcept {
    while (at_ < json_.size() && is_white_space(json_[at_])) ++at_;
  }

  const pointer_tree& tree_;
  std::string_view json_;
  std::span<item_part> parts_;
  std::string& scratch_;
  std::size_t at_ = 0;
};

}  // namespace

void find_parts(const pointer_tree& tree, std::string_view json, std::span<item_part> parts, std::string& scratch) {
  part_finder(tree, json, parts, scratch).value(0);
}

std::optional<std::string_view> next_number(std::string_view json, std::size_t from) noexcept {
  const char* const end = json.data() + json.size();
  bool escaped = false;
  for (std::size_t i = from; i < json.size(); ++i) {
    if (json[i] == '"') {
      i = static_cast<std::size_t>(skip_string(json.data() + i + 1, end, escaped) - json.data());
    } else if (json[i] == '-' || (json[i] >= '0' && json[i] <= '9')) {
      return json.substr(i, end_of_scalar(json, i) - i);
    }
  }
  return std::nullopt;
}

}  // namespace penstock::ingest

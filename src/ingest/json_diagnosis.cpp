#include "penstock/ingest/json_diagnosis.h"

#include "penstock/ingest/item_parser.h"

#include <bitset>

// A loop with a stack of bits, one for each open container, so that no input can exhaust the thread's stack. `at_` is
// where the next byte is expected to make sense: a fault shows there, unless `fail` was told of another place.

namespace penstock::ingest {
namespace {

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

class diagnosis {
 public:
  explicit diagnosis(std::string_view text) noexcept : text_(text) {}

  std::optional<json_fault> run() noexcept {
    if (values() && white_space() && at_ < text_.size()) fail("nothing but white space may follow the value");
    return fault_;
  }

 private:
  bool values() noexcept {
    do {
      if (!value()) return false;
      if (opened_ && !first_inside()) return false;
      while (!opened_ && depth_ > 0 && !next_is_value_)
        if (!after_value()) return false;
    } while (next_is_value_ || opened_);
    return true;
  }

  // One scalar, or the bracket that opens a container.
  bool value() noexcept {
    opened_ = next_is_value_ = false;
    white_space();
    if (at_ == text_.size())
      return fail(text_.find_first_not_of(" \t\r\n") == text_.npos ? "there is no value" : "expected a value");
    switch (text_[at_]) {
      case '{':
      case '[':
        return open();
      case '"':
        return string();
      case 't':
        return literal("true");
      case 'f':
        return literal("false");
      case 'n':
        return literal("null");
      default:
        return text_[at_] == '-' || is_digit(text_[at_]) ? number() : fail("expected a value");
    }
  }

  bool open() noexcept {
    if (depth_ == most_item_depth) {
      fail("arrays and objects are nested too deep");
      fault_->too_deep = true;
      return false;
    }
    is_object_[depth_++] = text_[at_++] == '{';
    opened_ = true;
    return true;
  }

  // After an opening bracket: the container's end, or what comes before its first value.
  bool first_inside() noexcept {
    white_space();
    bool object = is_object_[depth_ - 1];
    if (at_ < text_.size() && text_[at_] == (object ? '}' : ']')) {
      opened_ = false;
      ++at_;
      --depth_;
      return true;
    }
    return !object || name("expected a name in double quotes or '}'");
  }

  // After a value in a container: a comma and what comes before the next value, or the container's end.
  bool after_value() noexcept {
    white_space();
    bool object = is_object_[depth_ - 1];
    if (at_ < text_.size() && text_[at_] == ',') {
      ++at_;
      next_is_value_ = true;
      return !object || name("expected a name in double quotes after ','");
    }
    if (at_ < text_.size() && text_[at_] == (object ? '}' : ']')) {
      ++at_;
      --depth_;
      return true;
    }
    return fail(object ? "expected ',' or '}' after a member" : "expected ',' or ']' after an element");
  }

  bool name(std::string_view otherwise) noexcept {
    white_space();
    if (at_ == text_.size() || text_[at_] != '"') return fail(otherwise);
    if (!string()) return false;
    white_space();
    if (at_ == text_.size() || text_[at_] != ':') return fail("expected ':' after a name");
    ++at_;
    return true;
  }

  bool literal(std::string_view word) noexcept {
    for (char c : word) {
      if (at_ == text_.size() || text_[at_] != c) return fail("expected true, false or null");
      ++at_;
    }
    return true;
  }

  bool number() noexcept {
    if (text_[at_] == '-') ++at_;
    if (at_ < text_.size() && text_[at_] == '0') {
      ++at_;
      if (at_ < text_.size() && is_digit(text_[at_])) return fail("a number has no leading zeros");
    } else if (!digits()) {
      return fail("expected a digit");
    }
    if (at_ < text_.size() && text_[at_] == '.') {
      ++at_;
      if (!digits()) return fail("expected a digit after the decimal point");
    }
    if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      ++at_;
      if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
      if (!digits()) return fail("expected a digit in the exponent");
    }
    return true;
  }

  bool digits() noexcept {
    std::size_t first = at_;
    while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
    return at_ > first;
  }

  bool string() noexcept {
    ++at_;
    while (at_ < text_.size()) {
      auto c = static_cast<unsigned char>(text_[at_]);
      if (c == '"') {
        ++at_;
        return true;
      }
      if (c < 0x20) return fail("a control character in a string: it must be escaped");
      if (c == '\\') {
        if (!escape()) return false;
      } else if (c < 0x80) {
        ++at_;
      } else if (!utf8()) {
        return false;
      }
    }
    return fail("the text ends within a string");
  }

  bool escape() noexcept {
    std::size_t first = at_++;
    if (at_ == text_.size()) return fail("the text ends within a string");
    char c = text_[at_];
    if (c != 'u') {
      if (std::string_view("\"\\/bfnrt").find(c) == std::string_view::npos) return fail("an unknown escape", first);
      ++at_;
      return true;
    }
    unsigned unit = 0;
    if (!code_unit(unit, first)) return false;
    if (unit >= 0xDC00 && unit <= 0xDFFF) return fail("half a surrogate pair", first);
    if (unit < 0xD800 || unit > 0xDBFF) return true;
    std::size_t second = at_;
    if (text_.substr(at_, 2) != "\\u") return fail("half a surrogate pair", first);
    ++at_;
    if (!code_unit(unit, second)) return false;
    return (unit >= 0xDC00 && unit <= 0xDFFF) || fail("half a surrogate pair", first);
  }

  // The 'u' of an escape and its four digits.
  bool code_unit(unsigned& unit, std::size_t escape_begin) noexcept {
    unit = 0;
    ++at_;
    for (int i = 0; i < 4; ++i, ++at_) {
      if (at_ == text_.size()) return fail("the text ends within a string");
      char c = text_[at_];
      unsigned digit = is_digit(c)              ? static_cast<unsigned>(c - '0')
                       : (c >= 'a' && c <= 'f') ? static_cast<unsigned>(c - 'a') + 10
                       : (c >= 'A' && c <= 'F') ? static_cast<unsigned>(c - 'A') + 10
                                                : 16;
      if (digit == 16) return fail("expected four hexadecimal digits after \\u", escape_begin);
      unit = unit * 16 + digit;
    }
    return true;
  }

  // One character beyond ASCII (RFC 3629, 4).
  bool utf8() noexcept {
    auto byte = [&](std::size_t i) -> unsigned {
      return at_ + i < text_.size() ? static_cast<unsigned char>(text_[at_ + i]) : 0;
    };
    auto tail = [&](std::size_t i) { return (byte(i) & 0xC0) == 0x80; };
    unsigned lead = byte(0);
    std::size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    bool good = lead >= 0xC2 && lead <= 0xF4;
    for (std::size_t i = 1; i < size; ++i) good = good && tail(i);
    good = good && !(lead == 0xE0 && byte(1) < 0xA0) && !(lead == 0xED && byte(1) > 0x9F);
    good = good && !(lead == 0xF0 && byte(1) < 0x90) && !(lead == 0xF4 && byte(1) > 0x8F);
    if (!good) return fail("invalid UTF-8");
    at_ += size;
    return true;
  }

  bool white_space() noexcept {
    at_ = text_.find_first_not_of(" \t\r\n", at_);
    if (at_ == text_.npos) at_ = text_.size();
    return true;
  }

  bool fail(std::string_view message) noexcept { return fail(message, at_); }
  bool fail(std::string_view message, std::size_t offset) noexcept {
    fault_ = json_fault{message, offset};
    return false;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::bitset<most_item_depth> is_object_;
  std::size_t depth_ = 0;
  bool opened_ = false;         // the last value opened a container
  bool next_is_value_ = false;  // a comma (and a name) came
  std::optional<json_fault> fault_;
};

}  // namespace

std::optional<json_fault> diagnose_json(std::string_view text) noexcept { return diagnosis(text).run(); }

}  // namespace penstock::ingest

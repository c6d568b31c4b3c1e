#include "changed_table.h"

#include <algorithm>

namespace penstock::db::postgres {
namespace {

constexpr std::string_view blanks = " \t\n\r\f\v";

bool is_letter(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}

bool is_in_name(char c) noexcept { return is_letter(c) || (c >= '0' && c <= '9') || c == '$'; }

char upper(char c) noexcept { return c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c; }

// Reads a text from its beginning, piece by piece.
class reader {
 public:
  explicit reader(std::string_view text) noexcept : rest_(text) {}

  std::string_view rest() const noexcept { return rest_; }

  void skip_blanks() noexcept {
    for (;;) {
      drop(std::min(rest_.find_first_not_of(blanks), rest_.size()));
      if (rest_.starts_with("--"))
        drop(std::min(rest_.find('\n'), rest_.size()));
      else if (rest_.starts_with("/*") && rest_.find("*/") != std::string_view::npos)
        drop(rest_.find("*/") + 2);
      else
        return;
    }
  }

  bool take_word(std::string_view word) noexcept {
    skip_blanks();
    auto same = [](char wanted, char c) { return wanted == upper(c); };
    bool ends = rest_.size() == word.size() || (rest_.size() > word.size() && !is_in_name(rest_[word.size()]));
    if (!ends || !std::equal(word.begin(), word.end(), rest_.begin(), same)) return false;
    drop(word.size());
    return true;
  }

  bool take(char c) noexcept {
    if (!rest_.starts_with(c)) return false;
    drop(1);
    return true;
  }

  // A part of a name, quoted or not.
  bool take_part() noexcept {
    if (take('"')) {
      drop(std::min(rest_.find('"'), rest_.size()));
      return take('"');
    }
    if (rest_.empty() || !is_letter(rest_.front())) return false;
    drop(static_cast<std::size_t>(std::find_if_not(rest_.begin(), rest_.end(), is_in_name) - rest_.begin()));
    return true;
  }

 private:
  void drop(std::size_t bytes) noexcept { rest_.remove_prefix(bytes); }

  std::string_view rest_;
};

bool take_beginning(reader& from) noexcept {
  if (from.take_word("INSERT")) return from.take_word("INTO");
  bool names_table = from.take_word("UPDATE") || (from.take_word("DELETE") && from.take_word("FROM")) ||
                     (from.take_word("MERGE") && from.take_word("INTO"));
  if (names_table) from.take_word("ONLY");
  return names_table;
}

}  // namespace

std::string_view changed_table(std::string_view sql) noexcept {
  reader from(sql);
  if (!take_beginning(from)) return {};
  from.skip_blanks();
  std::string_view name = from.rest();
  do {
    if (!from.take_part()) return {};
  } while (from.take('.'));
  // A quote goes on in what has one in it, and U&"…" is another name than it says.
  bool is_whole = !from.rest().starts_with('"') && !from.rest().starts_with('&');
  return is_whole ? name.substr(0, name.size() - from.rest().size()) : std::string_view();
}

}  // namespace penstock::db::postgres

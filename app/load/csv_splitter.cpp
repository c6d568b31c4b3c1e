// The buffer begins with the row that is cut next, whole or not; a row that is not whole is cut anew when more comes.
// After a misplaced quote nobody can tell where the row was meant to end, so its first line alone is given up.

#include "app/load/csv_splitter.h"

#include <algorithm>

namespace penstock::app::load {
namespace {

constexpr const char* line_ends = "\r\n";

bool is_line_end(char c) noexcept { return c == '\n' || c == '\r'; }

// A CR LF counts once.
std::uint64_t line_ends_in(std::string_view text) noexcept {
  auto ends = static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
  for (std::size_t at = text.find('\r'); at != std::string_view::npos; at = text.find('\r', at + 1))
    if (!text.substr(at + 1).starts_with('\n')) ++ends;
  return ends;
}

}  // namespace

csv_splitter::csv_splitter(char delimiter, std::size_t most_row_bytes)
    : delimiter_(delimiter), most_row_bytes_(most_row_bytes) {}

void csv_splitter::feed(std::string_view piece) {
  if (piece.empty()) return;
  buffer_.erase(0, position_);
  position_ = 0;
  if (behind_cr_ && piece.starts_with('\n')) piece.remove_prefix(1);
  behind_cr_ = false;
  buffer_.append(piece);
}

const csv_row* csv_splitter::next() {
  for (;;) {
    if (skipping_ && !skip_line()) return nullptr;
    if (at_end(position_)) return nullptr;
    switch (cut()) {
      case step::need_more:
        if (buffer_.size() - position_ <= most_row_bytes_) return nullptr;
        spoil("the row is too long, or a quote is not closed");
        row_.too_large = true;
        return take_spoilt_line();
      case step::spoilt:
        return take_spoilt_line();
      case step::row:
        if (!row_.text.empty()) return &row_;
    }
  }
}

csv_splitter::step csv_splitter::cut() {
  row_.fields.clear();
  row_.problem.clear();
  row_.too_large = false;
  unescaped_.clear();
  for (std::size_t at = position_;; ++at) {
    if (at_end(at) && !finished_) return step::need_more;
    step field = !at_end(at) && buffer_[at] == '"' ? cut_quoted(at) : cut_plain(at);
    if (field != step::row) return field;
    if (!at_end(at) && buffer_[at] == delimiter_) continue;
    end_row(at);
    return step::row;
  }
}

csv_splitter::step csv_splitter::cut_plain(std::size_t& at) {
  const char* begin = buffer_.data() + at;
  const char* end = buffer_.data() + buffer_.size();
  const char* stop =
      std::find_if(begin, end, [d = delimiter_](char c) { return c == d || c == '"' || is_line_end(c); });
  if (stop == end && !finished_) return step::need_more;
  if (stop != end && *stop == '"') return spoil("there is a quote inside a field that does not begin with one");
  at = static_cast<std::size_t>(stop - buffer_.data());
  row_.fields.emplace_back(begin, static_cast<std::size_t>(stop - begin));
  return step::row;
}

csv_splitter::step csv_splitter::cut_quoted(std::size_t& at) {
  std::size_t begin = at + 1;
  bool doubled = false;
  std::size_t close = begin;
  for (;; close += 2) {
    close = buffer_.find('"', close);
    if (close == std::string::npos) return finished_ ? spoil("a quote is opened and never closed") : step::need_more;
    if (at_end(close + 1) || buffer_[close + 1] != '"') break;
    doubled = true;
  }
  std::size_t behind = close + 1;
  if (at_end(behind) && !finished_) return step::need_more;
  if (!at_end(behind) && !is_line_end(buffer_[behind]) && buffer_[behind] != delimiter_)
    return spoil("there is text behind a closing quote");
  row_.fields.push_back(without_quotes(begin, close, doubled));
  at = behind;
  return step::row;
}

std::string_view csv_splitter::without_quotes(std::size_t begin, std::size_t end, bool doubled) {
  std::string_view inside = std::string_view(buffer_).substr(begin, end - begin);
  if (!doubled) return inside;
  // Views into it must hold until the row is used: it never grows while the row is cut.
  if (unescaped_.empty()) unescaped_.reserve(buffer_.size());
  std::size_t before = unescaped_.size();
  for (std::size_t i = 0; i < inside.size(); ++i) {
    unescaped_.push_back(inside[i]);
    if (inside[i] == '"') ++i;
  }
  return std::string_view(unescaped_).substr(before);
}

csv_splitter::step csv_splitter::spoil(const char* why) {
  row_.problem = why;
  return step::spoilt;
}

void csv_splitter::end_row(std::size_t at) {
  row_.text = std::string_view(buffer_).substr(position_, at - position_);
  row_.line = line_;
  line_ += 1 + line_ends_in(row_.text);
  pass_line_end(at);
  if (row_.text.size() <= most_row_bytes_) return;
  row_.problem = "the row is too long";
  row_.too_large = true;
}

// A LF behind a CR that ends a piece may come with the next one.
void csv_splitter::pass_line_end(std::size_t at) {
  position_ = std::min(at + 1, buffer_.size());
  if (at_end(at) || buffer_[at] != '\r') return;
  behind_cr_ = at_end(position_);
  if (!behind_cr_ && buffer_[position_] == '\n') ++position_;
}

const csv_row* csv_splitter::take_spoilt_line() {
  std::size_t end = buffer_.find_first_of(line_ends, position_);
  if (end == std::string::npos && !finished_) {
    if (buffer_.size() - position_ <= most_row_bytes_) return nullptr;
    skipping_ = true;
  }
  end = std::min(end, buffer_.size());
  row_.fields.clear();
  row_.text = std::string_view(buffer_).substr(position_, end - position_);
  row_.line = line_;
  if (!skipping_) ++line_;
  pass_line_end(end);
  return &row_;
}

bool csv_splitter::skip_line() {
  std::size_t end = buffer_.find_first_of(line_ends, position_);
  if (end == std::string::npos) {
    position_ = buffer_.size();
    return false;
  }
  pass_line_end(end);
  ++line_;
  skipping_ = false;
  return true;
}

}  // namespace penstock::app::load

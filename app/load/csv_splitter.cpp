// The buffer begins with the row that is cut next, whole or not; a row that is not whole is cut anew when more comes.
// After a misplaced quote nobody can tell where the row was meant to end, so its first line alone is given up.

#include "app/load/csv_splitter.h"

#include <algorithm>

namespace penstock::app::load {

csv_splitter::csv_splitter(char delimiter, std::size_t most_row_bytes)
    : delimiter_(delimiter), most_row_bytes_(most_row_bytes) {}

void csv_splitter::feed(std::string_view piece) {
  buffer_.erase(0, position_);
  position_ = 0;
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
  const char* stop = std::find_if(begin, end, [d = delimiter_](char c) { return c == d || c == '\n' || c == '"'; });
  if (stop == end && !finished_) return step::need_more;
  if (stop != end && *stop == '"') return spoil("there is a quote inside a field that does not begin with one");
  at = static_cast<std::size_t>(stop - buffer_.data());
  bool last = stop == end || *stop == '\n';
  if (last && stop != begin && stop[-1] == '\r') --stop;
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
  if (!at_end(behind) && buffer_[behind] == '\r') ++behind;
  if (at_end(behind) && !finished_) return step::need_more;
  bool ends_line = at_end(behind) || buffer_[behind] == '\n';
  if (!ends_line && (behind != close + 1 || buffer_[behind] != delimiter_))
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
  line_ += 1 + static_cast<std::uint64_t>(std::count(row_.text.begin(), row_.text.end(), '\n'));
  if (row_.text.ends_with('\r')) row_.text.remove_suffix(1);
  position_ = std::min(at + 1, buffer_.size());
  if (row_.text.size() <= most_row_bytes_) return;
  row_.problem = "the row is too long";
  row_.too_large = true;
}

const csv_row* csv_splitter::take_spoilt_line() {
  std::size_t end = buffer_.find('\n', position_);
  if (end == std::string::npos && !finished_) {
    if (buffer_.size() - position_ <= most_row_bytes_) return nullptr;
    skipping_ = true;
  }
  end = std::min(end, buffer_.size());
  row_.fields.clear();
  row_.text = std::string_view(buffer_).substr(position_, end - position_);
  if (row_.text.ends_with('\r')) row_.text.remove_suffix(1);
  row_.line = line_;
  if (!skipping_) ++line_;
  position_ = std::min(end + 1, buffer_.size());
  return &row_;
}

bool csv_splitter::skip_line() {
  std::size_t end = buffer_.find('\n', position_);
  if (end == std::string::npos) {
    position_ = buffer_.size();
    return false;
  }
  position_ = end + 1;
  ++line_;
  skipping_ = false;
  return true;
}

}  // namespace penstock::app::load

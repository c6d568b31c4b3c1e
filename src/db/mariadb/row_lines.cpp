#include "row_lines.h"

#include "wire_text.h"

#include <algorithm>
#include <cstring>

namespace penstock::db::mariadb {
namespace {
constexpr std::size_t block_size = std::size_t{64} << 10;
constexpr std::size_t most_kept = std::size_t{1} << 20;
}  // namespace

void row_lines::open(const row_batch& rows, std::span<const std::uint32_t> which) noexcept {
  rows_ = &rows;
  which_ = which;
  text_.clear();
  sent_ = 0;
}

std::size_t row_lines::read(char* to, std::size_t most) noexcept {
  if (sent_ == text_.size()) fill();
  std::size_t now = std::min(most, text_.size() - sent_);
  std::memcpy(to, text_.data() + sent_, now);
  sent_ += now;
  return now;
}

void row_lines::fill() {
  if (text_.capacity() > most_kept) text_ = {};
  text_.clear();
  sent_ = 0;
  while (!which_.empty() && text_.size() < block_size) {
    bool first = true;
    for (const cell& c : rows_->row(which_.front())) {
      if (!first) text_.push_back('\t');
      first = false;
      append_field(text_, c);
    }
    text_.push_back('\n');
    which_ = which_.subspan(1);
  }
}

}  // namespace penstock::db::mariadb

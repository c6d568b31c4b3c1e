#include "gunzip.h"

#include <algorithm>
#include <climits>
#include <new>

namespace penstock::http {

// The window's size, and the mark for gzip alone: inflateInit2 in zlib's manual.
gunzip::gunzip() {
  if (inflateInit2(&stream_, MAX_WBITS + 16) != Z_OK) throw std::bad_alloc();
}

gunzip::~gunzip() { inflateEnd(&stream_); }

std::string_view gunzip::next() noexcept {
  while (damage_ == nullptr && (!input_.empty() || more_output_)) {
    if (between_members_) inflateReset(&stream_);
    auto available = static_cast<uInt>(std::min<std::size_t>(input_.size(), UINT_MAX));
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input_.data()));
    stream_.avail_in = available;
    stream_.next_out = reinterpret_cast<Bytef*>(output_.data());
    stream_.avail_out = static_cast<uInt>(output_.size());
    int result = inflate(&stream_, Z_NO_FLUSH);
    input_.remove_prefix(available - stream_.avail_in);
    between_members_ = result == Z_STREAM_END;
    more_output_ = stream_.avail_out == 0 && !between_members_;
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
      damage_ = stream_.msg != nullptr ? stream_.msg : "it can't be unpacked";
    if (std::size_t made = output_.size() - stream_.avail_out; made > 0) return {output_.data(), made};
  }
  return {};
}

}  // namespace penstock::http

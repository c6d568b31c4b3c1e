#include "penstock/http/gzip_decoder.h"

#include <algorithm>
#include <array>
#include <climits>
#include <cstddef>
#include <new>

#include <zlib.h>

namespace penstock::http {

struct gzip_decoder::inflation {
  inflation() {
    constexpr int gzip_alone = 16;  // a mark beside the window's size: inflateInit2 in zlib's manual
    if (inflateInit2(&stream, MAX_WBITS + gzip_alone) != Z_OK) throw std::bad_alloc();
  }
  inflation(const inflation&) = delete;
  inflation& operator=(const inflation&) = delete;
  ~inflation() { inflateEnd(&stream); }

  z_stream stream{};
  std::string_view input;
  const char* damage = nullptr;
  bool between_members = true;
  bool more_output = false;
  std::array<char, std::size_t{64} << 10> output;
};

gzip_decoder::gzip_decoder() : inflation_(std::make_unique<inflation>()) {}
gzip_decoder::gzip_decoder(gzip_decoder&&) noexcept = default;
gzip_decoder& gzip_decoder::operator=(gzip_decoder&&) noexcept = default;
gzip_decoder::~gzip_decoder() = default;

void gzip_decoder::feed(std::string_view piece) noexcept { inflation_->input = piece; }

std::string_view gzip_decoder::next() {
  inflation& i = *inflation_;
  while (i.damage == nullptr && (!i.input.empty() || i.more_output)) {
    if (i.between_members) inflateReset(&i.stream);
    auto available = static_cast<uInt>(std::min<std::size_t>(i.input.size(), UINT_MAX));
    i.stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(i.input.data()));
    i.stream.avail_in = available;
    i.stream.next_out = reinterpret_cast<Bytef*>(i.output.data());
    i.stream.avail_out = static_cast<uInt>(i.output.size());
    int result = inflate(&i.stream, Z_NO_FLUSH);
    i.input.remove_prefix(available - i.stream.avail_in);
    i.between_members = result == Z_STREAM_END;
    i.more_output = i.stream.avail_out == 0 && !i.between_members;
    if (result == Z_MEM_ERROR) throw std::bad_alloc();
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
      i.damage = i.stream.msg != nullptr ? i.stream.msg : "it can't be unpacked";
    if (std::size_t made = i.output.size() - i.stream.avail_out; made > 0) return {i.output.data(), made};
  }
  return {};
}

const char* gzip_decoder::damage() const noexcept { return inflation_->damage; }
bool gzip_decoder::whole() const noexcept { return inflation_->between_members; }

}  // namespace penstock::http

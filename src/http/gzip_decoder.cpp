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

  void skip_padding() noexcept;

  z_stream stream{};
  std::string_view input;
  const char* damage = nullptr;
  bool between_members = true;
  bool one_has_ended = false;
  bool in_padding = false;
  bool more_output = false;
  std::array<char, std::size_t{64} << 10> output;
};

gzip_decoder::gzip_decoder() : inflation_(std::make_unique<inflation>()) {}
gzip_decoder::gzip_decoder(gzip_decoder&&) noexcept = default;
gzip_decoder& gzip_decoder::operator=(gzip_decoder&&) noexcept = default;
gzip_decoder::~gzip_decoder() = default;

void gzip_decoder::feed(std::string_view piece) noexcept { inflation_->input = piece; }

// What fills a block, of a tape say, up behind the last member. gzip(1) passes over it too.
void gzip_decoder::inflation::skip_padding() noexcept {
  if (!between_members || !one_has_ended || input.empty()) return;
  std::size_t zeros = std::min(input.find_first_not_of('\0'), input.size());
  in_padding = in_padding || zeros > 0;
  input.remove_prefix(zeros);
  if (in_padding && !input.empty()) damage = "something follows the zeros behind its end";
}

std::string_view gzip_decoder::next() {
  inflation& i = *inflation_;
  for (;;) {
    i.skip_padding();
    if (i.damage != nullptr || (i.input.empty() && !i.more_output)) break;
    if (i.between_members) inflateReset(&i.stream);
    auto available = static_cast<uInt>(std::min<std::size_t>(i.input.size(), UINT_MAX));
    i.stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(i.input.data()));
    i.stream.avail_in = available;
    i.stream.next_out = reinterpret_cast<Bytef*>(i.output.data());
    i.stream.avail_out = static_cast<uInt>(i.output.size());
    int result = inflate(&i.stream, Z_NO_FLUSH);
    i.input.remove_prefix(available - i.stream.avail_in);
    i.between_members = result == Z_STREAM_END;
    i.one_has_ended = i.one_has_ended || i.between_members;
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

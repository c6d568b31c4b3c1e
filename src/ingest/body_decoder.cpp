#include "penstock/ingest/body_decoder.h"

#include "penstock/ingest/error.h"

#include <algorithm>
#include <array>
#include <new>
#include <string>
#include <utility>

#include <zlib.h>
#include <zstd.h>

// Input is taken only as fast as output is taken: whatever a body expands to, one buffer of it is held. A coded body is
// whole when it ends where a member (gzip) or frame (zstd) does; several of them in a row are one body.

namespace penstock::ingest {
namespace {

constexpr std::size_t buffer_size = std::size_t{64} << 10;
// RFC 9659 bounds the window of the zstd content coding to 8 MiB; a decoder that takes more can be made to hold more.
constexpr int largest_zstd_window_log = 23;

[[noreturn]] void bad_encoding(const std::string& what) { throw error(ingest_errc::bad_encoding, what); }

}  // namespace

// One coding at work.
class decoding {
 public:
  virtual ~decoding() = default;
  virtual std::string_view next() = 0;
  virtual void finish() = 0;

  // Counts decoded bytes against the bound.
  std::string_view give(std::string_view piece) {
    if (piece.size() > most_bytes - given)
      throw error(ingest_errc::body_too_large,
                  "the body is longer than " + std::to_string(most_bytes) + " bytes once decoded: send it in parts");
    given += piece.size();
    return piece;
  }

  std::string_view input;
  std::uint64_t most_bytes = 0;
  std::uint64_t given = 0;
};

namespace {

struct identity_decoder final : decoding {
  std::string_view next() override { return give(std::exchange(input, {})); }
  void finish() override {}
};

struct gzip_decoder final : decoding {
  gzip_decoder() {
    constexpr int gzip_only = 16;  // added to the window's size, see inflateInit2
    if (inflateInit2(&stream, MAX_WBITS + gzip_only) != Z_OK) throw std::bad_alloc();
  }
  ~gzip_decoder() override { inflateEnd(&stream); }

  std::string_view next() override {
    while (!input.empty() || more_output) {
      if (between_members) {
        inflateReset(&stream);
        between_members = false;
      }
      auto available = static_cast<uInt>(std::min<std::size_t>(input.size(), UINT32_MAX));
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
      stream.avail_in = available;
      stream.next_out = reinterpret_cast<Bytef*>(output.data());
      stream.avail_out = static_cast<uInt>(output.size());
      int result = inflate(&stream, Z_NO_FLUSH);
      input.remove_prefix(available - stream.avail_in);
      started = true;
      more_output = stream.avail_out == 0 && result != Z_STREAM_END;
      if (result == Z_STREAM_END) between_members = true;
      if (result == Z_MEM_ERROR) throw std::bad_alloc();
      if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
        bad_encoding("the gzip body is damaged after " + std::to_string(given) +
                     " decoded bytes: " + (stream.msg != nullptr ? stream.msg : "it needs a dictionary"));
      if (std::size_t made = output.size() - stream.avail_out; made > 0) return give({output.data(), made});
    }
    return {};
  }

  void finish() override {
    if (!between_members) bad_encoding(started ? "the gzip body ends too early" : "the gzip body is empty");
  }

  z_stream stream{};
  bool started = false;
  bool between_members = false;
  bool more_output = false;
  std::array<char, buffer_size> output;
};

struct zstd_decoder final : decoding {
  zstd_decoder() : context(ZSTD_createDCtx()) {
    if (context == nullptr) throw std::bad_alloc();
    ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, largest_zstd_window_log);
  }
  ~zstd_decoder() override { ZSTD_freeDCtx(context); }

  std::string_view next() override {
    while (!input.empty() || more_output) {
      ZSTD_inBuffer in{input.data(), input.size(), 0};
      ZSTD_outBuffer out{output.data(), output.size(), 0};
      std::size_t result = ZSTD_decompressStream(context, &out, &in);
      input.remove_prefix(in.pos);
      started = true;
      if (ZSTD_isError(result) != 0)
        bad_encoding("the zstd body is damaged after " + std::to_string(given) +
                     " decoded bytes, or needs a window beyond 8 MiB (RFC 9659): " + ZSTD_getErrorName(result));
      between_frames = result == 0;
      more_output = out.pos == out.size && result != 0;
      if (out.pos > 0) return give({output.data(), out.pos});
    }
    return {};
  }

  void finish() override {
    if (!between_frames) bad_encoding(started ? "the zstd body ends too early" : "the zstd body is empty");
  }

  ZSTD_DCtx* context;
  bool started = false;
  bool between_frames = false;
  bool more_output = false;
  std::array<char, buffer_size> output;
};

}  // namespace

content_coding parse_content_coding(std::string_view field) {
  std::string name;
  for (char c : field) name += c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  while (!name.empty() && (name.back() == ' ' || name.back() == '\t')) name.pop_back();
  name.erase(0, name.find_first_not_of(" \t"));
  if (name.empty() || name == "identity") return content_coding::identity;
  if (name == "gzip" || name == "x-gzip") return content_coding::gzip;
  if (name == "zstd") return content_coding::zstd;
  throw error(ingest_errc::unsupported_media,
              "Content-Encoding '" + std::string(field) + "' is none that is read: send gzip, zstd or identity");
}

body_decoder::body_decoder(content_coding coding, std::uint64_t most_bytes) {
  switch (coding) {
    case content_coding::identity:
      decoding_ = std::make_unique<identity_decoder>();
      break;
    case content_coding::gzip:
      decoding_ = std::make_unique<gzip_decoder>();
      break;
    case content_coding::zstd:
      decoding_ = std::make_unique<zstd_decoder>();
      break;
  }
  decoding_->most_bytes = most_bytes;
}

body_decoder::body_decoder(body_decoder&&) noexcept = default;
body_decoder& body_decoder::operator=(body_decoder&&) noexcept = default;
body_decoder::~body_decoder() = default;

void body_decoder::feed(std::string_view piece) { decoding_->input = piece; }
std::string_view body_decoder::next() { return decoding_->next(); }
void body_decoder::finish() { decoding_->finish(); }

}  // namespace penstock::ingest

#include "penstock/ingest/body_decoder.h"

#include "penstock/http/gzip_decoder.h"
#include "penstock/ingest/error.h"

#include <algorithm>
#include <array>
#include <new>
#include <string>
#include <utility>

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
  virtual std::size_t held_bytes() const noexcept = 0;

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

struct identity_decoding final : decoding {
  std::string_view next() override { return give(std::exchange(input, {})); }
  void finish() override {}
  std::size_t held_bytes() const noexcept override { return 0; }
};

struct gzip_decoding final : decoding {
  std::string_view next() override {
    started = started || !input.empty();
    if (!input.empty()) decoder.feed(std::exchange(input, {}));
    std::string_view piece = decoder.next();
    if (piece.empty() && decoder.damage() != nullptr)
      bad_encoding("the gzip body is damaged after " + std::to_string(given) + " decoded bytes: " + decoder.damage());
    return give(piece);
  }

  void finish() override {
    if (!started) bad_encoding("the gzip body is empty");
    if (!decoder.whole()) bad_encoding("the gzip body ends too early");
  }
  std::size_t held_bytes() const noexcept override { return buffer_size; }

  http::gzip_decoder decoder;
  bool started = false;
};

struct zstd_decoding final : decoding {
  zstd_decoding() : context(ZSTD_createDCtx()) {
    if (context == nullptr) throw std::bad_alloc();
    ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, largest_zstd_window_log);
  }
  ~zstd_decoding() override { ZSTD_freeDCtx(context); }

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
  std::size_t held_bytes() const noexcept override { return sizeof(*this) + ZSTD_sizeof_DCtx(context); }

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
      decoding_ = std::make_unique<identity_decoding>();
      break;
    case content_coding::gzip:
      decoding_ = std::make_unique<gzip_decoding>();
      break;
    case content_coding::zstd:
      decoding_ = std::make_unique<zstd_decoding>();
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
std::size_t body_decoder::held_bytes() const noexcept { return decoding_->held_bytes(); }

}  // namespace penstock::ingest

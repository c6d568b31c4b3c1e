#pragma once

// Undoes a body's content coding while it comes in, within bounds (RFC 9110, 8.4; RFC 1952; RFC 8878).
//
//   body_decoder decode(parse_content_coding(request.header("content-encoding")));
//   while (piece = read()) {
//     decode.feed(piece);
//     for (auto part = decode.next(); !part.empty(); part = decode.next()) take(part);
//   }
//   decode.finish();

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace penstock::ingest {

/// The content codings that are read.
enum class content_coding { identity, gzip, zstd };

/// The coding that a Content-Encoding field names, in any case ("gzip", "x-gzip", "zstd", "identity", "").
/// Throws `ingest_errc::unsupported_media` for others, and for several at once.
content_coding parse_content_coding(std::string_view field);

class decoding;

/// Decodes one body, piece by piece, into a buffer of 64 KiB; zstd holds a window of at most 8 MiB besides (RFC 9659).
/// Several gzip members or zstd frames in a row are one body. Belongs to one task.
class body_decoder {
 public:
  /// `most_bytes`: of the decoded body; a small bomb of compressed bytes ends there.
  explicit body_decoder(content_coding coding, std::uint64_t most_bytes = std::uint64_t{1} << 30);
  body_decoder(body_decoder&&) noexcept;
  body_decoder& operator=(body_decoder&&) noexcept;
  ~body_decoder();

  /// Takes the next piece of the coded body, which stays valid until `next` has given nothing.
  void feed(std::string_view piece);
  /// The next piece of the decoded body, valid until the next call; empty when more must be fed. An identity body's
  /// pieces are passed on without a copy. Throws `ingest_errc::bad_encoding` when the data is damaged, and
  /// `body_too_large`.
  std::string_view next();
  /// No more pieces come. Throws `ingest_errc::bad_encoding` when the body ends in the middle.
  void finish();
  /// What it has allocated, in bytes: for its buffer, and the window that the body asked for.
  std::size_t held_bytes() const noexcept;

 private:
  std::unique_ptr<decoding> decoding_;
};

}  // namespace penstock::ingest

#pragma once

// Unpacks gzip while it comes in (RFC 1952), with one buffer of it in memory.
//
//   gzip_decoder decode;
//   while (piece = read()) {
//     decode.feed(piece);
//     for (auto part = decode.next(); !part.empty(); part = decode.next()) take(part);
//     if (decode.damage() != nullptr) …
//   }
//   if (!decode.whole()) …

#include <memory>
#include <string_view>

namespace penstock::http {

/// Unpacks one body, piece by piece, into a buffer of 64 KiB. Several members in a row are one body; zeros may follow
/// the last, and are passed over however many come. Belongs to one task.
class gzip_decoder {
 public:
  gzip_decoder();
  gzip_decoder(gzip_decoder&&) noexcept;
  gzip_decoder& operator=(gzip_decoder&&) noexcept;
  ~gzip_decoder();

  /// Takes the next piece of what came in, which stays valid until `next` has given nothing.
  void feed(std::string_view piece) noexcept;
  /// The next unpacked piece, valid until the next call; empty when more must be fed, or `damage` says why not. Throws
  /// `std::bad_alloc`.
  std::string_view next();
  /// What is wrong with the data, as a text that lives as long as the program; null while nothing is.
  const char* damage() const noexcept;
  /// Nothing is amiss at the end: what came ends where a member does, or nothing came.
  bool whole() const noexcept;

 private:
  struct inflation;
  std::unique_ptr<inflation> inflation_;
};

}  // namespace penstock::http

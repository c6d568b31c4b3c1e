#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include <zlib.h>

namespace penstock::http {

// Unpacks gzip (RFC 1952) while it comes in, piece by piece; several members in a row are one body.
class gunzip {
 public:
  // Throws std::bad_alloc.
  gunzip();
  gunzip(const gunzip&) = delete;
  gunzip& operator=(const gunzip&) = delete;
  ~gunzip();

  // The next piece of what came in, which stays valid until `next` has given nothing.
  void feed(std::string_view piece) noexcept { input_ = piece; }
  // The next unpacked piece, valid until the next call; empty when more must be fed, or `damage` says why not.
  std::string_view next() noexcept;
  // What is wrong with the data; null while nothing is.
  const char* damage() const noexcept { return damage_; }
  // What came ends where a member does, or nothing came.
  bool whole() const noexcept { return between_members_; }

 private:
  z_stream stream_{};
  std::string_view input_;
  const char* damage_ = nullptr;
  bool between_members_ = true;
  bool more_output_ = false;
  std::array<char, 16 * 1024> output_;
};

}  // namespace penstock::http

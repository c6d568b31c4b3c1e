#pragma once

// A request's body out of the bytes of its connection: a number of bytes, or chunks (RFC 9112, 6 and 7.1). Without
// I/O: it is given what was read so far, takes from the front, and says what is body.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace penstock::http {

class body_decoder {
 public:
  // No body.
  body_decoder() = default;
  static body_decoder of_length(std::uint64_t bytes) noexcept;
  // A chunked body of at most so many bytes.
  static body_decoder of_chunks(std::uint64_t most_bytes) noexcept;

  struct step {
    std::size_t consumed = 0;  // zero when more is to be read before the next step
    std::string_view piece;    // of the body, within the input; may be empty
  };
  // Takes a step over the input, which begins where the last step ended. Throws `protocol_error`: bad_request,
  // body_too_large.
  step take(std::string_view input);
  bool done() const noexcept { return state_ == state::done; }
  // How much is certainly left: of chunks that is not known.
  std::uint64_t known_left() const noexcept { return state_ == state::length ? left_ : 0; }

 private:
  enum class state { length, size_line, data, data_end, trailer, done };

  step take_piece(std::string_view input, state then);
  void take_size_line(std::string_view line);
  void take_trailer_line(std::string_view line);

  state state_ = state::done;
  std::uint64_t left_ = 0;         // of the body, or of the chunk
  std::uint64_t most_bytes_ = 0;   // of all chunks
  std::uint64_t left_of_all_ = 0;  // of them, that further chunks may have
  std::size_t overhead_ = 0;       // bytes of size lines beyond what honest chunks have
  std::size_t trailer_bytes_ = 0;
};

}  // namespace penstock::http

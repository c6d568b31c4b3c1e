#pragma once

// A file, or standard input, as the bytes it holds once decompressed.
//
//   stop_flag stop;
//   source_file file("flights.json.gz", stop);
//   while (file.read() != read_state::end) use(file.piece());

#include <penstock/ingest/body_decoder.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::app::load {

/// Tells a thread that reads, and may wait for input, to come to an end.
class stop_flag {
 public:
  stop_flag();
  stop_flag(const stop_flag&) = delete;
  stop_flag& operator=(const stop_flag&) = delete;
  ~stop_flag();

  /// From any thread; stays set.
  void set() noexcept;
  bool is_set() const noexcept { return set_.load(std::memory_order_relaxed); }
  /// Readable, in the sense of poll(2), once it is set.
  int descriptor() const noexcept { return descriptor_; }

 private:
  int descriptor_;
  std::atomic<bool> set_ = false;
};

/// What a read came to.
enum class read_state {
  data,     ///< `piece` has more.
  idle,     ///< Nothing came for a while, from a pipe, which may have no writer yet, or terminal.
  stopped,  ///< The flag was set.
  end,
};

/// The size in bytes of all the files, where each is a regular file; nothing otherwise. Throws `app_errc::bad_usage`
/// for one that can't be read.
std::optional<std::uint64_t> total_size(const std::vector<std::string>& paths);

/// Reads one file, decompressing gzip and zstd, which it knows by their first bytes. Blocks; for a worker thread.
class source_file {
 public:
  /// "-" is standard input. Throws `std::system_error` when it can't be opened. `stop` outlives it.
  source_file(const std::string& path, const stop_flag& stop);
  source_file(const source_file&) = delete;
  source_file& operator=(const source_file&) = delete;
  ~source_file();

  /// Reads on; what `piece` gave before is no longer valid. Throws `std::system_error`, and `ingest_errc::bad_encoding`
  /// for damaged compressed data.
  read_state read();
  /// The bytes that the last read gave.
  std::string_view piece() const noexcept { return piece_; }
  /// Bytes read so far, as they lie in the file.
  std::uint64_t bytes_read() const noexcept { return bytes_read_; }

 private:
  read_state read_raw(std::size_t behind);
  read_state recognise();
  bool has_input() const;

  int descriptor_;
  bool waits_;  // A pipe or terminal, where reading may take for ever.
  const stop_flag& stop_;
  std::vector<char> buffer_;
  std::size_t filled_ = 0;
  std::uint64_t bytes_read_ = 0;
  std::optional<ingest::body_decoder> decoder_;
  bool ended_ = false;
  std::string_view piece_;
};

}  // namespace penstock::app::load

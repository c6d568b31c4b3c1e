// Raw bytes go through one buffer; the decoder is fed the whole of it and emptied before the buffer is filled again.

#include "app/load/source_file.h"

#include "app/error.h"

#include <cerrno>
#include <limits>
#include <system_error>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

namespace penstock::app::load {
namespace {

constexpr std::size_t read_bytes = std::size_t{256} << 10;
constexpr int idle_milliseconds = 200;
constexpr std::size_t magic_bytes = 4;

[[noreturn]] void fail(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

ingest::content_coding coding_of(std::string_view head) {
  if (head.starts_with("\x1f\x8b")) return ingest::content_coding::gzip;
  if (head.starts_with("\x28\xb5\x2f\xfd")) return ingest::content_coding::zstd;
  return ingest::content_coding::identity;
}

// Opening a named pipe would wait for a writer, where nothing could stop it.
int open_at_once(const char* path) {
  int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor >= 0) fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) & ~O_NONBLOCK);
  return descriptor;
}

bool is_regular(int descriptor) {
  struct stat about {};
  return fstat(descriptor, &about) == 0 && S_ISREG(about.st_mode);
}

}  // namespace

stop_flag::stop_flag() : descriptor_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (descriptor_ < 0) fail("eventfd");
}

stop_flag::~stop_flag() { close(descriptor_); }

void stop_flag::set() noexcept {
  set_.store(true, std::memory_order_relaxed);
  eventfd_write(descriptor_, 1);
}

std::optional<std::uint64_t> total_size(const std::vector<std::string>& paths) {
  std::uint64_t total = 0;
  bool known = true;
  for (const std::string& path : paths) {
    struct stat about {};
    if (path == "-") {
      if (fstat(STDIN_FILENO, &about) != 0) about.st_mode = 0;
    } else if (stat(path.c_str(), &about) != 0 || access(path.c_str(), R_OK) != 0) {
      throw error(app_errc::bad_usage, path + ": " + std::generic_category().message(errno));
    } else if (S_ISDIR(about.st_mode)) {
      throw error(app_errc::bad_usage, path + ": it is a folder; name the files in it");
    }
    known = known && S_ISREG(about.st_mode);
    total += static_cast<std::uint64_t>(about.st_size);
  }
  if (!known) return std::nullopt;
  return total;
}

source_file::source_file(const std::string& path, const stop_flag& stop)
    : descriptor_(path == "-" ? STDIN_FILENO : open_at_once(path.c_str())), stop_(stop) {
  if (descriptor_ < 0) fail("open");
  waits_ = !is_regular(descriptor_);
  buffer_.resize(read_bytes);
}

source_file::~source_file() {
  if (descriptor_ != STDIN_FILENO) close(descriptor_);
}

read_state source_file::read() {
  piece_ = {};
  if (!decoder_) {
    if (read_state state = recognise(); state != read_state::data) return state;
  }
  for (;;) {
    piece_ = decoder_->next();
    if (!piece_.empty()) return read_state::data;
    if (ended_) return read_state::end;
    read_state state = read_raw(0);
    if (state == read_state::end)
      decoder_->finish();
    else if (state == read_state::data)
      decoder_->feed({buffer_.data(), filled_});
    else
      return state;
  }
}

// Reads until the first bytes tell the coding.
read_state source_file::recognise() {
  while (filled_ < magic_bytes && !ended_) {
    read_state state = read_raw(filled_);
    if (state == read_state::idle || state == read_state::stopped) return state;
  }
  std::string_view head(buffer_.data(), filled_);
  decoder_.emplace(coding_of(head), std::numeric_limits<std::uint64_t>::max());
  decoder_->feed(head);
  if (ended_) decoder_->finish();
  return read_state::data;
}

read_state source_file::read_raw(std::size_t behind) {
  if (stop_.is_set()) return read_state::stopped;
  if (waits_ && !has_input()) return stop_.is_set() ? read_state::stopped : read_state::idle;
  ssize_t got;
  do got = ::read(descriptor_, buffer_.data() + behind, buffer_.size() - behind);
  while (got < 0 && errno == EINTR);
  if (got < 0) fail("read");
  filled_ = behind + static_cast<std::size_t>(got);
  bytes_read_ += static_cast<std::uint64_t>(got);
  ended_ = got == 0;
  return ended_ ? read_state::end : read_state::data;
}

bool source_file::has_input() const {
  pollfd watched[2] = {{descriptor_, POLLIN, 0}, {stop_.descriptor(), POLLIN, 0}};
  int ready = poll(watched, 2, idle_milliseconds);
  if (ready < 0 && errno != EINTR) fail("poll");
  return ready > 0 && watched[0].revents != 0 && watched[1].revents == 0;
}

}  // namespace penstock::app::load

// Until the end, a regular file at the path is as it was. Every line is in the file or counted as missing.

#include "app/load/rejects_file.h"

#include <cerrno>
#include <exception>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

namespace penstock::app::load {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t buffered_bytes = std::size_t{64} << 10;
constexpr mode_t mode_of_new = 0666;

bool is_written_in_place(const fs::path& path) {
  std::error_code unknown;
  fs::file_status status = fs::symlink_status(path, unknown);
  if (fs::exists(status) && !fs::is_regular_file(status)) return true;
  fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  return access(folder.c_str(), W_OK | X_OK) != 0;
}

std::optional<struct stat> file_at(const std::string& path) {
  struct stat found {};
  return stat(path.c_str(), &found) == 0 ? std::optional(found) : std::nullopt;
}

bool is_unchanged(const struct stat& before, const struct stat& now) noexcept {
  return before.st_dev == now.st_dev && before.st_ino == now.st_ino && before.st_size == now.st_size &&
         before.st_mtim.tv_sec == now.st_mtim.tv_sec && before.st_mtim.tv_nsec == now.st_mtim.tv_nsec;
}

}  // namespace

rejects_file::~rejects_file() {
  try {
    finish(false);
  } catch (const std::exception&) {
    // No memory for a name: the lines stay where they are.
  }
  if (descriptor_ >= 0) close(descriptor_);
}

void rejects_file::write(reject_place from, std::string_view line) {
  if (failure_.empty() && descriptor_ < 0) open();
  if (!failure_.empty()) return note_missing(from);
  buffer_ += line;
  lines_.push_back({from, buffer_.size()});
  if (buffer_.size() >= buffered_bytes) flush();
}

void rejects_file::flush() {
  std::size_t done = 0;
  while (done < buffer_.size() && failure_.empty()) {
    ssize_t written = ::write(descriptor_, buffer_.data() + done, buffer_.size() - done);
    if (written >= 0)
      done += static_cast<std::size_t>(written);
    else if (errno != EINTR)
      fail("write");
  }
  std::size_t whole = 0;
  for (const buffered_line& line : lines_) {
    if (line.end <= done)
      whole = line.end;
    else
      note_missing(line.from);
  }
  if (whole < done) cut_off(done - whole);
  buffer_.clear();
  lines_.clear();
}

void rejects_file::finish(bool may_replace) {
  if (descriptor_ < 0) return;
  flush();
  if (close(std::exchange(descriptor_, -1)) != 0) fail("close");
  std::optional<struct stat> there = file_at(path_);
  bool may_move = !there || (may_replace && failure_.empty() && replaced_ && is_unchanged(*replaced_, *there));
  if (where_ != path_ && may_move) move_to_its_name();
}

void rejects_file::open() {
  if (!is_written_in_place(path_)) return open_beside();
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode_of_new);
  if (descriptor_ < 0) return fail("open");
  where_ = path_;
}

// What a load left that was killed, or another one writes, has a name with a lower number.
void rejects_file::open_beside() {
  std::string name;
  for (int number = 1; descriptor_ < 0; ++number) {
    name = path_ + (number == 1 ? "" : "." + std::to_string(number)) + ".part";
    descriptor_ = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode_of_new);
    if (descriptor_ < 0 && errno != EEXIST) return fail("open");
  }
  where_ = name;
  // Who may not read the old rejects may not read the new ones.
  replaced_ = file_at(path_);
  if (replaced_) fchmod(descriptor_, replaced_->st_mode & 0777);
}

// A file that is mounted by itself, as into a container, can be written but not replaced.
void rejects_file::move_to_its_name() {
  std::error_code failed;
  fs::rename(where_, path_, failed);
  if (failed) {
    fs::copy_file(where_, path_, fs::copy_options::overwrite_existing, failed);
    if (failed) return;
    fs::remove(where_, failed);
  }
  where_ = path_;
}

void rejects_file::fail(const char* what) {
  std::string why = std::generic_category().message(errno);
  if (failure_.empty()) failure_ = path_ + ": " + what + ": " + why;
}

void rejects_file::note_missing(reject_place from) {
  ++missing_;
  if (!first_missing_ || from < *first_missing_) first_missing_ = from;
}

// Takes the last bytes away again, where that is possible.
void rejects_file::cut_off(std::size_t bytes) {
  off_t size = lseek(descriptor_, 0, SEEK_CUR);
  if (size < static_cast<off_t>(bytes) || ftruncate(descriptor_, size - static_cast<off_t>(bytes)) != 0) return;
  lseek(descriptor_, 0, SEEK_END);
}

}  // namespace penstock::app::load

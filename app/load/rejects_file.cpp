// Until the end, a regular file at the path is as it was.

#include "app/load/rejects_file.h"

#include <cerrno>
#include <exception>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace penstock::app::load {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t buffered_bytes = std::size_t{64} << 10;
constexpr mode_t mode_of_new = 0666;

[[noreturn]] void fail(const std::string& path, const char* what) {
  throw std::system_error(errno, std::generic_category(), path + ": " + what);
}

bool is_written_in_place(const fs::path& path) {
  std::error_code unknown;
  fs::file_status status = fs::symlink_status(path, unknown);
  if (fs::exists(status) && !fs::is_regular_file(status)) return true;
  fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  return access(folder.c_str(), W_OK | X_OK) != 0;
}

}  // namespace

rejects_file::~rejects_file() {
  try {
    finish(false);
  } catch (const std::exception&) {
    // Who wants to know calls finish().
  }
  if (descriptor_ >= 0) close(descriptor_);
}

void rejects_file::write(std::string_view line) {
  if (descriptor_ < 0) open();
  buffer_ += line;
  if (buffer_.size() >= buffered_bytes) flush();
}

void rejects_file::flush() {
  std::string_view rest = buffer_;
  while (!rest.empty()) {
    ssize_t written = ::write(descriptor_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(path_, "write");
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  buffer_.clear();
}

void rejects_file::finish(bool may_replace) {
  if (descriptor_ < 0) return;
  flush();
  int closed = close(std::exchange(descriptor_, -1));
  if (closed != 0) fail(path_, "write");
  std::error_code unknown;
  if (where_ != path_ && (may_replace || !fs::exists(path_, unknown))) move_to_its_name();
}

void rejects_file::open() {
  if (!is_written_in_place(path_)) return open_beside();
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode_of_new);
  if (descriptor_ < 0) fail(path_, "open");
  where_ = path_;
}

// What a load left that was killed, or another one writes, has a name with a lower number.
void rejects_file::open_beside() {
  std::string name;
  for (int number = 1; descriptor_ < 0; ++number) {
    name = path_ + (number == 1 ? "" : "." + std::to_string(number)) + ".part";
    descriptor_ = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode_of_new);
    if (descriptor_ < 0 && errno != EEXIST) fail(path_, "open");
  }
  where_ = name;
  // Who may not read the old rejects may not read the new ones.
  struct stat old {};
  if (stat(path_.c_str(), &old) == 0) fchmod(descriptor_, old.st_mode & 0777);
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

}  // namespace penstock::app::load

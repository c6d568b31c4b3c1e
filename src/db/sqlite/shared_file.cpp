#include "shared_file.h"

#include "failure.h"
#include "penstock/observe/log.h"
#include "session.h"

#include <algorithm>
#include <filesystem>
#include <unordered_map>

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

// Invariant: all sessions of the list have one and the same file open, and while a handle of another one is open, the
// list is empty.

namespace penstock::db::sqlite {
namespace {

std::uintmax_t size_of(const std::string& path) noexcept {
  std::error_code missing;
  std::uintmax_t size = std::filesystem::file_size(path, missing);
  return missing ? 0 : size;
}

// All frames are then in the file, and FILE-wal has no byte (https://www.sqlite.org/pragma.html#pragma_wal_checkpoint).
// SQLite itself does not do that for a moved file when it is closed.
bool write_wal_to_file(sqlite3* handle) noexcept {
  return sqlite3_wal_checkpoint_v2(handle, "main", SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr) == SQLITE_OK;
}

// True when somebody has FILE-shm in use: each has a lock on one of these bytes (os_unix.c, UNIX_SHM_BASE and
// UNIX_SHM_DMS). Only while no session of this process has: closing a file lets go of all the locks a process has
// there.
bool is_in_use(const std::string& shm) noexcept {
  int file = ::open(shm.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  struct flock locks {};
  locks.l_type = F_WRLCK;
  locks.l_whence = SEEK_SET;
  locks.l_start = 120;
  locks.l_len = 9;
  bool locked = ::fcntl(file, F_OFD_GETLK, &locks) == 0 && locks.l_type != F_UNLCK;
  ::close(file);
  return locked;
}

// How many names a file has that this process has open; nothing when it has not.
std::optional<std::uint64_t> names_if_open(std::uint64_t device, std::uint64_t number) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", ignored)) {
    struct stat open {};
    if (::stat(entry.path().c_str(), &open) == 0 && open.st_dev == device && open.st_ino == number)
      return open.st_nlink;
  }
  return std::nullopt;
}

// Gives FILE-wal the first free name FILE-wal.left-N, if this process has it open: somebody may have put another one
// there. Gives that name, or nothing.
std::string set_aside(const std::string& wal) {
  struct stat there {};
  if (::stat(wal.c_str(), &there) != 0 || there.st_size == 0) return {};
  if (!names_if_open(there.st_dev, there.st_ino)) return {};
  int number = 1;
  while (std::filesystem::exists(wal + ".left-" + std::to_string(number))) ++number;
  std::string name = wal + ".left-" + std::to_string(number);
  std::filesystem::rename(wal, name);
  return name;
}

}  // namespace

std::shared_ptr<shared_file> shared_file::at(const std::string& path) {
  static std::mutex mutex;
  static std::unordered_map<std::string, std::weak_ptr<shared_file>> known;
  std::lock_guard lock(mutex);
  std::erase_if(known, [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<shared_file>& here = known[path];
  std::shared_ptr<shared_file> file = here.lock();
  if (!file) here = file = std::make_shared<shared_file>(path);
  return file;
}

std::string shared_file::resolve(const std::string& file) {
  std::error_code ignored;
  std::filesystem::path path = std::filesystem::absolute(file, ignored);
  for (int links = 0; links < 40 && std::filesystem::is_symlink(path, ignored); ++links)
    path = path.parent_path() / std::filesystem::read_symlink(path, ignored);
  return (std::filesystem::weakly_canonical(path.parent_path(), ignored) / path.filename()).string();
}

shared_file::~shared_file() {
  if (left_behind_ == nullptr) return;
  empty_wal(std::exchange(left_behind_, nullptr));
  sqlite3_close(left_behind_);
}

void shared_file::enter(session& newcomer, sqlite3* handle, const std::string& name) {
  std::lock_guard lock(mutex_);
  identity now = identity_of(handle, name);
  if (!sessions_.empty() && (moved() || now != last_)) retire_all();
  check_left_behind(name);
  if (sessions_.empty()) check_wal(now, name);
  sessions_.push_back(&newcomer);
  last_ = now;
  moved_.store(false);
}

void shared_file::leave(session& leaving) noexcept {
  std::lock_guard lock(mutex_);
  auto place = std::find(sessions_.begin(), sessions_.end(), &leaving);
  if (place == sessions_.end()) return;  // retired
  if (moved() || leaving.file_has_moved()) return retire_all();
  sessions_.erase(place);
  sqlite3_close(leaving.let_go().handle);
}

void shared_file::check_absence(const std::string& name) {
  std::lock_guard lock(mutex_);
  // Looked at before the file: another session or process may be making that just now.
  bool has_wal = size_of(path_ + "-wal") > 0;
  std::error_code ignored;
  if (std::filesystem::exists(path_, ignored)) return;
  if (!sessions_.empty()) retire_all();
  check_left_behind(name);
  if (moved()) throw_moved(name);
  if (has_wal) throw_wal_alone(name, path_);
}

bool shared_file::has_moved(sqlite3* handle) noexcept {
  int moved = 0;
  sqlite3_file_control(handle, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
  return moved != 0;
}

void shared_file::retire() noexcept {
  std::lock_guard lock(mutex_);
  if (moved()) retire_all();
}

// Asked of the path, since SQLite does not tell it of the open file, whose path it is before and after.
shared_file::identity shared_file::identity_of(sqlite3* handle, const std::string& name) const {
  struct stat there {};
  if (has_moved(handle) || ::stat(path_.c_str(), &there) != 0 || has_moved(handle)) throw_moved(name);
  return {there.st_dev, there.st_ino};
}

void shared_file::retire_all() noexcept {
  moved_.store(true);  // ends what their calls are at
  sqlite3* last = nullptr;
  for (session* s : sessions_) {
    session::released had = s->let_go();
    // Not that of a session that has not read yet: it would take the FILE-wal that is there by now for its file's own.
    bool keeps = had.has_read && last == nullptr;
    if (keeps)
      last = had.handle;
    else
      sqlite3_close(had.handle);
  }
  sessions_.clear();
  if (last != nullptr) empty_wal(last);
}

bool shared_file::is_deleted() const noexcept {
  try {
    return names_if_open(last_->device, last_->number) == 0u;
  } catch (...) {
    return false;
  }
}

// Nobody needs the deleted file any more, but what FILE-wal holds may be missing in a copy of it.
void shared_file::keep_wal(sqlite3* handle) noexcept {
  try {
    std::string kept = set_aside(path_ + "-wal");
    log::warn("a SQLite file was deleted while it was in use; a copy of it lacks what was committed last",
              {{"file", path_}, {"left_in", kept.empty() ? "nothing" : kept}});
  } catch (const std::exception& e) {
    log::error("a SQLite file was deleted while it was in use, and what was committed last can't be kept",
               {{"file", path_}, {"reason", e.what()}});
    write_wal_to_file(handle);  // so that it gets into no other file
  }
  sqlite3_close(handle);
}

// Keeps the handle where that can't be done: nobody else is sure to find the file again.
void shared_file::empty_wal(sqlite3* handle) noexcept {
  if (is_deleted()) return keep_wal(handle);
  if (write_wal_to_file(handle) || !has_moved(handle)) {
    sqlite3_close(handle);
    std::string why = why_not_to_be_found(path_);
    if (!why.empty())
      log::warn("a SQLite file can't be found by its path any more; all that was committed is in it",
                {{"file", path_}, {"reason", why}});
    else
      log::warn("a SQLite file was moved while it was in use; all that was committed is in it", {{"file", path_}});
    return;
  }
  log::error("a SQLite file was moved while it was in use, and what was committed last can't be written to it",
             {{"file", path_}, {"left_in", path_ + "-wal"}, {"reason", sqlite3_errmsg(handle)}});
  left_behind_ = handle;
}

void shared_file::check_left_behind(const std::string& name) {
  if (left_behind_ == nullptr) return;
  if (is_deleted()) return keep_wal(std::exchange(left_behind_, nullptr));
  if (has_moved(left_behind_) && !write_wal_to_file(left_behind_)) throw_left_behind(left_behind_, name, path_);
  sqlite3_close(std::exchange(left_behind_, nullptr));
}

void shared_file::check_wal(const identity& now, const std::string& name) const {
  // Looked at before the file, which is never empty once its FILE-wal was made.
  bool has_wal = size_of(path_ + "-wal") > 0;
  if (has_wal && size_of(path_) == 0) throw_wal_alone(name, path_);
  if (!last_ || now == *last_) return;
  if (has_wal) throw_wal_of_another(name, path_);
  if (is_in_use(path_ + "-shm")) throw_shm_in_use(name, path_);
}

}  // namespace penstock::db::sqlite

#pragma once

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <sqlite3.h>
#include <sys/types.h>

namespace penstock {

// SQLite's writes to files, of which the next ones fail as those to a bad disk do
// (https://www.sqlite.org/c3ref/vfs.html, xSetSystemCall). As long as it lives, for the whole process: one at a time.
class failing_writes {
 public:
  failing_writes() {
    sqlite3_vfs* files = sqlite3_vfs_find(nullptr);
    for (const char* name = nullptr; (name = files->xNextSystemCall(files, name)) != nullptr;)
      if (std::string(name).starts_with("pwrite")) names_.emplace_back(name);
    for (const std::string& name : names_) {
      real_ = reinterpret_cast<call>(files->xGetSystemCall(files, name.c_str()));
      files->xSetSystemCall(files, name.c_str(), reinterpret_cast<sqlite3_syscall_ptr>(&write));
    }
  }
  failing_writes(const failing_writes&) = delete;
  failing_writes& operator=(const failing_writes&) = delete;
  ~failing_writes() {
    sqlite3_vfs* files = sqlite3_vfs_find(nullptr);
    for (const std::string& name : names_) files->xSetSystemCall(files, name.c_str(), nullptr);
  }

  void fail_next(int writes) { left_ = writes; }
  // How many of those are still to come.
  int left() const { return left_; }

 private:
  using call = ssize_t (*)(int, const void*, std::size_t, off_t);

  static ssize_t write(int file, const void* from, std::size_t size, off_t where) {
    for (int left = left_; left > 0;)
      if (left_.compare_exchange_weak(left, left - 1)) {
        errno = EIO;
        return -1;
      }
    return real_(file, from, size, where);
  }

  static inline call real_ = nullptr;
  static inline std::atomic<int> left_ = 0;
  std::vector<std::string> names_;
};

}  // namespace penstock

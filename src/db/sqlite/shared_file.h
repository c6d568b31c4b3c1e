#pragma once

#include "../fitting_tables.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

struct sqlite3;

namespace penstock::db::sqlite {

class session;

// What the sessions of this process have in common that opened the file at one path. SQLite finds FILE-wal and FILE-shm
// by the path alone: whoever opens another file there gets the commits of the one before written into it. So when one
// session finds that the file was moved, all are closed, and what FILE-wal holds is written to the file that it belongs
// to, wherever that is now; before that, no session opens another one. When it was deleted, FILE-wal gets another name:
// a move to another disk is a copy, without FILE-wal, and a deletion. For any thread.
class shared_file {
 public:
  // The one for this path: absolute and without links, as `sqlite3_db_filename` gives it.
  static std::shared_ptr<shared_file> at(const std::string& path);
  // The path behind links, where a file may be missing.
  static std::string resolve(const std::string& file);

  explicit shared_file(std::string path) : path_(std::move(path)) {}
  shared_file(const shared_file&) = delete;
  shared_file& operator=(const shared_file&) = delete;
  ~shared_file();

  // For a session that has opened the file and read nothing of it; `name` is the file's in messages. Throws where
  // FILE-wal may be another file's.
  void enter(session& newcomer, sqlite3* handle, const std::string& name);
  // Closes the session's handle.
  void leave(session& leaving) noexcept;
  // Before a file is made at the path, where none is. Throws where one was moved away from, or left its FILE-wal.
  void check_absence(const std::string& name);

  // True when the path of the open file leads to another one, or to none.
  static bool has_moved(sqlite3* handle) noexcept;
  // A session found the file moved: `retire` ends them all.
  void note_moved() noexcept { moved_.store(true); }
  bool moved() const noexcept { return moved_.load(); }
  // Closes the handles of all sessions once their calls are over. Not for a thread that is in a call of one.
  void retire() noexcept;

 private:
  struct identity {
    std::uint64_t device;
    std::uint64_t number;
    bool operator==(const identity&) const = default;
  };

  identity identity_of(sqlite3* handle, const std::string& name) const;
  void retire_all() noexcept;
  void empty_wal(sqlite3* handle) noexcept;
  bool is_deleted() const noexcept;
  void keep_wal(sqlite3* handle) noexcept;
  void check_left_behind(const std::string& name);
  void check_wal(const identity& now, const std::string& name) const;

  const std::string path_;
  std::atomic<bool> moved_ = false;
  // Taken before any session's own.
  std::mutex mutex_;
  std::vector<session*> sessions_;  // all have the same file open
  std::optional<identity> last_;    // of the file that was opened last
  sqlite3* left_behind_ = nullptr;  // has a moved file open, while FILE-wal could not be written to it
};

// Keeps what is known of a file while no session has it open.
struct kept_file {
  std::mutex mutex;
  std::shared_ptr<shared_file> file;
  fitting_tables fits = {};  // whatever file it is
};

}  // namespace penstock::db::sqlite

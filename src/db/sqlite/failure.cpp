#include "failure.h"

#include <cerrno>
#include <filesystem>
#include <system_error>

#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

namespace penstock::db::sqlite {
namespace {

std::string advice_on_opening(int code, int system_error, const std::filesystem::path& path) {
  std::error_code ignored;
  std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  if (std::filesystem::is_directory(path, ignored)) return "it is a folder: name a file in it";
  if (!std::filesystem::exists(folder, ignored))
    return "the folder '" + folder.string() + "' does not exist: create it";
  if (code == SQLITE_NOTADB) return "it is no SQLite database: name another file, or move it away";
  if (code == SQLITE_CORRUPT) return "it is damaged: restore it from a backup, or try the sqlite3 shell's .recover";
  if (code == SQLITE_BUSY) return "another process has locked it: stop that one, or raise busy_timeout";
  if (code == SQLITE_FULL || system_error == ENOSPC) return "the disk is full: make room";
  if (!std::filesystem::exists(path, ignored) && ::access(folder.c_str(), W_OK | X_OK) != 0)
    return "the folder '" + folder.string() + "' must be writable, for the file and its -wal and -shm: see its rights";
  if (code == SQLITE_READONLY || code == SQLITE_PERM || system_error == EACCES || system_error == EROFS)
    return "it must be readable and writable, and so must its folder, for the -wal and -shm files: see their rights";
  return {};
}

}  // namespace

db_errc classify(int extended) noexcept {
  switch (extended & 0xff) {
    case SQLITE_CONSTRAINT:
      return (extended == SQLITE_CONSTRAINT_DATATYPE) ? db_errc::data : db_errc::constraint;
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
      return db_errc::data;
    case SQLITE_BUSY:
      return extended == SQLITE_BUSY_SNAPSHOT ? db_errc::serialization : db_errc::lock_timeout;
    case SQLITE_LOCKED:
      return db_errc::lock_timeout;
    case SQLITE_READONLY:
      return db_errc::read_only;
    case SQLITE_FULL:
      return db_errc::full;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return db_errc::corrupt;
    case SQLITE_INTERRUPT:
      return db_errc::interrupted;
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return db_errc::auth;
    case SQLITE_ERROR:
      return db_errc::syntax;
    default:
      return db_errc::other;
  }
}

void throw_failure(sqlite3* handle, const std::string& path, const std::string& doing) {
  int code = handle == nullptr ? SQLITE_NOMEM : sqlite3_extended_errcode(handle);
  std::string said = handle == nullptr ? "out of memory" : sqlite3_errmsg(handle);
  if ((code & 0xff) == SQLITE_BUSY)
    said += "; another session or process holds the file's lock: let it end its transaction, or raise busy_timeout";
  throw database_error(classify(code), "SQLite '" + path + "', " + doing + ": " + said, code);
}

void throw_serialization_failure(sqlite3* handle, const std::string& path, const std::string& doing) {
  throw database_error(db_errc::serialization,
                       "SQLite '" + path + "', " + doing + ": " + sqlite3_errmsg(handle) +
                           "; another session wrote, and this transaction began by reading: roll it back and begin "
                           "again, by `begin` when it is to write",
                       sqlite3_extended_errcode(handle));
}

// Its pages may have reached the -wal, where recovery finds them after a crash, unless a later commit is written over
// them (https://www.sqlite.org/fileformat2.html#walformat).
void throw_left_to_recovery(const database_error& commit_failure) {
  throw database_error(db_errc::ambiguous_commit,
                       commit_failure.message() + "; it was undone, but may be there after a crash",
                       commit_failure.server_code());
}

void throw_open_failure(sqlite3* handle, const std::string& path) {
  if (handle == nullptr) throw_failure(handle, path, "open");
  int code = sqlite3_extended_errcode(handle);
  std::string said = sqlite3_errmsg(handle);
  std::string advice = advice_on_opening(code & 0xff, sqlite3_system_errno(handle), path);
  db_errc errc =
      (code & 0xff) == SQLITE_CANTOPEN && sqlite3_system_errno(handle) == EACCES ? db_errc::auth : classify(code);
  throw database_error(errc, "SQLite can't open '" + path + "': " + said + (advice.empty() ? "" : "; " + advice), code);
}

// A file whose path can't be followed counts as moved: whoever can follow it may put another one there.
std::string why_not_to_be_found(const std::string& path) {
  struct stat there {};
  if (::stat(path.c_str(), &there) == 0 || errno == ENOENT) return {};
  return std::generic_category().message(errno);
}

void throw_moved(const std::string& path) {
  std::string why = why_not_to_be_found(path);
  if (!why.empty())
    throw database_error(db_errc::connection_lost,
                         "SQLite '" + path + "': the file can't be found by its path any more (" + why +
                             "): give back the rights to its folders, or mend what else is in the way",
                         SQLITE_READONLY_DBMOVED);
  throw database_error(db_errc::connection_lost,
                       "SQLite '" + path +
                           "': the file was moved, replaced or deleted while it was in use, and what would be written "
                           "to it would be lost; put it back, or another one in its place, or restart to begin with "
                           "an empty one",
                       SQLITE_READONLY_DBMOVED);
}

void throw_unwritable(const std::string& name) {
  throw database_error(db_errc::read_only, "SQLite '" + name + "': this account may not write to the file",
                       SQLITE_READONLY);
}

void throw_left_behind(sqlite3* handle, const std::string& name, const std::string& path) {
  throw database_error(db_errc::connection_lost,
                       "SQLite '" + name + "': what was committed last to the file that was moved is in '" + path +
                           "-wal' and can't be written to that file: " + sqlite3_errmsg(handle) +
                           "; end what else has it open, or put it back",
                       sqlite3_extended_errcode(handle));
}

void throw_wal_alone(const std::string& name, const std::string& path) {
  throw database_error(db_errc::other,
                       "SQLite '" + name + "': '" + path +
                           "-wal' has commits, but their file is missing or empty: put that file back beside it, or "
                           "move '" +
                           path + "-wal' and '" + path + "-shm' away to begin with an empty one",
                       SQLITE_CANTOPEN);
}

void throw_wal_of_another(const std::string& name, const std::string& path) {
  throw database_error(
      db_errc::connection_lost,
      "SQLite '" + name + "': this is another file than the one before, and the commits in '" + path +
          "-wal' would be written into it; stop all that uses it, then put that -wal beside the file that was moved, "
          "under its name, and remove '" +
          path + "-shm', or start again as it is when the -wal belongs to this file",
      SQLITE_CANTOPEN);
}

void throw_shm_in_use(const std::string& name, const std::string& path) {
  throw database_error(db_errc::connection_lost,
                       "SQLite '" + name + "': this is another file than the one before, and another process uses '" +
                           path + "-wal' and '" + path + "-shm', which are of that one; end that process",
                       SQLITE_CANTOPEN);
}

}  // namespace penstock::db::sqlite

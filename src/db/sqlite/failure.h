#pragma once

#include "penstock/db/error.h"

#include <string>

struct sqlite3;

namespace penstock::db::sqlite {

// The class of an extended result code.
db_errc classify(int extended) noexcept;

// Throws what the handle's last call failed with. `path` is the file; `handle` may be null: out of memory.
[[noreturn]] void throw_failure(sqlite3* handle, const std::string& path, const std::string& doing);

// As above, for SQLITE_BUSY in a transaction that had only read.
[[noreturn]] void throw_serialization_failure(sqlite3* handle, const std::string& path, const std::string& doing);

// Throws `db_errc::ambiguous_commit` for a COMMIT that the disk refused.
[[noreturn]] void throw_left_to_recovery(const database_error& commit_failure);

// Throws what opening a file failed with: says what to do.
[[noreturn]] void throw_open_failure(sqlite3* handle, const std::string& path);

// Why nobody can say whether a file is at its path, as "Permission denied"; empty where one is, or none.
std::string why_not_to_be_found(const std::string& path);

// For a file that was opened before, and to which its path no longer leads.
[[noreturn]] void throw_moved(const std::string& path);

[[noreturn]] void throw_unwritable(const std::string& name);

// Where FILE-wal belongs to another file than the one that is to be opened. `path` is FILE without links.
// What the handle of a moved file could not write to it.
[[noreturn]] void throw_left_behind(sqlite3* handle, const std::string& name, const std::string& path);
// The file of a FILE-wal is not there.
[[noreturn]] void throw_wal_alone(const std::string& name, const std::string& path);
// Another file was put beside a FILE-wal.
[[noreturn]] void throw_wal_of_another(const std::string& name, const std::string& path);
[[noreturn]] void throw_shm_in_use(const std::string& name, const std::string& path);

}  // namespace penstock::db::sqlite

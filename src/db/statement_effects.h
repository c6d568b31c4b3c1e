#pragma once

// What a statement does, as far as its text tells.

#include <string_view>

namespace penstock::db {

// True when it may leave a setting, a variable, a temporary table, a prepared statement, a cursor or a lock in its
// session, which the next user would meet; what the functions and triggers that it runs may do is not looked into.
bool leaves_traces(std::string_view sql) noexcept;
// True when it inserts, replaces, deletes or updates rows, whatever it gives back.
bool changes_rows(std::string_view sql) noexcept;
// True when it begins with SET.
bool only_sets(std::string_view sql) noexcept;
// Of a statement of PostgreSQL: true when it begins with what may set a setting back to what it was.
bool only_sets_back(std::string_view sql) noexcept;
// Of a statement of MariaDB or MySQL that gives rows: true when it does nothing else, but for what the functions in it
// do, and so may be run again.
bool only_asks(std::string_view sql) noexcept;
// Of a statement of SQLite or PostgreSQL: true when it changes no table. One that begins with WITH and has a word of
// those that do, be it in a text, counts as one that may.
bool only_reads(std::string_view sql) noexcept;
// True when some of it may be committed though it fails.
bool may_commit_halfway(std::string_view sql) noexcept;

}  // namespace penstock::db

#include "examination.h"

#include "penstock/db/error.h"

#include <exception>
#include <string>
#include <utility>

#include <sqlite3.h>

namespace penstock::db::sqlite {
namespace {

using level = finding::level;

task<std::string> pragma(connection& c, const char* name) {
  task<result> asking =
      c.query("SELECT CAST(value AS TEXT) FROM (SELECT " + std::string(name) + " AS value FROM pragma_" + name + ")");
  result rows = co_await std::move(asking);
  co_return rows.rows.empty() ? std::string() : std::get<std::string>(rows.rows[0][0]);
}

// Writes, and takes it back.
task<std::optional<std::string>> reason_against_writing(connection& c) {
  std::optional<std::string> reason;
  try {
    task<void> beginning = c.begin();
    co_await std::move(beginning);
    task<std::uint64_t> writing = c.execute("PRAGMA user_version = 1");
    co_await std::move(writing);
  } catch (const database_error& e) {
    reason = e.message();
  }
  task<void> ending = c.rollback();
  co_await std::move(ending);
  co_return reason;
}

}  // namespace

task<std::vector<finding>> examine_file(connection& c) {
  std::vector<finding> found;
  found.push_back({level::note, "SQLite " + std::string(sqlite3_libversion()), "the library's version", {}});
  task<std::string> asking = pragma(c, "journal_mode");
  std::string journal = co_await std::move(asking);
  if (journal != "wal" && journal != "memory")
    found.push_back(
        {level::warning, "journal_mode = " + journal,
         "write-ahead logging can't be switched on here, as on network file systems: commits are slower, and "
         "readers wait for them",
         "put the file on a local disk"});
  task<std::optional<std::string>> trying = reason_against_writing(c);
  std::optional<std::string> refusal = co_await std::move(trying);
  if (refusal)
    found.push_back({level::error, "the file can't be written to", *refusal,
                     "end the process that has it locked, or let this one write there"});
  co_return found;
}

}  // namespace penstock::db::sqlite

#include "session.h"

#include <sqlite3.h>

// A name in double quotes that nobody has is a text to SQLite, unless it is told otherwise
// (https://www.sqlite.org/quirks.html#dblquote): a condition on a misspelt column is none. It can't be told so for a
// statement's own text alone. Triggers and views that were made with such texts would fail with the statements that
// meet them, those of batches too, so a file with double quotes in any of them keeps SQLite's way; and so do
// definitions of tables and indexes (DQS_DDL), since VACUUM and ALTER TABLE read all of the file's again.

namespace penstock::db::sqlite {

void session::choose_double_quotes() {
  static const std::string sql =
      "SELECT EXISTS (SELECT 1 FROM (SELECT type, sql FROM sqlite_schema UNION ALL SELECT type, sql FROM "
      "sqlite_temp_schema) WHERE type IN ('trigger', 'view') AND instr(sql, '\"'))";
  auto may_be_texts = static_cast<int>(std::get<std::int64_t>(query(sql, {}).rows.at(0).at(0)));
  int is_so = 0;
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_DQS_DML, may_be_texts, &is_so);
}

}  // namespace penstock::db::sqlite

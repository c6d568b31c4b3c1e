#include "failure.h"
#include "penstock/db/error.h"
#include "session.h"
#include "sql.h"

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include <sqlite3.h>

// The rows of a batch, each stored, found to be there or refused by itself.

namespace penstock::db::sqlite {
namespace {

using owned_statement = std::unique_ptr<sqlite3_stmt, decltype(&sqlite3_finalize)>;  // not of the cache

database_error not_stored(const table_definition& into) {
  return {db_errc::other, "SQLite, insert into " + into.name +
                              ": a row was accepted but not stored; take away the trigger that drops it"};
}

database_error rolled_back(const table_definition& into, const std::string& refusal) {
  return {db_errc::other, "SQLite, insert into " + into.name +
                              ": a trigger rolled the whole batch back with one row ('" + refusal +
                              "'); let it RAISE(ABORT)"};
}

row_refusal not_bound(const table_column& column, int bound) {
  std::string why = bound == SQLITE_MISMATCH
                        ? "the column is " + std::string(name_of(column.type)) + " and can't keep this value as it is"
                        : sqlite3_errstr(bound);
  return {code_name(db_errc::data), "column '" + column.name + "': " + why};
}

// The ids of the rows that statements put into a table, while it lives. One handle has one such hook.
class new_ids {
 public:
  new_ids(sqlite3* handle, std::string_view table) : handle_(handle), table_(table) {
    sqlite3_update_hook(handle_, &note, this);
  }
  new_ids(const new_ids&) = delete;
  new_ids& operator=(const new_ids&) = delete;
  ~new_ids() { sqlite3_update_hook(handle_, nullptr, nullptr); }

  std::vector<std::int64_t>& list() noexcept { return list_; }

 private:
  static void note(void* self, int operation, const char*, const char* table, sqlite3_int64 id) {
    auto& me = *static_cast<new_ids*>(self);
    if (operation == SQLITE_INSERT && same_name(table, me.table_)) me.list_.push_back(id);
  }

  sqlite3* handle_;
  std::string_view table_;
  std::vector<std::int64_t> list_;
};

// What may be one row's fault: "syntax" is also what a function says of a value.
bool is_about_rows(db_errc errc) {
  return errc == db_errc::constraint || errc == db_errc::data || errc == db_errc::syntax;
}

}  // namespace

// A failing INSERT undoes itself alone, not the transaction (conflict resolution ABORT), so rows are tried once each.
void session::insert_each(const table_definition& into, const row_batch& rows, std::size_t first, std::size_t end,
                          way_in way, batch_report& report) {
  on_conflict how = way == way_in::apart_as_declared ? on_conflict::as_declared : on_conflict::abort;
  use insert = prepare(insert_sql(into, 1, how));
  enter(insert.get());
  texts_.resize(std::max(texts_.size(), rows.columns()));
  for (std::size_t r = first; r < end; ++r) {
    row_outcome& outcome = report.rows[r];
    std::optional<row_refusal> refused = way == way_in::each ? try_row(insert.get(), into, rows.row(r), outcome)
                                                             : try_row_apart(insert.get(), into, rows.row(r), outcome);
    if (!refused) continue;
    outcome.what = row_outcome::status::refused;
    outcome.refusal = static_cast<std::int32_t>(report.refusals.size());
    report.refusals.push_back(*std::move(refused));
  }
}

// A statement costs as much as a short row, and a group has one. The rows of one that does not go in are tried by
// themselves, and all that follow where few groups go in.
void session::insert_grouped(const table_definition& into, const row_batch& rows, batch_report& report) {
  const auto most_places = static_cast<std::size_t>(sqlite3_limit(handle_, SQLITE_LIMIT_VARIABLE_NUMBER, -1));
  std::size_t row = 0;
  std::size_t undone = 0;
  for (std::size_t size : {std::size_t{32}, std::size_t{8}}) {
    if (size * rows.columns() > most_places) continue;
    while (rows.rows() - row >= size && undone * 2 * size <= row + 4 * size) {
      row = insert_groups(into, rows, row, size, report);
      if (rows.rows() - row < size) break;
      insert_each(into, rows, row, row + size, way_in::each, report);
      row += size;
      ++undone;
    }
  }
  if (row < rows.rows()) insert_each(into, rows, row, rows.rows(), way_in::each, report);
}

std::size_t session::insert_groups(const table_definition& into, const row_batch& rows, std::size_t first,
                                   std::size_t size, batch_report& report) {
  use insert = prepare(insert_sql(into, size));
  enter(insert.get());
  texts_.resize(std::max(texts_.size(), size * rows.columns()));
  // The statement's own ABORT does not undo it where SQLite sees no constraint that could fail: a value of the wrong
  // type in a STRICT table then leaves the rows before it.
  owned_statement savepoint(compile("SAVEPOINT penstock_rows"), &sqlite3_finalize);
  owned_statement release(compile("RELEASE penstock_rows"), &sqlite3_finalize);
  new_ids ids(handle_, into.name);
  for (; rows.rows() - first >= size; first += size) {
    run_plain(savepoint.get());
    bool all_in = try_group(insert.get(), into, rows, first, size);
    if (!all_in) execute_plain("ROLLBACK TO penstock_rows");
    run_plain(release.get());
    if (!all_in) break;
    bool has_ids = !into.id_column.empty() && ids.list().size() == size;  // none WITHOUT ROWID
    for (std::size_t r = 0; r < size; ++r) report.rows[first + r].id = has_ids ? ids.list()[r] : 0;
    ids.list().clear();
  }
  return first;
}

bool session::try_group(sqlite3_stmt* insert, const table_definition& into, const row_batch& rows, std::size_t first,
                        std::size_t size) {
  int place = 0;
  for (std::size_t r = first; r < first + size; ++r) {
    std::span<const cell> row = rows.row(r);
    for (std::size_t i = 0; i < row.size(); ++i)
      if (bind_cell_to(insert, ++place, row[i], into.columns[i].type, texts_) != SQLITE_OK) return false;
  }
  bool all_in = false;
  std::string refused;
  if (sqlite3_step(insert) == SQLITE_DONE) {
    all_in = static_cast<std::size_t>(sqlite3_changes(handle_)) == size;
  } else {
    if (!is_about_rows(classify(sqlite3_extended_errcode(handle_)))) fail("insert into " + into.name);
    refused = sqlite3_errmsg(handle_);
  }
  sqlite3_reset(insert);
  if (!transacting()) throw rolled_back(into, refused);
  return all_in;
}

std::optional<row_refusal> session::try_row(sqlite3_stmt* insert, const table_definition& into,
                                            std::span<const cell> row, row_outcome& outcome) {
  for (std::size_t i = 0; i < row.size(); ++i)
    if (int bound = bind_cell_to(insert, static_cast<int>(i) + 1, row[i], into.columns[i].type, texts_);
        bound != SQLITE_OK)
      return not_bound(into.columns[i], bound);
  std::optional<row_refusal> refused;
  if (sqlite3_step(insert) == SQLITE_DONE) {
    bool stored = sqlite3_changes(handle_) > 0;
    if (!stored && into.unique_key.empty()) throw not_stored(into);
    outcome.what = stored ? row_outcome::status::stored : row_outcome::status::duplicate;
    if (stored && !into.id_column.empty()) outcome.id = sqlite3_last_insert_rowid(handle_);
  } else {
    refused = refusal_of(into);
  }
  sqlite3_reset(insert);
  if (!transacting()) throw rolled_back(into, refused.value_or(row_refusal()).message);
  return refused;
}

row_refusal session::refusal_of(const table_definition& into) {
  int code = sqlite3_extended_errcode(handle_);
  db_errc errc = classify(code);
  std::string said = sqlite3_errmsg(handle_);
  if (errc == db_errc::syntax) {
    // What a function says of the row's values, unless the table has changed since the statement was prepared.
    throw_if_interrupted();
    sqlite3_finalize(compile(insert_sql(into)));
    errc = db_errc::data;
  }
  if (errc != db_errc::constraint && errc != db_errc::data) fail("insert into " + into.name);
  return {code_name(errc), std::move(said), code == SQLITE_CONSTRAINT_NOTNULL};
}

std::optional<row_refusal> session::try_row_apart(sqlite3_stmt* insert, const table_definition& into,
                                                  std::span<const cell> row, row_outcome& outcome) {
  bool broken_before = breaks_foreign_keys();
  execute_plain("SAVEPOINT penstock_row");
  std::optional<row_refusal> refused = try_row(insert, into, row, outcome);
  if (!refused && !broken_before && breaks_foreign_keys())
    refused = {code_name(db_errc::constraint), "FOREIGN KEY constraint failed"};
  bool repeats = !refused && outcome.what == row_outcome::status::duplicate;
  if (refused || repeats) execute_plain("ROLLBACK TO penstock_row");
  if (repeats) confirm_duplicate(into, row);  // its trigger's own rows are gone
  execute_plain("RELEASE penstock_row");
  return refused;
}

void session::confirm_duplicate(const table_definition& into, std::span<const cell> row) {
  std::string sql;
  std::vector<std::size_t> key;
  for (std::size_t i = 0; i < into.columns.size(); ++i) {
    const std::string& name = into.columns[i].name;
    auto is_name = [&](const std::string& part) { return same_name(part, name); };
    if (std::none_of(into.unique_key.begin(), into.unique_key.end(), is_name)) continue;
    sql += (key.empty() ? "SELECT 1 FROM " + quote_identifier(into.name) + " WHERE " : " AND ") +
           quote_identifier(name) + " = ?";
    key.push_back(i);
  }
  owned_statement looking(compile(sql), &sqlite3_finalize);
  for (std::size_t i = 0; i < key.size(); ++i)
    bind_cell_to(looking.get(), static_cast<int>(i) + 1, row[key[i]], into.columns[key[i]].type, texts_);
  if (sqlite3_step(looking.get()) != SQLITE_ROW) throw not_stored(into);
}

// What a trigger did stays behind its RAISE(FAIL) and before a row that is there already, and a deferred foreign key is
// looked at by the COMMIT only, which fails for the neighbours too. What a trigger's statements say of conflicts counts
// unless the table says something itself, or something rolls back: that would be all of the batch.
session::way_in session::way_into(const std::string& table) {
  static const std::string sql =
      "SELECT CASE WHEN EXISTS (SELECT 1 FROM (SELECT type, tbl_name FROM sqlite_schema UNION ALL "
      "SELECT type, tbl_name FROM sqlite_temp_schema) WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE) OR "
      "EXISTS (SELECT 1 FROM pragma_foreign_key_list(?1)) THEN CASE WHEN EXISTS (SELECT 1 FROM sqlite_schema WHERE "
      "(name = ?1 COLLATE NOCASE AND sql LIKE '%CONFLICT%') OR sql LIKE '%ROLLBACK%') THEN 2 ELSE 3 END "
      "ELSE EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE AND sql LIKE 'CREATE VIRTUAL%') END";
  return static_cast<way_in>(std::get<std::int64_t>(query(sql, {table}).rows.at(0).at(0)));
}

bool session::breaks_foreign_keys() const noexcept {
  int unresolved = 0;
  int highest = 0;
  sqlite3_db_status(handle_, SQLITE_DBSTATUS_DEFERRED_FKS, &unresolved, &highest, 0);
  return unresolved != 0;
}

void session::run_plain(sqlite3_stmt* statement) {
  int step = sqlite3_step(statement);
  sqlite3_reset(statement);
  if (step != SQLITE_DONE) fail(sqlite3_sql(statement));
}

// Past the cache of statements, which could drop the one under way.
void session::execute_plain(const char* sql) {
  if (sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) fail(sql);
}

}  // namespace penstock::db::sqlite

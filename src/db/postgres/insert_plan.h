#pragma once

#include "binding.h"
#include "penstock/db/connection.h"
#include "penstock/db/error.h"
#include "penstock/db/row_batch.h"
#include "penstock/db/table.h"

#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::db::postgres {

// Whether the table `c` of pg_class has a trigger that may put rows into tables that inherit from it.
inline constexpr std::string_view may_move_rows_sql =
    "(c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhparent = c.oid) "
    "AND EXISTS (SELECT FROM pg_trigger AS g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal "
    "AND g.tgenabled IN ('O', 'A') AND g.tgtype & 7 = 7))";  // row, before, insert: pg_trigger.h, TRIGGER_TYPE_…

// A column of type varchar(n) or char(n), or of a domain over one.
struct column_length {
  std::size_t column = 0;
  std::size_t characters = 0;
};

// How rows go into one table.
struct insert_plan {
  table_definition into;
  std::string version;        // of the table, before anything else was asked for; TRUNCATE changes it too
  std::string shape;          // what of the table the plan relies on
  std::uint64_t made_in = 0;  // the session's transaction
  std::vector<Oid> types;     // of the columns
  std::vector<wire_type> as;  // how their values travel
  std::vector<column_length> lengths;
  std::string one_row;    // one row's INSERT; a repeated unique key stores nothing
  std::string many_rows;  // of arrays, one for each column; empty where rows must go one by one
  // many_rows gives (row from 1, id) of those stored, instead of the id of each; null for an id that no row was to
  // have.
  bool many_give_row = false;

  std::string copy;             // for binary COPY; empty where that is no way
  bool copy_gives_ids = false;  // it has the id first, and the server gives none
  std::string sequence;         // of the ids; empty where they can't be taken beforehand

  std::string missing_keys;      // which of given unique keys are not there; empty where no row is dropped unsaid
  std::string new_row;           // one row's INSERT, as above; a repeated unique key fails
  bool rows_may_depend = false;  // on those before them, whether they are refused
  // Has deferred constraints checked for each row: one that only the COMMIT refuses would take its neighbours along.
  // Empty without any.
  std::string check_at_once;

  bool is_for(const table_definition& t) const;
  // Why the server would cut a value of the row, naming the column; empty when it would not. It refuses a text that is
  // too long, but not for blanks at its end.
  std::string cuts(std::span<const cell> row) const;
  // COPY tells no ids but those that it gives.
  bool copies(const batch_report& report) const {
    return !copy.empty() && (copy_gives_ids || into.id_column.empty() || !report.wants_ids);
  }
};

// A text as a literal of SQL, for where nothing can be bound; of names and the like, not of what users send.
std::string in_quotes(const std::string& text);

std::string one_row_sql(const table_definition& into);
// `casts` are what a text needs on its way into each column, and `sequence` is that of the id column; all may be empty.
std::string many_rows_sql(const table_definition& into, const std::vector<Oid>& types,
                          const std::vector<std::string>& casts, const std::string& sequence);

// The places, from 1, of the rows, given as arrays of the unique key's columns, whose key the table does not have.
std::string missing_keys_sql(const table_definition& into, const std::vector<Oid>& types,
                             const std::vector<std::string>& type_names);

// Empty when a column's values have no binary format here, or repeats must be told from new rows.
std::string copy_sql(const table_definition& into, const std::vector<Oid>& types, bool with_id);
// Takes so many ids from a sequence. Gives the first, and all of them where they do not follow one another, as when
// other sessions took some in between.
std::string reserve_ids_sql(const std::string& sequence, std::size_t count);

// Where outcomes can't be told.
database_error not_all_stored(const table_definition& into);

// Where the plan is of no use any more.
database_error altered_meanwhile(const table_definition& into);

// Where a plan may have been the cause of this failure, which is a `database_error`.
database_error to_be_stored_anew(const std::exception_ptr& failure);

// Rows as arrays, one for each column; keeps its memory.
class row_arrays {
 public:
  void start(const insert_plan& plan);
  // Gives why the row can't be stored, naming the column; empty when it was added.
  std::string add(const insert_plan& plan, std::span<const cell> row);
  std::size_t rows() const noexcept { return rows_; }
  // Valid until the next change.
  bound_values bound();

 private:
  struct column {
    std::string bytes;
    std::size_t before_row = 0;
  };
  std::vector<column> columns_;
  std::size_t rows_ = 0;
  std::vector<const char*> pointers_;
  std::vector<int> lengths_;
  std::vector<int> formats_;
};

}  // namespace penstock::db::postgres

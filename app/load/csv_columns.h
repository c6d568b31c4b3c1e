#pragma once

// What a CSV file's header says, and the JSON object that a row becomes under it.
//
//   csv_columns columns({"id:integer", "name"}, {});
//   columns.append(row.fields, body);          // {"id":7,"name":"Ada"}

#include <penstock/db/value.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::app::load {

/// Types given on the command line: a column's name and its type. They go before those in the header.
using column_types = std::vector<std::pair<std::string, db::column_type>>;

/// A type that a CSV column may have: integer, real, text, boolean, timestamp or json; nothing for other names.
std::optional<db::column_type> parse_csv_type(std::string_view name) noexcept;

/// Reads "id=integer,price=real". Throws `app_errc::bad_usage` for anything else.
column_types parse_column_types(std::string_view text);

/// A cell that is not of its column's type.
struct cell_problem {
  std::string message;
  std::string pointer;  ///< Of the cell's member in the object.
};

/// The columns of one file. Members of the object are named as the columns are, '/' and '.' included.
class csv_columns {
 public:
  /// A header cell may end in ':' and a type ("when:timestamp"); without one, the column is text. Throws
  /// `app_errc::bad_usage` when a name is there twice, is no UTF-8, or `types` names a column that is not there.
  csv_columns(std::span<const std::string_view> header, const column_types& types);

  std::size_t size() const noexcept { return columns_.size(); }
  /// Appends the object of a row with `size()` fields. An empty cell is null, or "" in a text column. When a cell is
  /// bad, `body` stays as it was.
  std::optional<cell_problem> append(std::span<const std::string_view> fields, std::string& body);

 private:
  struct column {
    std::string name;
    db::column_type type;
    std::string opening;  // What goes before its value: '{' or ',', its name as JSON, ':'.
  };

  std::vector<column> columns_;
};

}  // namespace penstock::app::load

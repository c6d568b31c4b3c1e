#include "../definition_faults.h"
#include "penstock/db/error.h"
#include "penstock/observe/log.h"
#include "session.h"
#include "sql.h"
#include "table_engine.h"
#include "wire_text.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

// Makes a table, or says how the one that exists differs. Names of columns are the same in any case, as the server
// takes them.

namespace penstock::db::mariadb {
namespace {

struct known_column {
  existing_column column;
  std::string data_type;
  std::string collation;
  std::int64_t time_digits = 0;
  bool generates_ids = false;
  bool is_generated = false;
  bool takes_nulls = false;
};

std::string columns_sql(const std::string& table) {
  std::string sql =
      "SELECT COLUMN_NAME, COLUMN_TYPE, DATA_TYPE, IS_NULLABLE, COLUMN_DEFAULT IS NULL, EXTRA, COLLATION_NAME, "
      "DATETIME_PRECISION FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ";
  append_quoted(sql, table);
  return sql + " ORDER BY ORDINAL_POSITION";
}

// Columns that the definition has in another case are given in its case.
std::vector<known_column> columns_of(const text_result& found, const table_definition& wanted) {
  auto text_of = [](const std::optional<std::string>& field) { return field.value_or(""); };
  std::vector<known_column> columns;
  for (const auto& row : found.rows) {
    known_column c;
    c.column.name = text_of(row[0]);
    c.column.declared_type = text_of(row[1]);
    c.data_type = text_of(row[2]);
    std::string extra = text_of(row[5]);
    c.generates_ids = extra.find("auto_increment") != std::string::npos;
    // "STORED GENERATED"; MySQL's "DEFAULT_GENERATED" is a default.
    c.is_generated = extra.find(" GENERATED") != std::string::npos;
    bool is_made = c.generates_ids || extra.find("GENERATED") != std::string::npos;
    c.column.required = text_of(row[3]) == "NO" && number_in(row[4]) == 1 && !is_made;
    c.takes_nulls = text_of(row[3]) == "YES";
    c.collation = text_of(row[6]);
    c.time_digits = number_in(row[7]);
    if (same_name(c.column.name, wanted.id_column)) c.column.name = wanted.id_column;
    for (const table_column& w : wanted.columns)
      if (same_name(c.column.name, w.name)) c.column.name = w.name;
    columns.push_back(std::move(c));
  }
  return columns;
}

bool is_one_of(std::string_view type, std::initializer_list<std::string_view> list) {
  return std::find(list.begin(), list.end(), type) != list.end();
}

// True where a column of this type keeps each value as it is, or refuses it.
bool keeps(const known_column& there, column_type given) {
  const std::string& type = there.data_type;
  bool whole = is_one_of(type, {"tinyint", "smallint", "mediumint", "int", "bigint"});
  bool text = is_one_of(type, {"tinytext", "text", "mediumtext", "longtext", "varchar"});
  switch (given) {
    case column_type::integer:
    case column_type::boolean:
      return whole;
    case column_type::real:
      return type == "double" && there.column.declared_type.find('(') == std::string::npos;  // DOUBLE(10,2) rounds
    case column_type::text:
      return text;
    case column_type::json:
      return text || type == "json";
    case column_type::timestamp:
      return is_one_of(type, {"datetime", "timestamp"});
    case column_type::blob:
      return is_one_of(type, {"tinyblob", "blob", "mediumblob", "longblob", "varbinary"});
  }
  return false;
}

// Others ignore the case of letters, or blanks at the end: utf8mb4_bin does.
bool tells_all_apart(const std::string& collation) {
  return collation.ends_with("_nopad_bin") || collation.ends_with("_0900_bin");
}

std::vector<std::string> type_differences(const table_definition& wanted, const std::vector<known_column>& existing,
                                          const server_facts& facts) {
  std::vector<std::string> differences;
  for (const known_column& there : existing) {
    const std::string& name = there.column.name;
    if (name == wanted.id_column && !there.generates_ids)
      differences.push_back("column '" + name + "' does not generate ids: make it AUTO_INCREMENT");
    for (const table_column& column : wanted.columns) {
      if (column.name != name) continue;
      if (there.is_generated)
        differences.push_back("column '" + name + "' is generated: leave it out");
      else if (!keeps(there, column.type))
        differences.push_back("column '" + name + "' is " + there.column.declared_type + ", which does not keep " +
                              std::string(name_of(column.type)) + " values as they are");
      else if (column.type == column_type::timestamp && there.time_digits < 6)
        differences.push_back("column '" + name + "' is " + there.column.declared_type +
                              ", which cuts microseconds off: make it DATETIME(6)");
      else if (facts.nulls_become_now && there.data_type == "timestamp" && !there.takes_nulls && !column.required)
        differences.push_back(
            "column '" + name +
            "' stores the current time for null while explicit_defaults_for_timestamp is off: make it "
            "DATETIME(6)");
    }
    bool is_key = std::find(wanted.unique_key.begin(), wanted.unique_key.end(), name) != wanted.unique_key.end();
    if (is_key && !there.collation.empty() && !tells_all_apart(there.collation))
      differences.push_back("column '" + name + "' of the unique key has the collation " + there.collation +
                            ", which takes different texts for the same: use one that ends in " +
                            (facts.is_mariadb ? "_nopad_bin" : "_0900_bin"));
  }
  return differences;
}

std::vector<existing_column> plain(const std::vector<known_column>& known) {
  std::vector<existing_column> columns;
  columns.reserve(known.size());
  for (const known_column& k : known) columns.push_back(k.column);
  return columns;
}

// In the definition's case, and without those that cover only the start of a column.
std::vector<std::vector<std::string>> keys_of(const std::vector<unique_index>& indexes,
                                              const table_definition& wanted) {
  std::vector<std::vector<std::string>> keys;
  keys.reserve(indexes.size());
  for (const unique_index& index : indexes)
    keys.push_back(same_columns(index.columns, wanted.unique_key) ? wanted.unique_key : index.columns);
  return keys;
}

constexpr std::size_t most_definitions = 16;  // of one table
constexpr std::size_t most_confirmed_keys = 64;
// Of a temporary file: EE_CANTCREATEFILE and EE_WRITE of the server's include/mysys_err.h.
constexpr int file_not_made = 1;
constexpr int file_not_written = 3;

template <class Known>
auto* find_fitting(Known& known, const table_definition& wanted) {
  auto at = std::find_if(known.fits.begin(), known.fits.end(), [&](const fitting_definition& fitted) {
    return have_the_same_columns(fitted.wanted, wanted);
  });
  return at == known.fits.end() ? nullptr : &*at;
}

// A server takes no name of the kind for one, and can't even be asked for it.
std::vector<std::string> impossible_names(const table_definition& definition) {
  std::vector<std::string> faults;
  auto look_at = [&](const std::string& name, const std::string& what) {
    bool is_beyond =
        std::any_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) >= 0xF0; });
    if (is_beyond) faults.push_back(what + " has a character beyond U+FFFF, which the database takes in no name");
    if (name.ends_with(' ')) faults.push_back(what + " ends with a blank, which the database takes of no name");
  };
  look_at(definition.name, "its name");
  for (const table_column& column : definition.columns)
    look_at(column.name, "the name of column '" + column.name + "'");
  return faults;
}

}  // namespace

// https://mariadb.com/kb/en/identifier-names/
std::vector<std::string> session::creation_faults(const table_definition& definition) const {
  std::vector<std::string> faults = impossible_names(definition);
  for (std::string& fault : long_names(definition, 64, name_unit::characters, false))
    faults.push_back(std::move(fault));
  return faults;
}

// Nothing where there is no table.
task<std::optional<std::vector<std::string>>> session::find_differences(const table_definition& wanted) {
  require_no_faults(wanted, impossible_names(wanted));
  std::string questions = columns_sql(wanted.name) + ";" + unique_keys_sql(wanted.name) + ";" +
                          engine_sql(wanted.name) + ";" + known_table_sql(wanted.name);
  task<void> asking = run_text(std::move(questions), "look at a table's columns, keys, engine and triggers");
  co_await std::move(asking);
  std::vector<known_column> existing = columns_of(answers_.at(0), wanted);
  if (existing.empty()) co_return std::nullopt;
  std::vector<std::string> differences =
      table_differences(wanted, plain(existing), keys_of(unique_indexes_of(answers_.at(1)), wanted));
  for (std::string& difference : type_differences(wanted, existing, facts_))
    differences.push_back(std::move(difference));
  if (std::optional<std::string> difference = engine_difference(answers_.at(2))) differences.push_back(*difference);
  known_table& known = home_->tables[wanted.name];
  std::vector<fitting_definition> fits = std::move(known.fits);
  known = known_table_from(answers_.at(3), answers_.at(4));
  known.fits = std::move(fits);
  fitting_definition* before = find_fitting(known, wanted);
  // One that does not fit any more is looked at again by the next batch.
  if (before != nullptr)
    before->looked_at = differences.empty() ? known.asked_for : time_point{};
  else if (differences.empty() && known.fits.size() < most_definitions)
    known.fits.push_back({wanted, known.asked_for});
  co_return differences;
}

task<void> session::prepare_table(const table_definition& definition) {
  auto look = [&]() -> task<std::optional<std::vector<std::string>>> {
    operation here(*this);
    task<std::optional<std::vector<std::string>>> finding = find_differences(definition);
    co_return co_await std::move(finding);
  };
  task<std::optional<std::vector<std::string>>> looking = look();
  std::optional<std::vector<std::string>> differences = co_await std::move(looking);
  if (!differences) {
    require_no_faults(definition, creation_faults(definition));
    task<std::uint64_t> making = execute(create_table_sql(definition, facts_.is_mariadb), {});
    co_await std::move(making);
    task<std::optional<std::vector<std::string>>> looking_again = look();
    differences = co_await std::move(looking_again);
  }
  if (!differences) differences.emplace(1, "it was dropped meanwhile");
  require_no_differences(definition, *differences);
}

// Before a batch for it, where what is known of it is too old.
task<void> session::look_at_table(const table_definition& into) {
  if (should_look_again(into)) {
    task<void> looking = look_again(into);
    co_await std::move(looking);
  }
  if (should_ask_for_key(into)) {
    task<void> asking = require_key(into);
    co_await std::move(asking);
  }
}

// Who alters a table tells nobody, and to ask with each batch would cost small ones a trip.
bool session::should_look_again(const table_definition& into) const {
  auto found = home_->tables.find(into.name);
  if (found == home_->tables.end()) return false;
  const fitting_definition* fitted = find_fitting(found->second, into);
  time_point looked_at = fitted == nullptr ? found->second.asked_for : fitted->looked_at;
  return scheduler::current().now() - looked_at >= home_->tables_are_known_for;
}

// Looking takes room that rows do not, as in the server's tmpdir: while there is none, what was known holds, also that
// a table did not fit.
task<void> session::look_again(const table_definition& into) {
  auto did_not_fit = [&] {
    const fitting_definition* fitted = find_fitting(home_->tables[into.name], into);
    return fitted != nullptr && fitted->looked_at == time_point{};
  };
  std::string failure;
  try {
    task<void> comparing = compare_again(into);
    co_await std::move(comparing);
  } catch (const database_error& e) {
    bool lacks_room =
        e.errc() == db_errc::full || e.server_code() == file_not_made || e.server_code() == file_not_written;
    if (!lacks_room || did_not_fit()) throw;
    failure = e.message();
  }
  bool was_told = std::exchange(home_->failing_look_is_told, !failure.empty());
  if (failure.empty()) co_return;
  known_table& known = home_->tables[into.name];
  fitting_definition* fitted = find_fitting(known, into);
  (fitted == nullptr ? known.asked_for : fitted->looked_at) = scheduler::current().now();
  if (!was_told)
    log::warn("a table can't be looked at: batches go by what was known of it",
              {{"table", into.name}, {"reason", failure}});
}

task<void> session::compare_again(const table_definition& into) {
  if (find_fitting(home_->tables[into.name], into) != nullptr) {
    task<std::optional<std::vector<std::string>>> finding = find_differences(into);
    std::optional<std::vector<std::string>> differences = co_await std::move(finding);
    if (differences) require_no_differences(into, *differences);  // where it is gone, the server says so
    co_return;
  }
  task<void> asking = run_text(known_table_sql(into.name), "look at a table again");
  co_await std::move(asking);
  known_table& now = home_->tables[into.name];
  std::vector<fitting_definition> fits = std::move(now.fits);
  now = known_table_from(answers_.at(0), answers_.at(1));
  now.fits = std::move(fits);
}

// Other databases compare the key with the table's at each statement; here rows that repeat it would be stored. Of a
// table that fits, look_again sees to it.
bool session::should_ask_for_key(const table_definition& into) const {
  if (into.unique_key.empty()) return false;
  auto table = home_->tables.find(into.name);
  if (table != home_->tables.end() && find_fitting(table->second, into) != nullptr) return false;
  return std::none_of(home_->keys.begin(), home_->keys.end(), [&](const confirmed_key& known) {
    return known.table == into.name && known.columns == into.unique_key;
  });
}

// Of views nobody tells the keys, nor of temporary tables what they are.
task<void> session::require_key(const table_definition& into) {
  std::string questions =
      "SELECT TABLE_TYPE LIKE '%VIEW' FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND "
      "TABLE_NAME = ";
  append_quoted(questions, into.name);
  questions += ";" + unique_keys_sql(into.name);
  task<void> asking = run_text(std::move(questions), "look for a table's unique key");
  co_await std::move(asking);
  const text_result& kind = answers_.at(0);
  if (kind.rows.empty()) co_return;
  const std::vector<unique_index> indexes = unique_indexes_of(answers_.at(1));
  bool has_key = kind.rows[0][0] == "1" || std::any_of(indexes.begin(), indexes.end(), [&](const auto& index) {
                   return same_columns(index.columns, into.unique_key);
                 });
  if (!has_key)
    throw database_error(db_errc::syntax, at_.to_string() + ", insert into " + into.name +
                                              ": the table has no unique index on " + name_list(into.unique_key) +
                                              ", its definition's unique_key, and would store repeats");
  std::vector<confirmed_key>& keys = home_->keys;
  if (keys.size() == most_confirmed_keys) keys.erase(keys.begin());
  keys.push_back({into.name, into.unique_key});
}

}  // namespace penstock::db::mariadb

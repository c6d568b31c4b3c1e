#include "batch_insertion.h"
#include "penstock/db/error.h"
#include "sql.h"
#include "wire_text.h"

#include <algorithm>
#include <utility>

#include <mysqld_error.h>

// Refusals that are no row's fault: of what the table gives to its rows itself.

namespace penstock::db::mariadb {
namespace {

constexpr std::size_t most_doubts = 4;
constexpr unsigned no_id_left = 167;  // HA_ERR_AUTOINC_ERANGE, as MariaDB tells it

// The column of "Out of range value for column 'id' at row 1", in whatever language.
std::string_view quoted_first(std::string_view said) {
  std::size_t begin = said.find('\'');
  std::size_t end = begin == said.npos ? said.npos : said.find('\'', begin + 1);
  return end == said.npos ? std::string_view() : said.substr(begin + 1, end - begin - 1);
}

// The key of "Duplicate entry '7' for key 'PRIMARY'".
std::string_view quoted_last(std::string_view said) {
  std::size_t end = said.rfind('\'');
  std::size_t begin = end == 0 || end == said.npos ? said.npos : said.rfind('\'', end - 1);
  return begin == said.npos ? std::string_view() : said.substr(begin + 1, end - begin - 1);
}

// The whole number at the start of a value that was met.
std::string_view number_of_entry(std::string_view said) {
  std::string_view entry = quoted_first(said);
  return entry.substr(0, entry.find_first_not_of("0123456789"));
}

// Its partitions, its triggers, and of what its columns are made.
std::string facts_sql(const std::string& table) {
  std::string name;
  append_quoted(name, table);
  return "SELECT DISTINCT CONCAT_WS(' ', PARTITION_EXPRESSION, SUBPARTITION_EXPRESSION) FROM "
         "information_schema.PARTITIONS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = " +
         name +
         ";SELECT 1 FROM information_schema.TRIGGERS WHERE EVENT_MANIPULATION = 'INSERT' AND EVENT_OBJECT_SCHEMA = "
         "DATABASE() AND EVENT_OBJECT_TABLE = " +
         name +
         ";SELECT COLUMN_NAME, EXTRA, COLUMN_DEFAULT FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() "
         "AND TABLE_NAME = " +
         name;
}

// Of a generated column, and of a default that reads others: what a row fills may have decided. MySQL says
// DEFAULT_GENERATED of any default that it computes.
bool is_made_of_others(const std::vector<std::optional<std::string>>& column) {
  bool is_generated = column.at(1).value_or("").find(" GENERATED") != std::string::npos;
  return is_generated || column.at(2).value_or("").find_first_of("\"`") != std::string::npos;
}

}  // namespace

// A trigger may give an id, or have met a key of another table; of those behind a view nobody knows.
void batch_insertion::note_doubt(const complaint& said) {
  bool may_be_tables = said.code == ER_DUP_ENTRY || said.code == ER_WARN_DATA_OUT_OF_RANGE || said.code == no_id_left ||
                       said.code == ER_NO_PARTITION_FOR_GIVEN_VALUE;
  if (!may_be_tables || has_triggers_ || doubts_.size() >= most_doubts) return;
  bool is_known = std::any_of(doubts_.begin(), doubts_.end(), [&](const complaint& known) {
    return known.code == said.code && quoted_last(known.message) == quoted_last(said.message);
  });
  if (!is_known) doubts_.push_back(said);
}

// Throws where one of these is the table's.
task<std::optional<complaint>> batch_insertion::settle_doubts() {
  std::vector<complaint> doubts = std::exchange(doubts_, {});
  text_ = unique_keys_sql(into_->name) + ";" + facts_sql(into_->name);
  task<bool> asking = wire_->run(text_, answers_, 4);
  bool answered = co_await std::move(asking);
  if (!answered) co_return wire_->complaint_of_session();
  if (!answers_[2].rows.empty()) co_return std::nullopt;
  const std::vector<unique_index> indexes = unique_indexes_of(answers_[0]);
  const bool rows_decide_partition = may_decide_partition(answers_[1], answers_[3]);
  for (const complaint& said : doubts) {
    db_errc errc = db_errc::table_drift;
    const char* why = nullptr;
    bool is_out_of_range = said.code == ER_WARN_DATA_OUT_OF_RANGE || said.code == no_id_left;
    if (is_out_of_range && same_name(quoted_first(said.message), into_->id_column)) {
      errc = db_errc::full;
      why = "the table has no id left";
    } else if (said.code == ER_NO_PARTITION_FOR_GIVEN_VALUE && !rows_decide_partition) {
      why = "no partition takes what rows are given whatever they are";
    } else if (said.code == ER_DUP_ENTRY && is_of_ids(indexes, quoted_last(said.message))) {
      // Of an account that sees no triggers, one of these may have met a key of another table.
      std::string_view id = number_of_entry(said.message);
      if (id.empty()) continue;
      text_ = "SELECT 1 FROM " + quote_identifier(into_->name) + " WHERE " + quote_identifier(into_->id_column) + " = ";
      text_ += id;
      task<bool> looking = wire_->run(text_, answers_, 1);
      bool looked = co_await std::move(looking);
      if (!looked) co_return wire_->complaint_of_session();
      if (!answers_.front().rows.empty()) why = "the table gives rows ids that others have";
    }
    if (why != nullptr)
      throw database_error(errc,
                           std::string(facts_->is_mariadb ? "MariaDB" : "MySQL") + ", insert into " + into_->name +
                               ": " + why + ": " + said.message,
                           static_cast<int>(said.code), said.sqlstate);
  }
  co_return std::nullopt;
}

// MySQL writes a key behind its table: 't.PRIMARY'.
bool batch_insertion::is_of_ids(const std::vector<unique_index>& indexes, std::string_view key) const {
  return std::any_of(indexes.begin(), indexes.end(), [&](const unique_index& index) {
    bool is_met = same_name(facts_->is_mariadb ? index.name : into_->name + "." + index.name, key);
    return is_met && std::any_of(index.columns.begin(), index.columns.end(),
                                 [&](const std::string& column) { return same_name(column, into_->id_column); });
  });
}

bool batch_insertion::may_decide_partition(const text_result& partitions, const text_result& columns) const {
  // Where the server writes columns in quotes, others are functions.
  auto is_in = [](const std::string& expression, const std::string& column) {
    if (expression.find_first_of("\"`") == expression.npos) return names(expression, column);
    return names(expression, quote_identifier(column)) || names(expression, "`" + column + "`");
  };
  auto decides = [&](const std::string& column) {
    return std::any_of(partitions.rows.begin(), partitions.rows.end(),
                       [&](const auto& row) { return is_in(row.at(0).value_or(""), column); });
  };
  return std::any_of(into_->columns.begin(), into_->columns.end(),
                     [&](const table_column& c) { return !c.given_by_writer && decides(c.name); }) ||
         std::any_of(columns.rows.begin(), columns.rows.end(),
                     [&](const auto& row) { return is_made_of_others(row) && decides(row.at(0).value_or("")); });
}

}  // namespace penstock::db::mariadb

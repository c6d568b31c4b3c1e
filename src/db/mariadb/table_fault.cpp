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

// The key of "Duplicate entry '7' for key 'PRIMARY'", which MySQL writes behind its table: 't.PRIMARY'.
std::string_view quoted_last(std::string_view said) {
  std::size_t end = said.rfind('\'');
  std::size_t begin = end == 0 || end == said.npos ? said.npos : said.rfind('\'', end - 1);
  if (begin == said.npos) return {};
  std::string_view key = said.substr(begin + 1, end - begin - 1);
  return key.substr(key.rfind('.') + 1);  // of a name without a point, all
}

std::string partitions_and_triggers_sql(const std::string& table) {
  std::string name;
  append_quoted(name, table);
  return "SELECT DISTINCT CONCAT_WS(' ', PARTITION_EXPRESSION, SUBPARTITION_EXPRESSION) FROM "
         "information_schema.PARTITIONS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = " +
         name +
         ";SELECT 1 FROM information_schema.TRIGGERS WHERE EVENT_MANIPULATION = 'INSERT' AND EVENT_OBJECT_SCHEMA = "
         "DATABASE() AND EVENT_OBJECT_TABLE = " +
         name;
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
  text_ = unique_keys_sql(into_->name) + ";" + partitions_and_triggers_sql(into_->name);
  task<bool> asking = wire_->run(text_, answers_, 3);
  bool answered = co_await std::move(asking);
  if (!answered) co_return wire_->complaint_of_session();
  if (!answers_[2].rows.empty()) co_return std::nullopt;
  const std::vector<unique_index> indexes = unique_indexes_of(answers_[0]);
  auto is_id = [this](std::string_view column) { return same_name(column, into_->id_column); };
  auto is_over_ids = [&](const unique_index& index) {
    return std::any_of(index.columns.begin(), index.columns.end(), is_id);
  };
  auto decides_partition = [this](const table_column& column) {
    return std::any_of(answers_[1].rows.begin(), answers_[1].rows.end(),
                       [&](const auto& row) { return names(row.at(0).value_or(""), column.name); });
  };
  for (const complaint& said : doubts) {
    db_errc errc = db_errc::table_drift;
    const char* why = nullptr;
    bool is_out_of_range = said.code == ER_WARN_DATA_OUT_OF_RANGE || said.code == no_id_left;
    if (is_out_of_range && is_id(quoted_first(said.message))) {
      errc = db_errc::full;
      why = "the table has no id left";
    } else if (said.code == ER_DUP_ENTRY) {
      auto met = std::find_if(indexes.begin(), indexes.end(), [&](const unique_index& index) {
        return same_name(index.name, quoted_last(said.message)) && is_over_ids(index);
      });
      if (met != indexes.end()) why = "the table gives rows ids that others have";
    } else if (said.code == ER_NO_PARTITION_FOR_GIVEN_VALUE &&
               std::none_of(into_->columns.begin(), into_->columns.end(), decides_partition)) {
      why = "no partition takes what the table itself fills in";
    }
    if (why != nullptr)
      throw database_error(errc, "MariaDB, insert into " + into_->name + ": " + why + ": " + said.message,
                           static_cast<int>(said.code), said.sqlstate);
  }
  co_return std::nullopt;
}

}  // namespace penstock::db::mariadb

#pragma once

// What the tests of batches on a real MariaDB share.

#include "mariadb_server.h"
#include <penstock/db/row_batch.h>

#include <algorithm>
#include <array>
#include <map>

namespace penstock::db {

class batch_test : public mariadb_test {
 public:
  static constexpr std::array<const char*, 4> ways = {"", without_files, without_arrays, "bulk=values"};
  static std::string name_of_way(const ::testing::TestParamInfo<const char*>& info) {
    std::string way = info.param;
    std::replace_if(
        way.begin(), way.end(), [](char c) { return c == ' ' || c == '='; }, '_');
    return way.empty() ? "automatic" : way;
  }

 protected:
  // An even `n` below 1,000,000, and a name that is unique.
  std::string table_sql() const {
    return "CREATE TABLE t(id BIGINT AUTO_INCREMENT PRIMARY KEY, n INT NOT NULL CHECK (n % 2 = 0), "
           "name VARCHAR(20) COLLATE " +
           std::string(is_mysql() ? "utf8mb4_0900_bin" : "utf8mb4_nopad_bin") +
           ", code INT UNIQUE, UNIQUE KEY by_name (name))";
  }
  const table_definition table{
      "t",
      "id",
      {{"n", column_type::integer, true}, {"name", column_type::text}, {"code", column_type::integer}},
      {"name"}};

  static void add(row_batch& rows, std::optional<std::int64_t> n, std::string_view name,
                  std::optional<std::int64_t> code = {}) {
    n ? rows.add_integer(*n) : rows.add_null();
    rows.add_text(name);
    code ? rows.add_integer(*code) : rows.add_null();
    rows.commit_row();
  }

  static void add_good(row_batch& rows, int count, const std::string& prefix = "row") {
    for (int i = 0; i < count; ++i) add(rows, 2 * i, prefix + std::to_string(i));
  }

  template <class Body>
  void with_table(Body body, const char* way) {
    auto whole = [&](connection& c) -> task<> {
      co_await c.execute(table_sql());
      const row_batch none(3);
      batch_report report;
      co_await c.insert_batch(table, none, report);  // the first one looks for the key
      task<void> running = body(c);
      co_await std::move(running);
    };
    with_session(whole, way);
  }

  // What is stored is what the report says is stored, under the ids that it says.
  task<void> expect_stored(connection& c, const row_batch& rows, const batch_report& report, std::size_t before = 0) {
    task<result> asking = c.query("SELECT id, n, name FROM t");
    result found = co_await std::move(asking);
    std::map<std::int64_t, std::pair<value, value>> there;
    for (auto& row : found.rows) there[std::get<std::int64_t>(row[0])] = {row[1], row[2]};
    std::size_t stored = 0;
    for (std::size_t r = 0; r < rows.rows(); ++r) {
      if (report.rows.at(r).what != row_outcome::status::stored) continue;
      ++stored;
      const auto& [n, name] = there[report.rows[r].id];
      EXPECT_EQ(n, value(rows.row(r)[0].integer)) << "row " << r;
      EXPECT_EQ(name, value(std::string(rows.row(r)[1].text()))) << "row " << r;
    }
    EXPECT_EQ(found.rows.size(), stored + before);
  }

  static std::string_view code_of(const batch_report& report, std::size_t row) {
    std::int32_t place = report.rows.at(row).refusal;
    return place < 0 ? std::string_view() : report.refusals.at(static_cast<std::size_t>(place)).code;
  }
};

}  // namespace penstock::db

#pragma once

// Values on their way into a table and back, by batches and by parameters.

#include <penstock/db/connection.h>

#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

namespace penstock::db {

// Which value comes back for one that was stored.
using stored_form = std::function<value(const value&)>;

inline value unchanged(const value& v) { return v; }

// A row of one value.
inline void add_row_of(const value& v, row_batch& to) {
  auto add_held = [&](const auto& held) {
    using T = std::decay_t<decltype(held)>;
    if constexpr (std::is_same_v<T, std::monostate>)
      to.add_null();
    else if constexpr (std::is_same_v<T, std::int64_t>)
      to.add_integer(held);
    else if constexpr (std::is_same_v<T, double>)
      to.add_real(held);
    else if constexpr (std::is_same_v<T, bool>)
      to.add_boolean(held);
    else if constexpr (std::is_same_v<T, timestamp>)
      to.add_timestamp(held);
    else if constexpr (std::is_same_v<T, blob>)
      to.add_blob(held.bytes);
    else
      to.add_text(held);
  };
  std::visit(add_held, v);
  to.commit_row();
}

// -0.0 is not 0.0 here.
inline bool same_value(const value& a, const value& b) {
  const auto* x = std::get_if<double>(&a);
  const auto* y = std::get_if<double>(&b);
  if (x != nullptr && y != nullptr) return *x == *y && std::signbit(*x) == std::signbit(*y);
  return a == b;
}

// A table of one column, "v", with ids.
inline table_definition table_of(std::string name, column_type type) {
  return {std::move(name), "id", {{"v", type, false}}, {}};
}

// Stores the values in one batch and finds each under the id that was reported.
inline task<void> expect_back_from_batch(connection& c, const table_definition& table, const std::vector<value>& values,
                                         stored_form as_stored, batch_report& report) {
  row_batch rows(1);
  for (const value& v : values) add_row_of(v, rows);
  task<void> inserting = c.insert_batch(table, rows, report);
  co_await std::move(inserting);
  for (const row_refusal& refusal : report.refusals) ADD_FAILURE() << refusal.message;
  std::map<std::int64_t, value> stored;
  task<result> asking = c.query("SELECT id, v FROM " + quote_identifier(table.name));
  result found = co_await std::move(asking);
  for (auto& row : found.rows) stored.emplace(std::get<std::int64_t>(row[0]), std::move(row[1]));
  for (std::size_t i = 0; i < values.size(); ++i)
    EXPECT_TRUE(same_value(stored[report.rows.at(i).id], as_stored(values[i])))
        << "value " << i << " of a batch of " << values.size();
}

// Stores the values one by one, as parameters, and empties the table for each.
inline task<void> expect_back_from_parameters(connection& c, const table_definition& table,
                                              const std::vector<value>& values, stored_form as_stored) {
  std::string name = quote_identifier(table.name);
  for (std::size_t i = 0; i < values.size(); ++i) {
    task<std::uint64_t> clearing = c.execute("DELETE FROM " + name);
    co_await std::move(clearing);
    task<std::uint64_t> inserting = c.execute("INSERT INTO " + name + "(v) VALUES (?)", parameters_of(values[i]));
    EXPECT_EQ(co_await std::move(inserting), 1u);
    task<result> asking = c.query("SELECT v FROM " + name);
    result found = co_await std::move(asking);
    EXPECT_TRUE(same_value(found.rows.at(0).at(0), as_stored(values[i]))) << "parameter " << i;
  }
}

}  // namespace penstock::db

#pragma once

#include "conformance_fixture.h"

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

namespace penstock::db {

// With a table of numbers.
class conformance_numbers : public conformance_test {
 protected:
  static table_definition numbers() { return {table_name(), "id", {{"x", column_type::integer, true}}, {}}; }
  static std::string table() { return quote_identifier(table_name()); }

  // Makes it.
  void with_numbers(std::function<task<>(database&, connection&)> body) {
    with_connection([&](database& here, connection& c) -> task<> {
      table_definition wanted = numbers();
      task<void> preparing = c.prepare_table(wanted);
      co_await std::move(preparing);
      task<void> running = body(here, c);
      co_await std::move(running);
    });
  }

  static task<std::uint64_t> insert(connection& c, std::int64_t x) {
    return c.execute("INSERT INTO " + table() + "(x) VALUES (?)", parameters_of(x));
  }

  static task<void> fill(connection& c, std::size_t rows_wanted) {
    table_definition wanted = numbers();
    row_batch rows(1);
    for (std::size_t i = 0; i < rows_wanted; ++i) {
      rows.add_integer(static_cast<std::int64_t>(i));
      rows.commit_row();
    }
    batch_report report;
    task<void> inserting = c.insert_batch(wanted, rows, report);
    co_await std::move(inserting);
  }

  static task<std::int64_t> stored(connection& c) { return count(c, table()); }

  std::string lock_timeout_setting() const {
    return is_postgresql() ? "SET lock_timeout = '100ms'" : "SET innodb_lock_wait_timeout = 1";
  }
};

}  // namespace penstock::db

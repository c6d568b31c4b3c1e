#pragma once

#include <penstock/db/connection.h>
#include <penstock/db/error.h>

#include <string>

#include <gtest/gtest.h>

namespace penstock::db {

// What preparing the table complains of; nothing when it fits.
inline task<std::string> drift_of(connection& c, const table_definition& wanted) {
  try {
    task<void> preparing = c.prepare_table(wanted);
    co_await std::move(preparing);
  } catch (const database_error& e) {
    EXPECT_EQ(e.errc(), db_errc::table_drift);
    co_return e.message();
  }
  co_return "";
}

}  // namespace penstock::db

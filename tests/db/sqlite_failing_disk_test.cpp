#include "failing_writes.h"
#include "temporary_folder.h"
#include <penstock/db/connection.h>
#include <penstock/db/error.h>
#include <penstock/net/event_loop.h>

#include <memory>
#include <string>

#include <gtest/gtest.h>

namespace penstock::db {
namespace {

// It was told as an error like any other, behind which nothing is stored.
TEST(sqlite, a_commit_that_the_disk_refused_is_undone_but_told_as_ambiguous) {
  temporary_folder folder;
  failing_writes disk;
  auto main = [&]() -> task<> {
    database file(folder.url("shop.db"));
    std::unique_ptr<connection> c = co_await file.connect();
    co_await c->execute("CREATE TABLE t(n INTEGER)");
    co_await c->begin();
    co_await c->execute("INSERT INTO t VALUES (1)");
    disk.fail_next(1);
    std::string told;
    try {
      co_await c->commit();
    } catch (const database_error& e) {
      EXPECT_EQ(e.errc(), db_errc::ambiguous_commit) << e.message();
      EXPECT_EQ(e.server_code() & 0xff, SQLITE_IOERR);
      told = e.message();
    }
    EXPECT_NE(told.find("may be there after a crash"), std::string::npos) << told;
    EXPECT_EQ(disk.left(), 0);
    co_await c->rollback();
    co_await c->begin();
    co_await c->execute("INSERT INTO t VALUES (2)");
    co_await c->commit();
    result all = co_await c->query("SELECT n FROM t");
    EXPECT_EQ(all.rows.size(), 1u);
    EXPECT_EQ(all.rows.at(0).at(0), value(std::int64_t{2}));
  };
  net::run(main());
}

}  // namespace
}  // namespace penstock::db

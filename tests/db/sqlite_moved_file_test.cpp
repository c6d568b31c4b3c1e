#include "sqlite_moved_file.h"

#include <penstock/net/event_loop.h>
#include <penstock/observe/log_capture.h>
#include <penstock/testing/assertions.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

// Files that are moved, replaced or deleted while they are open. SQLite finds FILE-wal by the path alone: what it holds
// belongs into the moved file, and not into another one that is put there.

namespace penstock::db {
namespace {

// Each on a session of its own: one that failed so is of no use any more.
task<> expect_no_use_of(std::vector<std::unique_ptr<connection>> sessions) {
  const std::vector<std::function<task<>(connection&)>> uses = {
      [](connection& c) -> task<> {
        task<result> reading = c.query("SELECT * FROM t");
        co_await std::move(reading);
      },
      [](connection& c) -> task<> {
        task<std::uint64_t> writing = c.execute("INSERT INTO t VALUES (2)");
        co_await std::move(writing);
      },
      [](connection& c) { return c.begin(); },
      [](connection& c) { return c.ping(); },
  };
  CO_ASSERT_EQ(sessions.size(), uses.size());
  for (std::size_t i = 0; i < uses.size(); ++i) {
    task<db_errc> using_it = failure_of(uses[i](*sessions[i]));
    EXPECT_EQ(co_await std::move(using_it), db_errc::connection_lost) << i;
    EXPECT_EQ(sessions[i]->state(), session_state::dead) << i;
  }
}

TEST(sqlite_moved_file, one_that_was_moved_away_is_not_used_until_it_is_back) {
  temporary_folder folder;
  auto main = [&]() -> task<> {
    database file(folder.url("a.db"));
    std::unique_ptr<connection> c = co_await file.connect();
    co_await c->execute("CREATE TABLE t(x)");
    co_await c->begin();
    co_await c->execute("INSERT INTO t VALUES (1)");
    std::vector<std::unique_ptr<connection>> sessions;
    for (int i = 0; i < 4; ++i) sessions.push_back(co_await file.connect());
    std::filesystem::rename(folder / "a.db", folder / "away.db");

    task<db_errc> committing = failure_of(c->commit());
    EXPECT_EQ(co_await std::move(committing), db_errc::connection_lost);
    task<> using_them = expect_no_use_of(std::move(sessions));
    co_await std::move(using_them);
    c->close();
    auto connecting = [&]() -> task<> { co_await file.connect(); };
    task<db_errc> opening = failure_of(connecting());
    EXPECT_EQ(co_await std::move(opening), db_errc::connection_lost);
    EXPECT_FALSE(std::filesystem::exists(folder / "a.db")) << "an empty file hides what happened";

    std::filesystem::rename(folder / "away.db", folder / "a.db");
    c = co_await file.connect();
    result left = co_await c->query("SELECT count(*) FROM t");
    EXPECT_EQ(std::get<std::int64_t>(left.rows[0][0]), 0);
  };
  net::run(main());
}

// As of a folder whose rights were taken away, which root would not notice.
TEST(sqlite_moved_file, one_whose_path_can_not_be_followed_is_told_so) {
  temporary_folder folder;
  log::capture logged;
  auto main = [&]() -> task<> {
    std::filesystem::create_directory(folder / "inner");
    database file(folder.url("inner/a.db"));
    std::unique_ptr<connection> c = co_await file.connect();
    co_await c->execute("CREATE TABLE t(x)");
    std::filesystem::rename(folder / "inner", folder / "away");
    std::filesystem::create_directory_symlink("inner", folder / "inner");
    std::string message;
    try {
      co_await c->execute("INSERT INTO t VALUES (1)");
    } catch (const database_error& e) {
      message = e.message();
    }
    EXPECT_NE(message.find("(Too many levels of symbolic links)"), std::string::npos) << message;
    c->close();
    std::filesystem::remove(folder / "inner");
    std::filesystem::rename(folder / "away", folder / "inner");
    c = co_await file.connect();
    co_await c->execute("INSERT INTO t VALUES (1)");
  };
  net::run(main());
  EXPECT_NE(logged.text().find("reason=\"Too many levels of symbolic links\""), std::string::npos) << logged.text();
}

TEST(sqlite_moved_file, each_file_keeps_its_rows_when_another_is_put_in_its_place) {
  temporary_folder folder;
  auto main = [&]() -> task<> {
    task<> making = make_file(folder.url("b.db"), "customers", 3000);
    co_await std::move(making);
    database file(folder.url("a.db"));
    std::unique_ptr<connection> c = co_await file.connect();
    std::unique_ptr<connection> idle = co_await file.connect();
    task<> filling = fill(*c, "items", 200);
    co_await std::move(filling);
    co_await idle->query("SELECT * FROM items");
    std::filesystem::rename(folder / "a.db", folder / "away.db");
    std::filesystem::rename(folder / "b.db", folder / "a.db");

    task<> beginning = expect_lost(c->begin());
    co_await std::move(beginning);
    EXPECT_EQ(idle->state(), session_state::dead) << "it keeps the old file's -shm in use";
    c = co_await file.connect();
    co_await c->execute("INSERT INTO customers(x) VALUES (3001)");
    task<> old_rows = expect_rows(folder.url("away.db"), "items", 200);
    co_await std::move(old_rows);
    task<> new_rows = expect_rows(folder.url("a.db"), "customers", 3001);
    co_await std::move(new_rows);
  };
  net::run(main());
}

TEST(sqlite_moved_file, a_session_that_is_opened_may_be_the_first_to_notice) {
  temporary_folder folder;
  auto main = [&]() -> task<> {
    task<> making = make_file(folder.url("b.db"), "customers", 3000);
    co_await std::move(making);
    database file(folder.url("a.db"));
    std::unique_ptr<connection> idle = co_await file.connect();
    task<> filling = fill(*idle, "items", 200);
    co_await std::move(filling);
    co_await idle->begin();
    co_await idle->execute("INSERT INTO items(x) VALUES (201)");
    std::filesystem::rename(folder / "a.db", folder / "away.db");
    task<> opening = expect_lost(connect_to(file));
    co_await std::move(opening);
    EXPECT_FALSE(std::filesystem::exists(folder / "a.db")) << "an empty file hides what happened";
    EXPECT_EQ(idle->state(), session_state::dead);
    task<> inserting =
        expect_lost([](connection& c) -> task<> { co_await c.execute("INSERT INTO items(x) VALUES (202)"); }(*idle));
    co_await std::move(inserting);

    std::filesystem::rename(folder / "b.db", folder / "a.db");
    std::unique_ptr<connection> c = co_await file.connect();
    co_await c->execute("INSERT INTO customers(x) VALUES (3001)");
    task<> old_rows = expect_rows(folder.url("away.db"), "items", 200);
    co_await std::move(old_rows);
    task<> new_rows = expect_rows(folder.url("a.db"), "customers", 3001);
    co_await std::move(new_rows);
  };
  net::run(main());
}

TEST(sqlite_moved_file, one_put_in_place_before_anybody_notices_is_opened_without_the_old_rows) {
  temporary_folder folder;
  auto main = [&]() -> task<> {
    task<> making = make_file(folder.url("b.db"), "customers", 3000);
    co_await std::move(making);
    std::unique_ptr<connection> idle = co_await database(folder.url("a.db")).connect();
    task<> filling = fill(*idle, "items", 200);
    co_await std::move(filling);
    std::filesystem::create_hard_link(folder / "a.db", folder / "away.db");
    std::filesystem::rename(folder / "b.db", folder / "a.db");
    // Of another database object: what sessions of a file know of each other goes by the file.
    task<> new_rows = expect_rows(folder.url("a.db"), "customers", 3000);
    co_await std::move(new_rows);
    EXPECT_EQ(idle->state(), session_state::dead);
    task<> old_rows = expect_rows(folder.url("away.db"), "items", 200);
    co_await std::move(old_rows);
  };
  net::run(main());
}

TEST(sqlite_moved_file, has_all_rows_when_its_sessions_are_closed_before_anybody_notices) {
  temporary_folder folder;
  auto main = [&]() -> task<> {
    std::unique_ptr<connection> other = co_await database(folder.url("a.db")).connect();
    std::unique_ptr<connection> c = co_await database(folder.url("a.db")).connect();
    task<> filling = fill(*c, "items", 200);
    co_await std::move(filling);
    std::filesystem::rename(folder / "a.db", folder / "away.db");
    c.reset();
    other.reset();  // and with it what this process knew of the file
    EXPECT_EQ(std::filesystem::file_size(folder / "a.db-wal"), 0u);
    task<> old_rows = expect_rows(folder.url("away.db"), "items", 200);
    co_await std::move(old_rows);
    task<> making = make_file(folder.url("a.db"), "customers", 10);
    co_await std::move(making);
    task<> new_rows = expect_rows(folder.url("a.db"), "customers", 10);
    co_await std::move(new_rows);
  };
  net::run(main());
}

TEST(sqlite_moved_file, one_that_was_deleted_leaves_its_last_commits_to_a_copy_and_not_to_the_next_one) {
  temporary_folder folder;
  auto main = [&]() -> task<> {
    database file(folder.url("a.db"));
    std::unique_ptr<connection> c = co_await file.connect();
    task<> filling = fill(*c, "items", 200);
    co_await std::move(filling);
    // As `mv` to another disk.
    std::filesystem::copy_file(folder / "a.db", folder / "copy.db");
    std::filesystem::remove(folder / "a.db");
    task<> pinging = expect_lost(c->ping());
    co_await std::move(pinging);
    task<> opening = expect_lost(connect_to(file));
    co_await std::move(opening);
    task<> making = make_file(folder.url("b.db"), "customers", 3000);
    co_await std::move(making);
    std::filesystem::rename(folder / "b.db", folder / "a.db");
    task<> new_rows = expect_rows(folder.url("a.db"), "customers", 3000);
    co_await std::move(new_rows);
    std::filesystem::rename(folder / "a.db-wal.left-1", folder / "copy.db-wal");
    task<> old_rows = expect_rows(folder.url("copy.db"), "items", 200);
    co_await std::move(old_rows);
  };
  net::run(main());
}

TEST(sqlite_moved_file, the_wal_of_the_file_that_replaced_it_is_left_where_it_is) {
  temporary_folder folder;
  auto main = [&]() -> task<> {
    database file(folder.url("a.db"));
    std::unique_ptr<connection> c = co_await file.connect();
    task<> filling = fill(*c, "items", 200);
    co_await std::move(filling);
    // Another whole database with commits in its -wal.
    std::unique_ptr<connection> other = co_await database(folder.url("b.db")).connect();
    task<> filling_other = fill(*other, "customers", 3000);
    co_await std::move(filling_other);
    std::filesystem::copy_file(folder / "b.db-wal", folder / "new-wal");
    std::filesystem::copy_file(folder / "b.db", folder / "new");
    std::filesystem::rename(folder / "new-wal", folder / "a.db-wal");
    std::filesystem::rename(folder / "new", folder / "a.db");
    task<> pinging = expect_lost(c->ping());
    co_await std::move(pinging);
    // This process can't know whose it is; the next one opens it.
    task<> opening = expect_lost(connect_to(file));
    co_await std::move(opening);
    c.reset();
    file = database(folder.url("b.db"));
    task<> new_rows = expect_rows(folder.url("a.db"), "customers", 3000);
    co_await std::move(new_rows);
  };
  net::run(main());
}

TEST(sqlite_moved_file, ends_those_who_read_it) {
  temporary_folder folder;
  auto main = [&]() -> task<> {
    database file(folder.url("a.db"));
    std::unique_ptr<connection> c = co_await file.connect();
    std::unique_ptr<connection> reader = co_await file.connect();
    task<> filling = fill(*c, "items", 200);
    co_await std::move(filling);
    std::size_t read = 0;
    auto take = [&](const result& some) -> task<void> {
      read += some.rows.size();
      if (read > 10) co_return;
      std::filesystem::rename(folder / "a.db", folder / "away.db");
      task<> pinging = expect_lost(c->ping());
      co_await std::move(pinging);
      EXPECT_EQ(std::filesystem::file_size(folder / "a.db-wal"), 0u);
    };
    auto reading = [&]() -> task<> {
      task<std::uint64_t> all = reader->query_each("SELECT * FROM items", parameters(), take, 10);
      co_await std::move(all);
    };
    task<> losing = expect_lost(reading());
    co_await std::move(losing);
    EXPECT_EQ(read, 10u);
    task<> old_rows = expect_rows(folder.url("away.db"), "items", 200);
    co_await std::move(old_rows);
  };
  net::run(main());
}

}  // namespace
}  // namespace penstock::db

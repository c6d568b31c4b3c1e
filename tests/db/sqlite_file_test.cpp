#include "temporary_folder.h"
#include <penstock/async/gather.h>
#include <penstock/db/connection.h>
#include <penstock/db/error.h>
#include <penstock/net/event_loop.h>
#include <penstock/testing/assertions.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <vector>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

// Files that can't be opened, and files that several open at once.

namespace penstock::db {
namespace {

std::string message_of_opening(const std::string& url) {
  auto main = [](database file) -> task<> { co_await file.connect(); };
  try {
    net::run(main(database(url)));
  } catch (const database_error& e) {
    EXPECT_FALSE(e.is_transient()) << e.message() << ": a pool would try it again and again";
    return e.message();
  }
  return "opened";
}

void expect_named(const std::string& message, const std::string& path, const std::string& advice) {
  EXPECT_NE(message.find("'" + path + "'"), std::string::npos) << message;
  EXPECT_NE(message.find(advice), std::string::npos) << message;
}

TEST(sqlite_file, a_missing_folder_is_named) {
  temporary_folder folder;
  std::string path = (folder / "no/such/shop.db").string();
  expect_named(message_of_opening("sqlite:" + path), path,
               "the folder '" + (folder / "no/such").string() + "' does not exist: create it");
}

TEST(sqlite_file, a_folder_in_place_of_a_file_is_named) {
  temporary_folder folder;
  std::string path = (folder / "").string();
  expect_named(message_of_opening("sqlite:" + path), path, "it is a folder");
}

TEST(sqlite_file, a_file_that_is_no_database_is_named) {
  temporary_folder folder;
  std::ofstream(folder / "letter.txt") << std::string(4096, 'x');
  expect_named(message_of_opening(folder.url("letter.txt")), (folder / "letter.txt").string(), "no SQLite database");
}

TEST(sqlite_file, a_url_with_an_unknown_or_bad_option_is_refused) {
  EXPECT_THROW(database("sqlite:a.db?mode=fast"), database_error);
  EXPECT_THROW(database("sqlite:a.db?busy_timeout=soon"), database_error);
  EXPECT_THROW(database("sqlite:?busy_timeout=1s"), database_error);
  EXPECT_EQ(database("sqlite:a.db?busy_timeout=1s").name(), "sqlite:a.db?busy_timeout=1s");
}

TEST(sqlite_file, is_in_wal_mode_and_syncs_each_commit) {
  temporary_folder folder;
  auto main = [&]() -> task<> {
    std::unique_ptr<connection> c = co_await database(folder.url("a.db")).connect();
    result mode = co_await c->query("PRAGMA journal_mode");
    EXPECT_EQ(std::get<std::string>(mode.rows[0][0]), "wal");
    result sync = co_await c->query("PRAGMA synchronous");
    EXPECT_EQ(std::get<std::int64_t>(sync.rows[0][0]), 2);
  };
  net::run(main());
}

task<db_errc> failure_of(task<void> work) {
  try {
    co_await std::move(work);
  } catch (const database_error& e) {
    co_return e.errc();
  }
  ADD_FAILURE() << "did not fail";
  co_return db_errc::other;
}

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

TEST(sqlite_file, one_that_was_moved_away_is_not_used_until_it_is_back) {
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

TEST(sqlite_file, one_that_was_replaced_is_opened_anew) {
  temporary_folder folder;
  auto main = [&]() -> task<> {
    for (const char* name : {"a.db", "b.db"}) {
      std::unique_ptr<connection> c = co_await database(folder.url(name)).connect();
      co_await c->execute("CREATE TABLE t(x)");
    }
    database file(folder.url("a.db"));
    std::unique_ptr<connection> c = co_await file.connect();
    result some = co_await c->query("SELECT * FROM t");
    std::filesystem::rename(folder / "b.db", folder / "a.db");
    task<db_errc> beginning = failure_of(c->begin());
    EXPECT_EQ(co_await std::move(beginning), db_errc::connection_lost);
    c->close();
    c = co_await file.connect();
    co_await c->execute("INSERT INTO t VALUES (1)");
  };
  net::run(main());
}

TEST(sqlite_file, sessions_that_open_a_new_file_at_once_all_succeed) {
  temporary_folder folder;
  auto main = [&]() -> task<> {
    for (int round = 0; round < 10; ++round) {
      database file(folder.url(std::to_string(round)));
      std::vector<task<std::unique_ptr<connection>>> opening;
      for (int i = 0; i < 6; ++i) opening.push_back(file.connect());
      std::vector<std::unique_ptr<connection>> opened = co_await gather(std::move(opening));
      EXPECT_EQ(opened.size(), 6u);
    }
  };
  net::run(main());
}

// Opens the file as soon as the gate is closed by its other end; exits with 0 when all went well.
[[noreturn]] void open_in_child(const std::string& url, int gate) {
  char ignored = 0;
  int code = 1;
  if (read(gate, &ignored, 1) == 0) {
    try {
      auto main = [](database file) -> task<> {
        std::unique_ptr<connection> c = co_await file.connect();
        co_await c->execute("CREATE TABLE IF NOT EXISTS t(x)");
        co_await c->execute("INSERT INTO t VALUES (1)");
      };
      net::run(main(database(url)));
      code = 0;
    } catch (const std::exception& e) {
      std::fprintf(stderr, "child: %s\n", e.what());
    }
  }
  _exit(code);
}

TEST(sqlite_file, processes_that_open_a_new_file_at_once_all_succeed) {
  temporary_folder folder;
  for (int round = 0; round < 5; ++round) {
    std::string url = folder.url("p" + std::to_string(round));
    int gate[2];
    ASSERT_EQ(pipe(gate), 0);
    std::vector<pid_t> children;
    for (int i = 0; i < 4; ++i) {
      pid_t child = fork();
      ASSERT_GE(child, 0);
      if (child == 0) {
        close(gate[1]);
        open_in_child(url, gate[0]);
      }
      children.push_back(child);
    }
    close(gate[0]);
    close(gate[1]);
    for (pid_t child : children) {
      int status = -1;
      ASSERT_EQ(waitpid(child, &status, 0), child);
      EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
  }
}

}  // namespace
}  // namespace penstock::db

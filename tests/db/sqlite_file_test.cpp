#include "temporary_folder.h"
#include <penstock/async/gather.h>
#include <penstock/db/connection.h>
#include <penstock/db/error.h>
#include <penstock/net/event_loop.h>

#include <filesystem>
#include <fstream>
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

TEST(sqlite_file, a_uri_of_sqlites_own_is_refused_with_what_to_write) {
  std::string told;
  try {
    database("sqlite:file:items.db");
  } catch (const database_error& e) {
    EXPECT_EQ(e.errc(), db_errc::bad_url);
    told = e.message();
  }
  EXPECT_NE(told.find("write sqlite:items.db"), std::string::npos) << told;
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

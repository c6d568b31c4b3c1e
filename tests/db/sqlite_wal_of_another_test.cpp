#include "sqlite_moved_file.h"
#include <penstock/net/event_loop.h>

#include <filesystem>
#include <fstream>

#include <sys/wait.h>
#include <unistd.h>

// A FILE-wal that other processes still use, or left behind, when its file was moved.

namespace penstock::db {
namespace {

// Another process that runs statements on a session of its own and keeps it until `end`, when it goes without closing
// it. Made before this process has the file open: SQLite's sessions don't outlive a fork.
class other_process {
 public:
  other_process(std::string url, std::vector<std::string> statements) {
    if (pipe(go_) != 0 || pipe(done_) != 0) throw std::runtime_error("no pipe");
    child_ = fork();
    if (child_ != 0) return;
    close(go_[1]);
    close(done_[0]);
    live(std::move(url), std::move(statements));
  }
  other_process(const other_process&) = delete;
  other_process& operator=(const other_process&) = delete;
  ~other_process() {
    end();
    for (int file : {go_[0], done_[0], done_[1]}) close(file);
  }

  void run() {
    char said = 'n';
    EXPECT_EQ(write(go_[1], "g", 1), 1);
    EXPECT_EQ(read(done_[0], &said, 1), 1);
    EXPECT_EQ(said, 'd') << "the other process failed";
  }
  void end() {
    if (child_ == 0) return;
    close(go_[1]);
    waitpid(std::exchange(child_, 0), nullptr, 0);
  }

 private:
  [[noreturn]] void live(std::string url, std::vector<std::string> statements) {
    char said = 0;
    if (read(go_[0], &said, 1) != 1) _exit(1);
    auto main = [&]() -> task<> {
      std::unique_ptr<connection> c = co_await database(url).connect();
      for (const std::string& sql : statements) co_await c->query(sql);
      if (write(done_[1], "d", 1) != 1 || read(go_[0], &said, 1) != 0) _exit(1);
      _exit(0);
    };
    try {
      net::run(main());
    } catch (const std::exception& e) {
      std::fprintf(stderr, "the other process: %s\n", e.what());
      if (write(done_[1], "f", 1) != 1) _exit(2);
    }
    _exit(1);
  }

  int go_[2];
  int done_[2];
  pid_t child_ = -1;
};

task<std::string> message_of_connecting(database to, bool is_transient) {
  try {
    co_await to.connect();
  } catch (const database_error& e) {
    EXPECT_EQ(e.is_transient(), is_transient) << e.message();
    co_return e.message();
  }
  co_return "connected";
}

task<> expect_refusal(database to, std::string part, bool is_transient = true) {
  task<std::string> connecting = message_of_connecting(to, is_transient);
  std::string message = co_await std::move(connecting);
  EXPECT_NE(message.find(part), std::string::npos) << message;
}

// Moves a file away whose -wal another process has in use by these statements, and puts another one there: it is
// refused by this message until the other process ends. `unseen` rows come after what the other process has seen.
void expect_to_wait_for(std::vector<std::string> statements, int unseen, const char* message) {
  temporary_folder folder;
  other_process user(folder.url("a.db"), std::move(statements));
  auto main = [&]() -> task<> {
    task<> making = make_file(folder.url("b.db"), "customers", 3000);
    co_await std::move(making);
    database file(folder.url("a.db"));
    std::unique_ptr<connection> c = co_await file.connect();
    task<> filling = fill(*c, "items", 200);
    co_await std::move(filling);
    user.run();
    for (int x = 201; x <= 200 + unseen; ++x)
      co_await c->execute("INSERT INTO items(x) VALUES (" + std::to_string(x) + ")");
    std::filesystem::rename(folder / "a.db", folder / "away.db");
    task<> pinging = expect_lost(c->ping());
    co_await std::move(pinging);
    std::filesystem::rename(folder / "b.db", folder / "a.db");
    task<> refusal = expect_refusal(file, message);
    co_await std::move(refusal);
    user.end();
    task<> new_rows = expect_rows(folder.url("a.db"), "customers", 3000);
    co_await std::move(new_rows);
    task<> old_rows = expect_rows(folder.url("away.db"), "items", 200 + unseen);
    co_await std::move(old_rows);
  };
  net::run(main());
}

TEST(sqlite_wal_of_another, another_waits_until_other_processes_read_the_moved_one_no_more) {
  expect_to_wait_for({"BEGIN", "SELECT * FROM items"}, 1, "end what else has it open");
}

TEST(sqlite_wal_of_another, another_waits_until_other_processes_have_let_go_of_the_moved_one) {
  expect_to_wait_for({"SELECT * FROM items"}, 0, "another process uses");
}

TEST(sqlite_wal_of_another, a_wal_without_its_file_is_not_thrown_away) {
  temporary_folder folder;
  other_process killed(folder.url("a.db"), {"CREATE TABLE items(x INTEGER PRIMARY KEY, data TEXT DEFAULT 'a')",
                                            "INSERT INTO items(x) VALUES (1), (2)"});
  killed.run();
  killed.end();
  std::filesystem::rename(folder / "a.db", folder / "away.db");
  auto main = [&]() -> task<> {
    database file(folder.url("a.db"));
    task<> refusal = expect_refusal(file, "put that file back beside it", false);
    co_await std::move(refusal);
    EXPECT_FALSE(std::filesystem::exists(folder / "a.db"));
    std::ofstream(folder / "a.db").flush();
    refusal = expect_refusal(file, "put that file back beside it", false);
    co_await std::move(refusal);
    std::filesystem::rename(folder / "away.db", folder / "a.db");
    task<> rows = expect_rows(folder.url("a.db"), "items", 2);
    co_await std::move(rows);
  };
  net::run(main());
}

TEST(sqlite_wal_of_another, another_is_not_opened_beside_a_wal_with_commits) {
  temporary_folder folder;
  other_process killed(folder.url("a.db"), {"INSERT INTO items(x) VALUES (201)"});
  auto main = [&]() -> task<> {
    task<> making = make_file(folder.url("a.db"), "items", 200);
    co_await std::move(making);
    task<> making_another = make_file(folder.url("b.db"), "customers", 3000);
    co_await std::move(making_another);
    database file(folder.url("a.db"));
    std::unique_ptr<connection> c = co_await file.connect();
    c->close();
    killed.run();
    killed.end();
    std::filesystem::rename(folder / "a.db", folder / "away.db");
    std::filesystem::rename(folder / "b.db", folder / "a.db");
    task<> refusal = expect_refusal(file, "put that -wal beside the file that was moved");
    co_await std::move(refusal);
    // As the message says.
    std::filesystem::rename(folder / "a.db-wal", folder / "away.db-wal");
    std::filesystem::remove(folder / "a.db-shm");
    task<> new_rows = expect_rows(folder.url("a.db"), "customers", 3000);
    co_await std::move(new_rows);
    task<> old_rows = expect_rows(folder.url("away.db"), "items", 201);
    co_await std::move(old_rows);
  };
  net::run(main());
}

}  // namespace
}  // namespace penstock::db

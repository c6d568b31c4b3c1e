#include "mariadb_server.h"
#include "temporary_folder.h"
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/db/pool.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

// Servers of the test's own: one that dies and comes back, and one that is reached over TLS and by a socket.

namespace penstock::db {
namespace {

using namespace std::chrono_literals;

class mariadb_own_server : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::getenv("TESTED_MARIADB") == nullptr)
      GTEST_SKIP() << "TESTED_MARIADB is not set, so no server is started: run this by tools/test-server run";
  }
  void TearDown() override { run(tool() + " stop " + server() + " || true"); }

  static std::string tool() { return std::string(PENSTOCK_SOURCE_DIR) + "/tools/test-server"; }
  std::string server() const { return (folder_ / "server").string(); }
  void start(const std::string& settings = {}) {
    std::filesystem::permissions(folder_ / "", std::filesystem::perms(0755));  // the server runs as another account
    run(tool() + " start mariadb " + server() + " " + settings);
    std::ifstream file(server() + "/url");
    std::getline(file, url_);
  }
  static void run(const std::string& command) {
    EXPECT_EQ(std::system(("(" + command + ") >/dev/null 2>&1 </dev/null").c_str()), 0) << command;
  }

  temporary_folder folder_;
  std::string url_;
};

TEST_F(mariadb_own_server, that_is_killed_and_comes_back_is_found_again_by_the_pool) {
  start();
  auto main = [&]() -> task<> {
    pool p(database(url_), {.min_size = 4, .max_size = 4, .acquire_timeout = 1min});
    task_group keeper;
    keeper.start_background(p.run(), "pool");
    {
      pool::lease c = co_await p.acquire();
      co_await c->execute("CREATE TABLE t(n INT)");
      co_await c->begin();
      co_await c->execute("INSERT INTO t VALUES (1)");
      run(tool() + " kill " + server());
      std::optional<db_errc> failed;
      try {
        co_await c->execute("INSERT INTO t VALUES (2)");
      } catch (const database_error& e) {
        failed = e.errc();
      }
      EXPECT_EQ(failed, db_errc::connection_lost);
      EXPECT_EQ(c->state(), session_state::dead);
    }
    start();
    pool::lease c = co_await p.acquire();
    result r = co_await c->query("SELECT count(*) FROM t");
    EXPECT_EQ(r.rows.at(0).at(0), value(std::int64_t{0}));
    c.release();
    co_await p.close();
    co_await keeper.join();
  };
  net::run(main());
}

TEST_F(mariadb_own_server, is_reached_over_tls_when_its_certificate_is_right) {
  std::string keys = (folder_ / "keys").string();
  run("mkdir " + keys + " && cd " + keys +
      " && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=test authority' -keyout ca.key -out ca.pem"
      " && openssl req -newkey rsa:2048 -nodes -subj '/CN=localhost' -keyout key.pem -out request.pem"
      " && printf 'subjectAltName=DNS:localhost' >names"
      " && openssl x509 -req -days 2 -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names -out "
      "cert.pem && chmod a+r *.pem");
  start("ssl-cert=" + keys + "/cert.pem ssl-key=" + keys + "/key.pem");
  std::string by_name = url_;
  by_name.replace(by_name.find("127.0.0.1"), 9, "localhost");
  std::string trusted = "&tls_ca=" + keys + "/ca.pem";
  auto cipher = [](std::string url) -> task<std::string> {
    try {
      task<std::unique_ptr<connection>> connecting = database(url).connect();
      std::unique_ptr<connection> c = co_await std::move(connecting);
      result r = co_await c->query("SHOW STATUS LIKE 'Ssl_cipher'");
      co_return std::get<std::string>(r.rows.at(0).at(1));
    } catch (const database_error& e) {
      co_return std::string(code_name(e.errc()));
    }
  };
  auto main = [&]() -> task<> {
    struct attempt {
      std::string url;
      bool works;
    };
    const std::vector<attempt> attempts{{by_name + "?tls=verify-full" + trusted, true},
                                        {url_ + "?tls=verify-full" + trusted, false},
                                        {url_ + "?tls=verify-ca" + trusted, true},
                                        {by_name + "?tls=verify-full", false},
                                        {url_ + "?tls=verify-ca&tls_ca=" + keys + "/cert.pem", false},
                                        {url_ + "?tls=require", true}};
    for (const attempt& a : attempts) {
      std::string got = co_await cipher(a.url);
      EXPECT_EQ(got.find("db.") == std::string::npos && !got.empty(), a.works) << a.url << ": " << got;
    }
    std::string plain = co_await cipher(url_);
    EXPECT_EQ(plain, "");
  };
  net::run(main());
}

TEST_F(mariadb_own_server, is_reached_by_its_socket) {
  start();
  std::size_t host = url_.find('@') + 1;
  std::string by_socket = url_.substr(0, host) + url_.substr(url_.find('/', host)) + "?socket=" + server() + "/socket";
  auto main = [&]() -> task<> {
    task<std::unique_ptr<connection>> connecting = database(by_socket).connect();
    std::unique_ptr<connection> c = co_await std::move(connecting);
    result r = co_await c->query("SELECT 1");
    EXPECT_EQ(r.rows.size(), 1u);
  };
  net::run(main());
}

TEST_F(mariadb_own_server, that_is_read_only_is_passed_over) {
  start("read-only=1");
  auto main = [&]() -> task<> {
    std::optional<db_errc> failed;
    try {
      task<std::unique_ptr<connection>> connecting = database(url_).connect();
      co_await std::move(connecting);
    } catch (const database_error& e) {
      failed = e.errc();
    }
    EXPECT_EQ(failed, db_errc::read_only);
    task<std::unique_ptr<connection>> connecting = database(url_ + "?target=any").connect();
    std::unique_ptr<connection> c = co_await std::move(connecting);
    EXPECT_EQ(c->state(), session_state::clean);
  };
  net::run(main());
}

}  // namespace
}  // namespace penstock::db

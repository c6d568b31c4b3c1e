#pragma once

// A server of the test's own, which it may kill, start again and give certificates; of either kind. Skipped where the
// tests run without servers.

#include "temporary_folder.h"
#include <penstock/db/connection.h>
#include <penstock/db/error.h>
#include <penstock/net/event_loop.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <ostream>
#include <string>

#include <gtest/gtest.h>

namespace penstock::db {

struct server_kind {
  const char* name;      // as tools/test-server has it
  const char* variable;  // set where there are servers
};

inline void PrintTo(const server_kind& kind, std::ostream* to) { *to << kind.name; }
inline std::string name_of_kind(const ::testing::TestParamInfo<server_kind>& info) { return info.param.name; }

inline const server_kind all_server_kinds[] = {{"mariadb", "TESTED_MARIADB"}, {"postgresql", "TESTED_POSTGRESQL"}};

class own_server_test : public ::testing::TestWithParam<server_kind> {
 protected:
  void SetUp() override {
    if (std::getenv(GetParam().variable) == nullptr)
      GTEST_SKIP() << GetParam().variable << " is not set, so no server is started: run this by tools/test-server run";
    std::filesystem::permissions(folder_ / "", std::filesystem::perms(0755));  // the server runs as another account
  }
  void TearDown() override {
    if (!IsSkipped()) run(tool() + " stop " + server() + " || true");
  }

  bool is_postgresql() const { return std::string(GetParam().name) == "postgresql"; }
  std::string server() const { return (folder_ / "server").string(); }
  // Settings as its configuration has them: "name=value name=value".
  void start(const std::string& settings = {}) {
    run(tool() + " start " + GetParam().name + " " + server() + " " + settings);
    std::ifstream file(server() + "/url");
    std::getline(file, url_);
  }
  void stop() { run(tool() + " stop " + server()); }
  void kill() { run(tool() + " kill " + server()); }
  static void run(const std::string& command) {
    EXPECT_EQ(std::system(("(" + command + ") >/dev/null 2>&1 </dev/null").c_str()), 0) << command;
  }

  // The class of the error that a connect ends with; none when it works.
  static task<std::optional<db_errc>> failure_to_connect(std::string url) {
    try {
      task<std::unique_ptr<connection>> connecting = database(url).connect();
      co_await std::move(connecting);
    } catch (const database_error& e) {
      co_return e.errc();
    }
    co_return std::nullopt;
  }

  temporary_folder folder_;
  std::string url_;

 private:
  static std::string tool() { return std::string(PENSTOCK_SOURCE_DIR) + "/tools/test-server"; }
};

}  // namespace penstock::db

#pragma once

#include "patience.h"
#include <penstock/db/connection.h>
#include <penstock/net/event_loop.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace penstock::db {

// Tests with a database server, whose URL is in an environment variable; skipped without it.
class server_test : public ::testing::Test {
 protected:
  explicit server_test(const char* variable) : variable_(variable) {}

  void SetUp() override {
    const char* url = std::getenv(variable_);
    if (url == nullptr) GTEST_SKIP() << variable_ << " is not set: run tools/test, or under tools/test-server run";
    url_ = url;
  }

  const std::string& url() const noexcept { return url_; }

  // Runs a task on an event loop, with a connection of its own.
  template <class Body>
  void with_connection(Body body) {
    auto main = [&]() -> task<> {
      database server(patient(url_));
      task<std::unique_ptr<connection>> connecting = server.connect();
      std::unique_ptr<connection> c = co_await std::move(connecting);
      task<void> running = body(*c);
      co_await std::move(running);
    };
    net::run(main());
  }

 private:
  const char* variable_;
  std::string url_;
};

}  // namespace penstock::db

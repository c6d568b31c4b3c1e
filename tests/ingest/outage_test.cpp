// The database goes away and comes back.

#include "marked_database.h"
#include "service_fixture.h"
#include <penstock/async/gather.h>
#include <penstock/async/timeout.h>
#include <penstock/observe/log_capture.h>

#include <algorithm>
#include <stdexcept>

namespace penstock::ingest {
namespace {

class outage : public service_test {
 protected:
  void serve_from(std::shared_ptr<marked_server> server, std::function<task<void>()> body) {
    service_options options = options_of(whole_items());
    options.batch.commit_retry = 5s;
    serve(db::database(std::make_shared<marked_driver>(std::move(server))), options, std::move(body));
  }
  // Asks until the answer has that status.
  task<answer> readiness(int status) {
    auto asking = [this, status]() -> task<answer> {
      for (;;) {
        task<answer> one = get("/readyz");
        answer a = co_await std::move(one);
        if (a.status == status) co_return a;
      }
    };
    task<answer> limited = with_timeout(20s, asking());
    co_return co_await std::move(limited);
  }
};

TEST_F(outage, a_service_whose_database_is_away_at_the_start_refuses_and_waits_for_it) {
  log::capture quiet;
  auto server = std::make_shared<marked_server>();
  server->away = true;
  serve_from(server, [&]() -> task<void> {
    auto asking = get("/readyz");
    answer starting = co_await std::move(asking);
    EXPECT_EQ(starting.status, 503);
    EXPECT_EQ(starting.json("/status"), "\"starting\"");
    auto posting = post("/v1/items", "1");
    answer refused = co_await std::move(posting);
    EXPECT_EQ(refused.status, 503);
    EXPECT_EQ(refused.json("/code"), "\"ingest.store_unreachable\"");
    EXPECT_EQ(refused.header("Retry-After"), "1");
    server->away = false;
    auto waiting = readiness(200);
    co_await std::move(waiting);
    auto again = post("/v1/items", "1");
    EXPECT_EQ((co_await std::move(again)).status, 200);
  });
  EXPECT_EQ(server->stored.size(), 1u);
}

// A store that takes no writes: a file, or a server in whose place another may come, or whose disk may be given room.
class refusing_driver final : public db::driver {
 public:
  refusing_driver(db::db_errc why, bool is_server) : why_(why), is_server_(is_server) {}
  const std::string& name() const noexcept override { return name_; }
  task<std::unique_ptr<db::connection>> connect() override {
    throw db::database_error(why_, "no writes here");
    co_return nullptr;
  }
  bool commits_can_be_ambiguous() const noexcept override { return is_server_; }

 private:
  db::db_errc why_;
  bool is_server_;
  std::string name_ = "refusing:";
};

TEST_F(outage, a_server_that_takes_no_writes_is_waited_for_and_a_file_is_not) {
  log::capture quiet;
  auto body = []() -> task<void> {
    for (db::db_errc why : {db::db_errc::read_only, db::db_errc::full}) {
      service of_a_server(db::database(std::make_shared<refusing_driver>(why, true)), options_of(whole_items()));
      EXPECT_FALSE(co_await of_a_server.open());
      service of_a_file(db::database(std::make_shared<refusing_driver>(why, false)), options_of(whole_items()));
      std::string code;
      try {
        co_await of_a_file.open();
      } catch (const db::database_error& e) {
        code = e.code();
      }
      EXPECT_EQ(code, code_name(why));
    }
  };
  net::run(body());
}

TEST_F(outage, a_service_that_waits_for_its_database_can_be_stopped) {
  log::capture quiet;
  auto server = std::make_shared<marked_server>();
  server->away = true;
  serve_from(server, []() -> task<void> { co_return; });
}

TEST_F(outage, the_first_request_finds_a_session_open_for_each_commit_in_flight) {
  auto server = std::make_shared<marked_server>();
  serve_from(server, [&]() -> task<void> {
    EXPECT_GE(server->sessions, 3u);
    co_return;
  });
  EXPECT_EQ(server->sessions, 0u);
}

TEST_F(outage, each_of_these_sessions_ran_what_batches_run_and_nothing_of_it_stays) {
  auto server = std::make_shared<marked_server>();
  serve_from(server, [&]() -> task<void> {
    for (const char* what : {"UPDATE", "SELECT", "PREPARE processed_data", "PREPARE penstock_idempotency", "ROLLBACK"})
      EXPECT_EQ(std::count(server->operations.begin(), server->operations.end(), what), 3) << what;
    EXPECT_TRUE(server->markers.empty());
    co_return;
  });
  EXPECT_TRUE(server->stored.empty());
}

TEST_F(outage, a_rehearsal_that_fails_keeps_no_other_and_no_item_back) {
  log::capture quiet;
  auto server = std::make_shared<marked_server>();
  std::size_t refused = 0;
  server->barrier = [&](const std::string& what) -> event* {
    if (what != "UPDATE" || refused == 2) return nullptr;
    if (++refused == 1) throw db::database_error(db::db_errc::auth, "no right to do that");
    throw std::out_of_range("a driver's mistake");
  };
  serve_from(server, [&]() -> task<void> {
    EXPECT_EQ(std::count(server->operations.begin(), server->operations.end(), "PREPARE processed_data"), 1);
    EXPECT_EQ(std::count(server->operations.begin(), server->operations.end(), "ROLLBACK"), 3);
    auto posting = post("/v1/items", "1");
    EXPECT_EQ((co_await std::move(posting)).status, 200);
  });
  EXPECT_EQ(server->stored.size(), 1u);
}

// The server may be there: another session may hold the table locked.
TEST_F(outage, a_database_that_keeps_batches_waiting_in_vain_makes_the_service_unready) {
  log::capture quiet;
  auto server = std::make_shared<marked_server>();
  event never;
  server->barrier = [&](const std::string& what) { return what == "ROWS processed_data" ? &never : nullptr; };
  service_options options = options_of(whole_items());
  options.batch.attempt_timeout = 100ms;
  options.batch.commit_retry = 1ms;
  serve(db::database(std::make_shared<marked_driver>(server)), options, [&]() -> task<void> {
    auto posting = post("/v1/items", "1");
    EXPECT_EQ((co_await std::move(posting)).status, 503);
    auto asking = get("/readyz");
    answer failing = co_await std::move(asking);
    EXPECT_EQ(failing.status, 503);
    EXPECT_EQ(failing.json("/stream"), "\"items\"");
  });
}

TEST_F(outage, a_batch_that_gets_no_session_does_not_blame_the_databases_silence) {
  log::capture logged;
  auto server = std::make_shared<marked_server>();
  server->cuts = [&](std::size_t, const std::string& what) {
    if (what != "ROWS processed_data") return std::optional<cut>();
    server->away = true;
    return std::optional<cut>(cut::before);
  };
  service_options options = options_of(whole_items());
  options.batch.attempt_timeout = 500ms;
  options.batch.commit_retry = 2s;
  serve(db::database(std::make_shared<marked_driver>(server)), options, [&]() -> task<void> {
    server->armed = true;
    auto posting = post("/v1/items", "1");
    EXPECT_EQ((co_await std::move(posting)).status, 503);
  });
  std::string all = logged.text();
  EXPECT_NE(all.find("no connection to the database was to be had within 500ms"), std::string::npos) << all;
  EXPECT_EQ(all.find("its session was closed"), std::string::npos) << all;
}

TEST_F(outage, a_database_that_stands_still_is_told_of_until_it_goes_on) {
  log::capture quiet;
  auto server = std::make_shared<marked_server>();
  event goes_on;
  bool is_still = false;
  server->barrier = [&](const std::string&) { return is_still ? &goes_on : nullptr; };
  serve_from(server, [&]() -> task<void> {
    is_still = true;
    auto store = [&]() -> task<void> {
      task<answer> storing = post("/v1/items", "1");
      EXPECT_EQ((co_await std::move(storing)).status, 200);
    };
    task_group posting;
    std::size_t sessions = server->sessions;
    for (std::size_t item = 1; item < sessions; ++item) {  // one is left, which is asked
      std::size_t operations = server->operations.size();
      posting.start(store());
      while (server->operations.size() == operations) co_await yield();
    }
    for (int probe = 0; probe < 2; ++probe) {
      auto asking = get("/readyz");
      answer a = co_await std::move(asking);
      EXPECT_EQ(a.status, 503) << probe;
      EXPECT_EQ(a.json("/store"), "\"unreachable\"");
    }
    is_still = false;
    goes_on.set();
    co_await posting.join();
    auto healed = readiness(200);
    co_await std::move(healed);
  });
}

// Such as for a lock: what can't be had beforehand is no reason to refuse items.
TEST_F(outage, a_database_that_lets_the_rehearsal_wait_is_served_all_the_same) {
  log::capture quiet;
  auto server = std::make_shared<marked_server>();
  event never;
  server->barrier = [&](const std::string& what) { return what == "UPDATE" && !server->armed ? &never : nullptr; };
  serve_from(server, [&]() -> task<void> {
    server->armed = true;
    auto posting = post("/v1/items", "1");
    EXPECT_EQ((co_await std::move(posting)).status, 200);
  });
  EXPECT_EQ(server->stored.size(), 1u);
}

TEST_F(outage, a_database_with_fewer_sessions_than_commits_in_flight_is_served_with_those) {
  log::capture quiet;
  auto server = std::make_shared<marked_server>();
  server->most_sessions = 2;
  serve_from(server, [&]() -> task<void> {
    EXPECT_EQ(server->sessions, 2u);
    auto posting = post("/v1/items", "1");
    EXPECT_EQ((co_await std::move(posting)).status, 200);
  });
  EXPECT_EQ(server->stored.size(), 1u);
}

TEST_F(outage, items_are_refused_at_once_while_the_database_is_away_and_taken_when_it_is_back) {
  log::capture quiet;
  auto server = std::make_shared<marked_server>();
  server->armed = true;
  server->cuts = [&](std::size_t, const std::string&) {
    return server->away ? std::optional<cut>(cut::before) : std::nullopt;
  };
  serve_from(server, [&]() -> task<void> {
    auto first = post("/v1/items", "1");
    EXPECT_EQ((co_await std::move(first)).status, 200);
    server->away = true;
    auto caught = [&]() -> task<answer> {  // its batch is tried again until the database is back
      task<answer> posting = post("/v1/items", "2");
      co_return co_await std::move(posting);
    };
    auto meanwhile = [&]() -> task<void> {
      auto failing = readiness(503);
      answer a = co_await std::move(failing);
      EXPECT_EQ(a.json("/store"), "\"unreachable\"");
      time_point start = scheduler::current().now();
      auto posting = post("/v1/items", "3");
      answer refused = co_await std::move(posting);
      EXPECT_EQ(refused.status, 503);
      EXPECT_EQ(refused.json("/code"), "\"ingest.store_unreachable\"");
      EXPECT_LT(scheduler::current().now() - start, 1s);
      start = scheduler::current().now();
      server->away = false;
      auto healed = readiness(200);
      co_await std::move(healed);
      EXPECT_LT(scheduler::current().now() - start, 2s);
    };
    task_group both;
    answer second;
    auto keep = [&]() -> task<void> {
      task<answer> asking = caught();
      second = co_await std::move(asking);
    };
    both.start(keep());
    both.start(meanwhile());
    co_await both.join();
    EXPECT_EQ(second.status, 200);
  });
  EXPECT_EQ(server->stored, (std::vector<std::string>{"1", "2"}));
}

// One after another they would wait for as long as the first.
TEST_F(outage, requests_that_wait_for_one_with_their_key_are_refused_with_it_while_the_database_is_away) {
  log::capture quiet;
  auto server = std::make_shared<marked_server>();
  server->cuts = [&](std::size_t, const std::string&) {
    return server->away ? std::optional<cut>(cut::before) : std::nullopt;
  };
  service_options options = options_of(whole_items());
  options.batch.commit_retry = 300ms;
  serve(db::database(std::make_shared<marked_driver>(server)), options, [&]() -> task<void> {
    server->armed = true;
    auto repeat = [&]() -> task<std::string> {
      header_list key;
      key.emplace_back("Idempotency-Key", "k");
      task<answer> posting = post("/v1/items", "[1]", "application/json", key);
      answer a = co_await std::move(posting);
      EXPECT_EQ(a.status, 503);
      co_return a.json("/code");
    };
    server->away = true;
    std::vector<task<std::string>> three;
    for (int n = 0; n < 3; ++n) three.push_back(repeat());
    task<std::vector<std::string>> all = gather(std::move(three));
    std::vector<std::string> codes = co_await std::move(all);
    EXPECT_EQ(std::count(codes.begin(), codes.end(), "\"ingest.store_unreachable\""), 2);
  });
}

TEST_F(outage, requests_that_wait_for_one_with_their_key_fail_with_it) {
  log::capture quiet;
  auto server = std::make_shared<marked_server>();
  server->lock_timeout = 1h;
  server->locked_rows.insert("1");
  service_options options = options_of(whole_items());
  options.batch.lock_timeout = 10ms;
  options.batch.attempt_timeout = 500ms;
  options.batch.commit_retry = 500ms;
  serve(db::database(std::make_shared<marked_driver>(server)), options, [&]() -> task<void> {
    auto repeat = [&](std::string key, std::string body) -> task<answer> {
      header_list keys;
      keys.emplace_back("Idempotency-Key", std::move(key));
      task<answer> posting = post("/v1/items", std::move(body), "application/json", keys);
      co_return co_await std::move(posting);
    };
    std::vector<task<answer>> several;
    for (int n = 0; n < 20; ++n) several.push_back(repeat("k", "[1]"));
    several.push_back(repeat("other", "[2]"));
    time_point begun = scheduler::current().now();
    task<std::vector<answer>> all = gather(std::move(several));
    std::vector<answer> answers = co_await std::move(all);
    EXPECT_LT(scheduler::current().now() - begun, 10s);  // 20 s and more one after another
    EXPECT_EQ(answers.back().status, 200);
    answers.pop_back();
    for (const answer& a : answers) {
      EXPECT_EQ(a.status, 503);
      EXPECT_EQ(a.json("/code"), "\"db.lock_timeout\"");
      EXPECT_EQ(a.json("/failed"), "1");
    }
    server->locked_rows.clear();
    task<answer> again = repeat("k", "[1]");
    answer stored = co_await std::move(again);
    EXPECT_EQ(stored.status, 200) << stored.body;
  });
  EXPECT_EQ(std::count(server->stored.begin(), server->stored.end(), "1"), 1);
}

TEST_F(outage, a_read_that_is_caught_by_the_loss_of_the_database_is_refused_as_it_would_be_afterwards) {
  log::capture quiet;
  for (const char* path : {"/v1/items", "/v1/items?format=ndjson", "/v1/items/1"}) {
    auto server = std::make_shared<marked_server>();
    server->cuts = [](std::size_t, const std::string& what) {
      return what == "SELECT" ? std::optional<cut>(cut::before) : std::nullopt;
    };
    serve_from(server, [&]() -> task<void> {
      server->armed = true;
      auto reading = get(path);
      answer refused = co_await std::move(reading);
      EXPECT_EQ(refused.status, 503) << path;
      EXPECT_EQ(refused.json("/code"), "\"ingest.store_unreachable\"") << path;
      EXPECT_EQ(refused.header("Retry-After"), "1") << path;
    });
  }
}

}  // namespace
}  // namespace penstock::ingest

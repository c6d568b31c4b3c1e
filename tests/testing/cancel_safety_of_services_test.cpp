// The pool, the coalescer and the HTTP server, with a user of each cancelled at every suspension point, and with every
// step failing that can: what is lent comes back, what was accepted is stored, and the others are served.

#include "db/fake_database.h"
#include "http/test_server.h"
#include <penstock/async/task_group.h>
#include <penstock/ingest/coalescer.h>
#include <penstock/testing/enumeration.h>
#include <penstock/testing/failure_point.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace penstock::testing {
namespace {

using namespace std::chrono_literals;

void maybe_fail(const char* operation) {
  if (should_fail(operation)) throw error(async_errc::no_tasks, std::string(operation) + " failed");
}

task<void> query_once(db::pool& p) {
  db::pool::lease session = co_await p.acquire();
  maybe_fail("before the query");
  task<db::result> asking = session->query("SELECT 1", {});
  co_await std::move(asking);
  maybe_fail("after the query");
}

task<void> close_and_look(db::pool& p, db::fake_server& server) {
  co_await p.close();
  db::pool_stats left = p.stats();
  EXPECT_EQ(left.in_use + left.idle + left.pending + left.waiting, 0u);
  EXPECT_EQ(server.open, 0u) << "sessions were left open";
  EXPECT_EQ(server.queries_on_dirty_sessions, 0);
}

TEST(cancel_safety, of_a_pools_user) {
  auto scenario = [](cancellation& c) -> task<> {
    auto server = std::make_shared<db::fake_server>();
    db::pool p(db::database(std::make_shared<db::fake_driver>(server)), {.max_size = 1});
    task_group others;
    others.start(query_once(p), "before");
    co_await yield();
    others.start(query_once(p), "beside");
    task<bool> asking = c.run(query_once(p));
    co_await std::move(asking);
    task<void> after = query_once(p);
    co_await std::move(after);
    co_await others.join();
    task<void> closing = close_and_look(p, *server);
    co_await std::move(closing);
  };
  EXPECT_GE(assert_cancel_safe(scenario), 8u);
}

TEST(cancel_safety, of_a_pools_upkeep) {
  auto scenario = [](cancellation& c) -> task<> {
    auto server = std::make_shared<db::fake_server>();
    db::pool p(db::database(std::make_shared<db::fake_driver>(server)), {.min_size = 2, .max_size = 2});
    task_group others;
    auto uses = [&]() -> task<> {
      co_await sleep_for(1s);
      task<void> asking = query_once(p);
      co_await std::move(asking);
      task<void> closing = p.close();
      co_await std::move(closing);
    };
    others.start(uses(), "user");
    task<bool> keeping = c.run(p.run());
    co_await std::move(keeping);
    co_await others.join();
    task<void> closing = close_and_look(p, *server);
    co_await std::move(closing);
  };
  EXPECT_GE(assert_cancel_safe(scenario), 4u);
}

TEST(cancel_safety, of_a_pool_when_its_user_fails) {
  auto scenario = []() -> task<> {
    auto server = std::make_shared<db::fake_server>();
    db::pool p(db::database(std::make_shared<db::fake_driver>(server)), {.max_size = 1});
    std::exception_ptr failure;
    try {
      for (int i = 0; i < 2; ++i) {
        task<void> asking = query_once(p);
        co_await std::move(asking);
      }
    } catch (...) {
      failure = std::current_exception();
    }
    task<void> closing = close_and_look(p, *server);
    co_await std::move(closing);
    if (failure) std::rethrow_exception(failure);
  };
  EXPECT_EQ(for_each_failure(scenario), 4u);
}

// Stores each batch a while later, unless it is told to fail.
struct store {
  std::vector<std::string> rows;
  ingest::coalescer::commit_function commit() {
    return [this](ingest::batch& b) { return take(b); };
  }
  task<void> take(ingest::batch& b) {
    co_await sleep_for(10ms);
    maybe_fail("commit");
    b.report.rows.resize(b.rows.rows());
    for (std::size_t i = 0; i < b.rows.rows(); ++i) rows.emplace_back(b.rows.row(i)[0].text());
  }
};

task<void> submit_two(ingest::coalescer& to, std::string name, int& stored, int& failed) {
  ingest::submission s(to);
  for (int i = 0; i < 2; ++i) {
    db::row_batch& rows = s.rows();
    rows.add_text(name);
    rows.commit_row();
    s.row_added();
  }
  co_await s.committed();
  s.collect([&](const db::row_outcome&, const db::row_refusal*, const std::exception_ptr* failure) {
    ++(failure == nullptr ? stored : failed);
  });
}

TEST(cancel_safety, of_a_coalescers_client) {
  auto scenario = [](cancellation& c) -> task<> {
    store database;
    ingest::coalescer to(1, database.commit(), {.max_rows = 3});
    int stored = 0;
    int failed = 0;
    int cancelled_stored = 0;
    auto body = [&](task_group& group) -> task<> {
      group.start(to.run(), "coalescer");
      task_group clients;
      clients.start(submit_two(to, "before", stored, failed));
      co_await yield();
      clients.start(submit_two(to, "beside", stored, failed));
      task<bool> submitting = c.run(submit_two(to, "mine", cancelled_stored, failed));
      bool ended_well = co_await std::move(submitting);
      task<void> after = submit_two(to, "after", stored, failed);
      co_await std::move(after);
      co_await clients.join();
      to.stop();
      EXPECT_EQ(cancelled_stored, ended_well ? 2 : 0);
    };
    task<void> running = with_task_group(body);
    co_await std::move(running);
    EXPECT_EQ(stored, 6);
    EXPECT_EQ(failed, 0);
    EXPECT_GE(std::count(database.rows.begin(), database.rows.end(), "mine"), cancelled_stored);
    EXPECT_EQ(to.stats().queued_rows, 0u);
    EXPECT_EQ(to.stats().queued_bytes, 0u);
  };
  EXPECT_GE(assert_cancel_safe(scenario), 4u);
}

TEST(cancel_safety, of_a_coalescer_when_a_commit_fails) {
  auto scenario = []() -> task<> {
    store database;
    ingest::coalescer to(1, database.commit(), {.max_rows = 2});
    int stored = 0;
    int failed = 0;
    auto body = [&](task_group& group) -> task<> {
      group.start(to.run(), "coalescer");
      for (const char* name : {"first", "second", "third"}) {
        task<void> submitting = submit_two(to, name, stored, failed);
        co_await std::move(submitting);
      }
      to.stop();
    };
    task<void> running = with_task_group(body);
    co_await std::move(running);
    EXPECT_EQ(static_cast<std::size_t>(stored), database.rows.size()) << "acknowledged means stored";
    EXPECT_EQ(stored + failed, 6);
  };
  EXPECT_EQ(for_each_failure(scenario), 3u);
}

http::router slow_routes() {
  http::router routes;
  routes.add("GET", "/slow", [](http::request&) -> task<http::response> {
    co_await sleep_for(1s);
    maybe_fail("handler");
    co_return http::response::text(200, "slept");
  });
  return routes;
}

// Asks once and waits for the answer; gives its status, 0 when there was none in time.
task<int> ask(http::test_server& s) {
  http::test_client client = s.connect();
  client.send(http::get("/slow"));
  task<http::answer> answering = with_timeout(1min, client.receive());
  try {
    http::answer a = co_await std::move(answering);
    co_return a.status;
  } catch (const timed_out&) {
    co_return 0;
  }
}

TEST(cancel_safety, of_an_http_server) {
  auto scenario = [](cancellation& c) -> task<> {
    http::test_server s(slow_routes(), {});
    task_group clients;
    auto asks = [&]() -> task<> {
      task<int> asking = ask(s);
      co_await std::move(asking);
    };
    auto stops = [&]() -> task<> {
      co_await sleep_for(5s);
      s.server.stop();
    };
    clients.start(asks(), "client");
    clients.start(asks(), "other client");
    clients.start(stops(), "stop");
    task<bool> serving = c.run(s.server.serve(s.listener));
    co_await std::move(serving);
    co_await clients.join();
  };
  EXPECT_GE(assert_cancel_safe(scenario), 10u);
}

TEST(cancel_safety, of_an_http_server_when_a_handler_fails) {
  auto scenario = []() -> task<> {
    http::test_server s(slow_routes(), {});
    auto body = [&](http::test_server& server) -> task<> {
      int errors = 0;
      for (int i = 0; i < 3; ++i) {
        task<int> asking = ask(server);
        int status = co_await std::move(asking);
        if (status == 500) ++errors;
      }
      EXPECT_LE(errors, 1);
    };
    task<void> serving = http::serve_during(s, body);
    co_await std::move(serving);
  };
  EXPECT_EQ(for_each_failure(scenario), 3u);
}

}  // namespace
}  // namespace penstock::testing

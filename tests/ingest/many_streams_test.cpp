// Streams beside one another on one database server.

#include "simulated_service.h"
#include <penstock/async/event.h>
#include <penstock/observe/log_capture.h>

namespace penstock::ingest {
namespace {

class many_streams : public simulated_service {
 protected:
  static service_options streams(int count) {
    service_options options;
    for (int i = 0; i < count; ++i) {
      stream_definition stream;
      stream.name = stream.table = "s" + std::to_string(i);
      options.streams.push_back(std::move(stream));
    }
    options.batch.max_rows = 1;
    return options;
  }

  // It comes twice, alone, and is tried for so long each time that a batch of others would count as stuck.
  void expect_ready_while_one_item_fails(std::shared_ptr<marked_server> server) {
    log::capture quiet;
    simulate(server, streams(1), [&]() -> task<void> {
      server->armed = true;
      task_group waiting;
      bool is_answered = false;
      auto post_there = [&]() -> task<void> {
        for (int time = 0; time < 2; ++time) {
          task<int> posting = status_of(post_to("s0", "1"));
          EXPECT_EQ(co_await std::move(posting), 503);
        }
        is_answered = true;
      };
      waiting.start(post_there());
      int seconds = 0;
      while (!is_answered) {
        task<int> asking = status_of(is_ready);
        EXPECT_EQ(co_await std::move(asking), 200) << seconds;
        co_await sleep_for(1s);
        ++seconds;
      }
      EXPECT_GT(seconds, 12);
      co_await waiting.join();
    });
  }
};

TEST_F(many_streams, one_whose_table_is_locked_holds_up_no_other) {
  auto server = std::make_shared<marked_server>();
  std::size_t at_the_lock = 0;
  event all_wait;
  event unlocked;
  server->barrier = [&](const std::string& what) -> event* {
    if (what != "ROWS s0") return nullptr;
    if (++at_the_lock == 3) all_wait.set();
    return &unlocked;
  };
  serve(db::database(std::make_shared<marked_driver>(server)), streams(2), [&]() -> task<void> {
    task_group held_up;
    auto wait_for_lock = [&]() -> task<void> {
      task<answer> posting = post("/v1/s0", "1");
      EXPECT_EQ((co_await std::move(posting)).status, 200);
    };
    for (int i = 0; i < 3; ++i) held_up.start(wait_for_lock());
    co_await all_wait.wait();
    auto posting = post("/v1/s1", "2");
    EXPECT_EQ((co_await std::move(posting)).status, 200);
    EXPECT_EQ(server->stored.size(), 1u) << "the others wait for their lock";
    unlocked.set();
    co_await held_up.join();
  });
}

TEST_F(many_streams, open_the_sessions_of_one_at_the_start) {
  auto server = std::make_shared<marked_server>();
  serve(db::database(std::make_shared<marked_driver>(server)), streams(9), [&]() -> task<void> {
    EXPECT_LE(server->sessions, 3u + 2u);
    co_return;
  });
}

TEST_F(many_streams, keep_the_sessions_that_one_does_not_need_for_seconds_only) {
  auto server = std::make_shared<marked_server>();
  server->pause = [](const std::string& what) { return what.starts_with("ROWS") ? duration(50ms) : duration(1ms); };
  simulate(server, streams(3), [&]() -> task<void> {
    task_group load;
    auto post_one = [&](std::string stream) -> task<void> {
      task<int> posting = status_of(post_to(stream, "1"));
      EXPECT_EQ(co_await std::move(posting), 200);
    };
    for (int i = 0; i < 24; ++i) load.start(post_one("s" + std::to_string(i % 3)));
    co_await load.join();
    EXPECT_GT(server->sessions, 3u + 2u);
    co_await sleep_for(15s);
    EXPECT_LE(server->sessions, 3u + 2u);
  });
}

TEST_F(many_streams, are_read_from_though_those_who_write_have_all_sessions_of_the_account) {
  log::capture quiet;
  auto server = std::make_shared<marked_server>();
  server->most_sessions = 3;
  simulate(server, streams(3), [&]() -> task<void> {
    const std::string get = "GET /v1/s0/1 HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n";
    for (int time = 0; time < 3; ++time) {
      task<int> reading = status_of(get);
      EXPECT_EQ(co_await std::move(reading), 200);
      task<int> looking = status_of(post_to("s0", "[]", "Idempotency-Key: k" + std::to_string(time) + "\r\n"));
      EXPECT_EQ(co_await std::move(looking), 200);
    }
    const std::string page = registry_.render();
    EXPECT_NE(page.find("penstock_pool_connect_failures_total{pool=\"readers\"}"), std::string::npos) << page;
    co_await sleep_for(1s);
    time_point begun = scheduler::current().now();
    task<int> reading = status_of(get);
    EXPECT_EQ(co_await std::move(reading), 200);
    EXPECT_LT(scheduler::current().now() - begun, 1s);
  });
}

TEST_F(many_streams, tell_a_reader_that_the_database_keeps_waiting_so) {
  log::capture quiet;
  auto server = std::make_shared<marked_server>();
  service_options options = streams(1);
  options.read_timeout = 2s;
  simulate(server, options, [&]() -> task<void> {
    server->pause = [](const std::string&) { return duration(60s); };
    task<answer> asking = ask_server("GET /v1/s0/1 HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n");
    answer late = co_await std::move(asking);
    EXPECT_EQ(late.status, 503);
    EXPECT_EQ(late.json("/code"), R"("ingest.store_unreachable")");
    EXPECT_EQ(late.json("/detail"), R"("the database did not answer within 2s; try again later")");
    server->pause = nullptr;
  });
}

TEST_F(many_streams, make_the_service_unready_while_a_batch_of_one_takes_long) {
  auto server = std::make_shared<marked_server>();
  event unlocked;
  server->barrier = [&](const std::string& what) { return what == "ROWS s1" ? &unlocked : nullptr; };
  simulate(server, streams(2), [&]() -> task<void> {
    task_group waiting;
    auto post_there = [&]() -> task<void> {
      task<int> posting = status_of(post_to("s1", "1"));
      EXPECT_EQ(co_await std::move(posting), 200);
    };
    waiting.start(post_there());
    co_await sleep_for(4s);
    task<int> asking_early = status_of(is_ready);
    EXPECT_EQ(co_await std::move(asking_early), 200);
    co_await sleep_for(2s);
    task<answer> asking = ask_server(is_ready);
    answer late = co_await std::move(asking);
    EXPECT_EQ(late.status, 503);
    EXPECT_EQ(late.json("/stream"), "\"s1\"");
    unlocked.set();
    co_await waiting.join();
    task<int> asking_again = status_of(is_ready);
    EXPECT_EQ(co_await std::move(asking_again), 200);
  });
}

// Neither one that was stored, nor one that failed for itself, is under way any more.
TEST_F(many_streams, leave_the_service_ready_long_after_a_batch_of_one_has_ended) {
  log::capture quiet;
  auto server = std::make_shared<marked_server>();
  simulate(server, streams(1), [&]() -> task<void> {
    server->upsetting_rows = {"13"};
    for (const char* item : {"1", "13"}) {
      task<int> posting = status_of(post_to("s0", item));
      EXPECT_EQ(co_await std::move(posting), item == std::string("1") ? 200 : 503);
      co_await sleep_for(6s);
      task<int> asking = status_of(is_ready);
      EXPECT_EQ(co_await std::move(asking), 200) << item;
    }
  });
}

TEST_F(many_streams, leave_the_service_ready_while_a_batch_of_one_takes_long_and_others_go_in) {
  log::capture quiet;
  auto server = std::make_shared<marked_server>();
  event unlocked;
  bool is_first = true;
  server->barrier = [&](const std::string& what) {
    return what == "ROWS s0" && std::exchange(is_first, false) ? &unlocked : nullptr;
  };
  simulate(server, streams(1), [&]() -> task<void> {
    task_group waiting;
    auto post_there = [&]() -> task<void> {
      task<int> posting = status_of(post_to("s0", "1"));
      EXPECT_EQ(co_await std::move(posting), 200);
    };
    waiting.start(post_there());
    for (int second = 0; second < 10; ++second) {
      co_await sleep_for(1s);
      task<int> posting = status_of(post_to("s0", "2"));
      EXPECT_EQ(co_await std::move(posting), 200);
      task<int> asking = status_of(is_ready);
      EXPECT_EQ(co_await std::move(asking), 200) << second;
    }
    co_await sleep_for(6s);
    task<int> asking = status_of(is_ready);
    EXPECT_EQ(co_await std::move(asking), 503);
    unlocked.set();
    co_await waiting.join();
  });
}

TEST_F(many_streams, leave_the_service_ready_while_one_item_costs_a_session_each_time_that_it_is_tried) {
  auto server = std::make_shared<marked_server>();
  server->cuts = [](std::size_t, const std::string& what) {
    return what == "ROWS s0" ? std::optional(cut::before) : std::nullopt;
  };
  expect_ready_while_one_item_fails(server);
}

TEST_F(many_streams, leave_the_service_ready_while_one_item_conflicts_each_time_that_it_is_tried) {
  auto server = std::make_shared<marked_server>();
  server->commits_are_refused = true;
  expect_ready_while_one_item_fails(server);
}

// As a file whose disk may only be read, with a client that waits for each of its items before the next.
TEST_F(many_streams, keep_the_service_unready_while_one_after_another_fails_for_the_tables_sake) {
  log::capture quiet;
  auto server = std::make_shared<marked_server>();
  simulate(server, streams(1), [&]() -> task<void> {
    server->upset_as = db::db_errc::read_only;
    server->upsetting_rows = {"1"};
    task_group posting;
    bool has_ended = false;
    auto post_one_after_another = [&]() -> task<void> {
      for (int time = 0; time < 4; ++time) {
        task<int> one = status_of(post_to("s0", "1"));
        EXPECT_EQ(co_await std::move(one), 503);
        co_await sleep_for(500ms);
      }
      has_ended = true;
    };
    const time_point start = scheduler::current().now();
    posting.start(post_one_after_another());
    co_await sleep_for(5100ms);
    while (!has_ended) {
      task<int> asking = status_of(is_ready);
      EXPECT_EQ(co_await std::move(asking), 503) << (scheduler::current().now() - start) / 1ms;
      co_await sleep_for(250ms);
    }
    co_await posting.join();
    co_await sleep_for(5s);
    task<int> asking = status_of(is_ready);
    EXPECT_EQ(co_await std::move(asking), 200) << "nothing was tried";
  });
}

// One that fails for itself is not to keep the service away from others for good.
TEST_F(many_streams, leave_the_service_ready_once_only_one_item_fails_that_is_at_fault_itself) {
  log::capture quiet;
  auto server = std::make_shared<marked_server>();
  simulate(server, streams(1), [&]() -> task<void> {
    server->upsetting_rows = {"1"};
    server->upset_as = db::db_errc::full;
    task<int> table = status_of(post_to("s0", "1"));
    EXPECT_EQ(co_await std::move(table), 503);
    task<int> asking = status_of(is_ready);
    EXPECT_EQ(co_await std::move(asking), 503);
    server->upset_as = db::db_errc::other;
    for (int second = 0; second < 6; ++second) {
      co_await sleep_for(1s);
      task<int> one = status_of(post_to("s0", "1"));
      EXPECT_EQ(co_await std::move(one), 503);
    }
    task<int> asking_again = status_of(is_ready);
    EXPECT_EQ(co_await std::move(asking_again), 200);
  });
}

TEST_F(many_streams, let_a_reader_wait_for_a_session_as_long_as_it_may) {
  auto server = std::make_shared<marked_server>();
  service_options options = streams(1);
  options.read_connections = 1;
  simulate(server, options, [&]() -> task<void> {
    server->pause = [](const std::string& what) { return what == "SELECT" ? duration(8s) : duration(1ms); };
    std::vector<int> told;
    auto read = [&]() -> task<void> {
      task<int> reading = status_of("GET /v1/s0/1 HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n");
      told.push_back(co_await std::move(reading));
    };
    task_group readers;
    for (int i = 0; i < 3; ++i) readers.start(read());
    co_await readers.join();
    EXPECT_EQ(told, (std::vector<int>{200, 200, 200}));
    server->pause = nullptr;
  });
}

TEST_F(many_streams, are_counted_for_the_sessions_that_a_service_uses) {
  db::database server(std::make_shared<marked_driver>(std::make_shared<marked_server>()));
  EXPECT_EQ(used_sessions(streams(1), server), 2u + 4u);
  EXPECT_EQ(used_sessions(streams(3), server), 2u + 10u);
  EXPECT_EQ(used_sessions(streams(11), server), 2u + 33u);
  EXPECT_EQ(used_sessions(streams(9), db::database("sqlite::memory:")), 2u + 1u);
  service_options wide = streams(2);
  wide.batch.commits_in_flight = 40;
  EXPECT_EQ(used_sessions(wide, server), 2u + 41u);
}

}  // namespace
}  // namespace penstock::ingest

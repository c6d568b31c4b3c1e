// How a server stops, and how little clients can do to each other.

#include "test_server.h"
#include <penstock/async/cancel.h>
#include <penstock/observe/log_capture.h>

#include <gtest/gtest.h>

namespace penstock::http {
namespace {

using namespace std::chrono_literals;

router slow_routes() {
  router routes = echo_routes();
  routes.add("GET", "/slow/{seconds}", [](request& r) -> task<response> {
    co_await sleep_for(std::chrono::seconds(std::stoi(std::string(r.parameter("seconds")))));
    co_return response::text(200, "slept");
  });
  return routes;
}

TEST(stop, closes_idle_connections_at_once) {
  duration took = with_server(slow_routes(), {}, [](test_server& s) -> task<> {
    test_client used = s.connect();
    used.send(get("/x"));
    co_await used.receive();
    s.server.stop();
    EXPECT_TRUE(co_await used.closed());
    EXPECT_TRUE(s.listener.closed());
  });
  EXPECT_LT(took, 1s);
}

TEST(stop, answers_what_is_under_way_and_says_that_it_closes) {
  with_server(slow_routes(), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(get("/slow/5") + get("/never"));
    co_await sleep_for(1s);
    s.server.stop();
    answer a = co_await c.receive();
    EXPECT_EQ(a.body, "slept");
    EXPECT_EQ(a.field("Connection"), "close");
    EXPECT_TRUE(co_await c.closed());
  });
}

TEST(stop, a_request_that_comes_in_that_moment_is_answered_once_it_was_read) {
  for (int turns = 0; turns < 12; ++turns) {
    int started = 0;
    int answered = 0;
    router routes;
    routes.add("GET", "/x", [&](request&) -> task<response> {
      ++started;
      co_await sleep_for(1ms);
      co_return response(204, "");
    });
    with_server(std::move(routes), {.stop_linger = 1s}, [&](test_server& s) -> task<> {
      test_client c = s.connect();
      c.send(get("/x"));
      co_await c.receive();
      s.server.stop();
      co_await sleep_for(1s);
      for (int i = 0; i < turns; ++i) co_await yield();
      c.send(get("/x"));
      answer a = co_await c.receive();
      answered = a.status == 204 ? 2 : 1;
    });
    EXPECT_EQ(started, answered) << turns;
  }
}

TEST(stop, whoever_waits_to_be_accepted_as_the_port_closes_is_answered) {
  int asked = 0;
  for (int turns = 0; turns < 8; ++turns) {
    with_server(slow_routes(), {.stop_linger = 1s}, [&](test_server& s) -> task<> {
      s.server.stop();
      co_await sleep_for(1s);
      for (int i = 0; i < turns; ++i) co_await yield();
      if (s.listener.closed()) co_return;
      ++asked;
      test_client c = s.connect();
      c.send(get("/x"));
      answer a = co_await c.receive();
      EXPECT_EQ(a.body, "/x") << turns;
    });
  }
  EXPECT_GT(asked, 0);
}

TEST(stop, whoever_waits_for_idle_connections_to_make_room_is_answered) {
  with_server(slow_routes(), {.max_connections = 2}, [](test_server& s) -> task<> {
    test_client idle[] = {s.connect(), s.connect()};
    for (test_client& c : idle) {
      c.send(get("/x"));
      co_await c.receive();
    }
    test_client waiting = s.connect();
    waiting.send(get("/late"));
    co_await settle();
    s.server.stop();
    answer a = co_await waiting.receive();
    EXPECT_EQ(a.body, "/late");
  });
}

TEST(stop, clients_who_come_back_to_a_full_server_do_not_keep_the_port_open) {
  router routes;
  routes.add("GET", "/x", [](request&) -> task<response> {
    co_await sleep_for(100ms);
    co_return response(204, "");
  });
  duration took = with_server(std::move(routes), {.max_connections = 1}, [](test_server& s) -> task<> {
    auto come_back = [&]() -> task<> {
      for (int times = 0; !s.listener.closed() && times < 200; ++times) {
        test_client c = s.connect();
        c.send(get("/x", "Connection: close\r\n"));
        try {
          task<answer> receiving = with_timeout(2s, c.receive());
          co_await std::move(receiving);
        } catch (const timed_out&) {  // it waits behind the closed port
        }
      }
    };
    auto all = [&](task_group& group) -> task<> {
      for (int i = 0; i < 3; ++i) group.start(come_back());
      co_await sleep_for(1s);
      s.server.stop();
    };
    task<void> coming = with_task_group(all);
    co_await std::move(coming);
  });
  EXPECT_LT(took, 4s);
}

// Nobody comes until the server lingers no more, and then somebody always waits.
class never_empty_listener final : public net::listener {
 public:
  static constexpr int far_too_many = 50'000;

  task<std::unique_ptr<net::stream>> accept() override {
    try {
      if (!lingers_no_more_ || accepted_ == far_too_many) co_await nobody_.wait();
    } catch (const operation_cancelled&) {
      lingers_no_more_ = true;
      throw;
    }
    ++accepted_;
    auto ended = std::make_shared<memory_pipe>();
    ended->ended = true;
    co_return std::make_unique<memory_stream>(ended, std::make_shared<memory_pipe>());
  }
  void close() noexcept override {}
  const net::endpoint& local_endpoint() const noexcept override { return where_; }
  int accepted() const noexcept { return accepted_; }

 private:
  bool lingers_no_more_ = false;
  int accepted_ = 0;
  event nobody_;
  net::endpoint where_ = net::endpoint::parse("127.0.0.1:1");
};

TEST(stop, clients_who_come_back_at_once_do_not_keep_the_port_open) {
  server stopping(slow_routes(), {});
  never_empty_listener busy;
  stopping.stop();
  testing::simulation sim;
  sim.run(stopping.serve(busy));
  EXPECT_GT(busy.accepted(), 0);
  EXPECT_LT(busy.accepted(), never_empty_listener::far_too_many);
}

TEST(stop, the_last_answer_is_not_lost_under_a_request_that_crossed_it) {
  duration took = with_server(slow_routes(), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(get("/slow/5"));
    co_await settle();
    c.send(get("/never"));
    s.server.stop();
    answer a = co_await c.receive();
    EXPECT_EQ(a.body, "slept");
    EXPECT_FALSE(c.server_is_gone());
    EXPECT_EQ(c.unread(), 0u);
    c.finish_sending();
    co_await settle();
    EXPECT_TRUE(c.server_is_gone());
  });
  EXPECT_EQ(took, 5s);
}

TEST(stop, waits_a_second_at_most_for_the_end_of_a_client_that_got_its_last_answer) {
  duration took = with_server(slow_routes(), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(get("/slow/5"));
    co_await settle();
    s.server.stop();
    co_await c.receive();
    co_await sleep_for(1s);
    co_await settle();
    EXPECT_TRUE(c.server_is_gone());
  });
  EXPECT_LE(took, 6s);
}

TEST(stop, waits_for_a_head_that_has_begun) {
  with_server(slow_routes(), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send("GET /x HTTP/1.1\r\n");
    co_await settle();
    s.server.stop();
    co_await sleep_for(2s);
    c.send("Host: t\r\n\r\n");
    answer a = co_await c.receive();
    EXPECT_EQ(a.body, "/x");
    EXPECT_EQ(a.field("Connection"), "close");
  });
}

TEST(stop, waits_for_a_head_that_has_begun_behind_an_answer) {
  with_server(slow_routes(), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(get("/x"));
    co_await c.receive();
    c.send("GET /y HTTP/1.1\r\n");
    co_await settle();
    s.server.stop();
    co_await sleep_for(1s);  // longer than `stop_linger`: connections are ended from then on
    c.send("Host: t\r\n");
    co_await settle();
    c.send("\r\n");
    answer a = co_await c.receive();
    EXPECT_EQ(a.body, "/y");
  });
}

TEST(stop, a_connection_accepted_just_before_is_answered_and_none_lingers) {
  duration took = with_server(slow_routes(), {}, [](test_server& s) -> task<> {
    co_await settle();
    test_client silent = s.connect();
    test_client asking = s.connect();
    asking.send(get("/x"));
    while (s.server.stats().connections < 2) co_await yield();
    s.server.stop();
    answer a = co_await asking.receive();
    EXPECT_TRUE(a.status == 200 || a.status == 0);
    EXPECT_TRUE(co_await silent.closed());
  });
  EXPECT_LE(took, 2s);
}

TEST(stop, a_connection_accepted_while_the_server_lingers_has_time_to_ask) {
  with_server(slow_routes(), {.stop_linger = 1s}, [](test_server& s) -> task<> {
    co_await settle();
    s.server.stop();
    co_await sleep_for(900ms);
    test_client c = s.connect();
    co_await sleep_for(200ms);
    c.send(get("/x"));
    answer a = co_await c.receive();
    EXPECT_EQ(a.body, "/x");
  });
}

TEST(stop, cancelling_serve_cancels_handlers_and_logs_nothing) {
  log::capture logged(log::line_format::text, log::level::info);
  testing::simulation sim;
  bool cancelled = false;
  router routes;
  routes.add("GET", "/x", [&](request&) -> task<response> {
    try {
      co_await sleep_for(1h);
    } catch (const operation_cancelled&) {
      cancelled = true;
      throw;
    }
    co_return response(204, "");
  });
  test_server s(std::move(routes), {});
  auto run_and_cancel = [&]() -> task<> {
    cancel_scope scope;
    co_await with_task_group([&](task_group& group) -> task<> {
      auto serving = [&]() -> task<> {
        try {
          task<> running = scope.run(s.server.serve(s.listener));
          co_await std::move(running);
        } catch (const operation_cancelled&) {
          co_return;
        }
      };
      auto started = serving();
      group.start(std::move(started));
      test_client c = s.connect();
      c.send(get("/x"));
      co_await sleep_for(1s);
      scope.cancel("enough");
      EXPECT_TRUE(co_await c.closed());
    });
  };
  task<> main = run_and_cancel();
  sim.run(std::move(main));
  EXPECT_TRUE(cancelled);
  EXPECT_EQ(s.server.stats().open_connections, 0u);
  EXPECT_EQ(logged.text(), "");
}

TEST(isolation, slow_clients_do_not_hold_up_others) {
  with_server(slow_routes(), {}, [](test_server& s) -> task<> {
    std::vector<test_client> slow;
    for (int i = 0; i < 200; ++i) {
      slow.push_back(s.connect());
      slow.back().send(i % 3 == 0 ? "GET /x HTT" : i % 3 == 1 ? get("/slow/8") : post("/x", "").substr(0, 20));
    }
    co_await settle();
    test_client quick = s.connect();
    time_point before = scheduler::current().now();
    for (int i = 0; i < 50; ++i) {
      quick.send(get("/q"));
      answer a = co_await quick.receive();
      EXPECT_EQ(a.status, 200);
    }
    EXPECT_EQ(scheduler::current().now() - before, 0s);
  });
}

TEST(isolation, a_client_that_pipelines_without_end_lets_others_in) {
  with_server(echo_routes(), {.max_pipelined_bytes = 2000}, [](test_server& s) -> task<> {
    test_client greedy = s.connect();
    std::string all;
    for (int i = 0; i < 2000; ++i) all += get("/g");
    greedy.send(all);
    greedy.take_at_most(2000);
    test_client other = s.connect();
    other.send(get("/o"));
    answer a = co_await other.receive();
    EXPECT_EQ(a.body, "/o");
    EXPECT_LT(s.server.stats().requests, 200u);
    greedy.reset();
  });
}

TEST(isolation, a_client_that_leaves_does_not_cancel_its_handler) {
  log::capture logged(log::line_format::text, log::level::info);
  bool ended = false;
  router routes;
  routes.add("POST", "/x", [&](request& r) -> task<response> {
    task<std::string> reading = r.body().read_all(100);
    std::string body = co_await std::move(reading);
    co_await sleep_for(5s);
    ended = body == "stored";
    co_return response::text(200, "too late");
  });
  with_server(std::move(routes), {}, [&](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(post("/x", "stored"));
    co_await sleep_for(1s);
    c.reset();
    co_await sleep_for(5s);
    EXPECT_TRUE(ended);
    EXPECT_EQ(s.server.stats().open_connections, 0u);
    EXPECT_EQ(s.server.stats().requests_in_flight, 0u);
  });
  EXPECT_EQ(logged.text(), "");
}

}  // namespace
}  // namespace penstock::http

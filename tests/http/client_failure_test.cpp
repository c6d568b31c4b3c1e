// What the client makes of peers that fail, lie or say nothing.

#include "client_peers.h"
#include "net/turns.h"
#include <penstock/async/event.h>
#include <penstock/async/gather.h>
#include <penstock/async/timeout.h>
#include <penstock/testing/error.h>

#include <array>
#include <cstddef>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::http {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

TEST(client_failure, a_refused_connection_names_the_url) {
  auto body = []() -> task<> {
    std::unique_ptr<net::listener> at = net::listen(net::endpoint::parse("127.0.0.1:0"));
    std::string url = "http://" + at->local_endpoint().to_string() + "/x";
    at->close();
    client c;
    task<client_error> failing = failure_of(c, url);
    client_error e = co_await std::move(failing);
    EXPECT_EQ(e.errc(), client_errc::connect_failed) << e.what();
    EXPECT_EQ(e.url(), url);
    EXPECT_THAT(e.what(), HasSubstr(url));
  };
  net::run(body());
}

TEST(client_failure, an_unknown_host_is_told) {
  auto body = []() -> task<> {
    client c;
    task<client_error> failing = failure_of(c, "http://no-such-host.invalid/");
    client_error e = co_await std::move(failing);
    EXPECT_EQ(e.errc(), client_errc::resolve_failed) << e.what();
    EXPECT_THAT(e.what(), HasSubstr("no-such-host.invalid"));
  };
  net::run(body());
}

TEST(client_failure, the_message_shows_no_password_and_no_secret_of_the_query) {
  auto body = []() -> task<> {
    client c;
    task<client_error> failing = failure_of(c, "http://joe:hunter2@no-such-host.invalid/?token=abc&page=2");
    client_error e = co_await std::move(failing);
    EXPECT_THAT(e.what(), HasSubstr("joe:***@no-such-host.invalid/?token=***&page=2"));
  };
  net::run(body());
}

TEST(client_failure, malformed_answers_are_broken_responses) {
  expect_failure("what a mess\r\n\r\n", client_errc::broken_response);
  expect_failure("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", client_errc::broken_response);
  expect_failure("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n", client_errc::broken_response);
  expect_failure("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
                 client_errc::broken_response);
  expect_failure("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", client_errc::broken_response);
}

TEST(client_failure, a_peer_that_closes_without_an_answer_is_a_lost_connection) {
  expect_failure("", client_errc::connection_lost);
}

TEST(client_failure, an_answer_beyond_the_cap_is_refused_and_the_limit_named) {
  client_options options{.max_response_bytes = 4096};
  std::string body(4097, 'x');
  expect_failure("HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\nx", client_errc::too_large, options);
  expect_failure("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body, client_errc::too_large, options);
  with_peer(answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1001\r\n" + body + "\r\n0\r\n\r\n"),
            [&](std::string url) -> task<> {
              client c(options);
              task<client_error> failing = failure_of(c, url);
              client_error e = co_await std::move(failing);
              EXPECT_EQ(e.errc(), client_errc::too_large);
              EXPECT_THAT(e.what(), HasSubstr(url + ": the answer exceeds 4KiB"));
            });
}

TEST(client_failure, an_answer_of_just_the_cap_is_taken) {
  client_options options{.max_response_bytes = 4096};
  with_peer(answers("HTTP/1.1 200 OK\r\nContent-Length: 4096\r\n\r\n" + std::string(4096, 'x')),
            [&](std::string url) -> task<> {
              client c(options);
              client_response answer = co_await c.get(url);
              EXPECT_EQ(answer.body.size(), 4096u);
            });
}

TEST(client_failure, a_header_beyond_its_limit_is_refused) {
  std::string fields;
  for (int i = 0; i < 100; ++i) fields += "X-Field: " + std::string(100, 'x') + "\r\n";
  expect_failure("HTTP/1.1 200 OK\r\n" + fields + "\r\n", client_errc::too_large, {.max_header_bytes = 4096});
}

TEST(client_failure, chunks_interim_answers_and_trailers_make_one_answer) {
  with_peer(answers("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Kind: real\r\n\r\n"
                    "3\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Late: 1\r\n\r\n"),
            [](std::string url) -> task<> {
              client c;
              client_response answer = co_await c.get(url);
              EXPECT_EQ(answer.status, 200);
              EXPECT_EQ(answer.body, "abcdefg");
              EXPECT_EQ(answer.header("x-kind"), "real");
              EXPECT_EQ(answer.header("Link"), std::nullopt);
              EXPECT_EQ(answer.header("X-Late"), std::nullopt);
            });
}

TEST(client_failure, a_peer_that_never_answers_meets_the_request_timeout) {
  with_peer(stays_silent(), [](std::string url) -> task<> {
    client c({.request_timeout = 20ms});
    task<client_error> failing = failure_of(c, url);
    client_error e = co_await std::move(failing);
    EXPECT_EQ(e.errc(), client_errc::timed_out);
    EXPECT_THAT(e.what(), HasSubstr(url + ": no whole answer within 20ms"));
  });
}

TEST(client_failure, a_peer_that_stops_in_the_middle_meets_the_idle_timeout) {
  testing::peer_script stops = answers("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").read_to_end();
  with_peer(stops, [](std::string url) -> task<> {
    client c({.idle_timeout = 500ms});
    task<client_error> failing = failure_of(c, url);
    client_error e = co_await std::move(failing);
    EXPECT_EQ(e.errc(), client_errc::timed_out) << e.what();
  });
}

TEST(client_failure, a_peer_that_never_shakes_hands_meets_the_connect_timeout) {
  with_peer(stays_silent(), [](std::string url) -> task<> {
    client c({.connect_timeout = 20ms});
    task<client_error> failing = failure_of(c, "https" + url.substr(4));
    client_error e = co_await std::move(failing);
    EXPECT_EQ(e.errc(), client_errc::connect_failed) << e.what();
  });
}

TEST(client_failure, an_inherited_deadline_cuts_the_request_short) {
  with_peer(stays_silent(), [](std::string url) -> task<> {
    client c;
    task<client_response> getting = c.get(url);
    task<client_response> limited = with_timeout(20ms, std::move(getting));
    EXPECT_THROW(co_await std::move(limited), timed_out);
    EXPECT_EQ(c.stats().cancelled, 1u);
    EXPECT_EQ(c.stats().in_flight, 0u);
  });
}

TEST(client_failure, a_cancelled_request_closes_its_connection_at_once) {
  event asked, closed;
  auto set = [](event& e) -> task<> {
    e.set();
    co_return;
  };
  testing::peer_script waits = takes_a_request();
  waits.then([&](net::stream&) { return set(asked); }).read_to_end().then([&](net::stream&) { return set(closed); });
  with_peer(waits, [&](std::string url) -> task<> {
    client c;
    cancel_scope scope;
    task<client_response> getting = scope.run(c.get(url));
    auto cancel = [&]() -> task<> {
      co_await asked.wait();
      scope.cancel("enough");
    };
    auto both = gather_settled(std::move(getting), cancel());
    auto ended = co_await std::move(both);
    EXPECT_NE(std::get<0>(ended).error_as<operation_cancelled>(), nullptr);
    co_await closed.wait();
    EXPECT_EQ(c.stats().cancelled, 1u);
  });
}

// Answers requests in small pieces, until the client leaves.
task<> answers_slowly(net::stream& connection) {
  const testing::peer_script takes = takes_a_request();
  for (;;) {
    try {
      task<std::string> taking = takes.play(connection);
      co_await std::move(taking);
    } catch (const error& left) {
      if (!left.is(testing::testing_errc::off_script)) throw;
      co_return;
    }
    for (std::string_view piece : {"HTTP/1.1 200 OK\r\n", "Content-Length: 4\r\n", "\r\n", "a", "b", "c", "d"}) {
      task<> writing = connection.write(net::bytes_of(piece));
      co_await std::move(writing);
      for (int i = 0; i < 3; ++i) co_await yield();
    }
  }
}

TEST(client_failure, a_request_can_be_cancelled_at_every_turn_and_the_client_goes_on) {
  testing::peer_script slow;
  slow.then(answers_slowly);
  with_peer(slow, [](std::string url) -> task<> {
    client c({.max_connections = 2});
    int cancelled = 0, answered = 0;
    for (int turns = 0; turns < 600; turns += 3) {
      task<client_response> getting = c.get(url);
      task<bool> cut = net::cancelled_after_turns(turns, std::move(getting));
      bool was_cut = co_await std::move(cut);
      ++(was_cut ? cancelled : answered);
      EXPECT_EQ(c.stats().in_flight, 0u);
      EXPECT_EQ(c.stats().waiting, 0u);
      task<client_response> after = c.get(url);
      client_response answer = co_await std::move(after);
      EXPECT_EQ(answer.body, "abcd");
    }
    EXPECT_GT(cancelled, 10);
    EXPECT_GT(answered, 10);
  });
}

TEST(client_failure, a_task_destroyed_in_the_middle_leaves_nothing_behind) {
  with_peer(stays_silent(), [](std::string url) -> task<> {
    client c;
    {
      task_group group;
      auto get = [&]() -> task<> {
        task<client_response> getting = c.get(url);
        co_await std::move(getting);
      };
      for (int i = 0; i < 3; ++i) group.start(get());
      for (int i = 0; i < 20; ++i) co_await yield();
      EXPECT_EQ(c.stats().in_flight, 3u);
    }
    EXPECT_EQ(c.stats().in_flight, 0u);
  });
}

// Answers one request of a connection, takes the next and closes; from the second connection on it answers.
std::vector<testing::peer_script> closes_a_kept_connection(int& requests) {
  auto count = [&requests](net::stream&) -> task<> {
    ++requests;
    co_return;
  };
  testing::peer_script closes = takes_a_request();
  closes.then(count).send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").read_until("\r\n\r\n").then(count);
  testing::peer_script answers = takes_a_request();
  answers.then(count).send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").read_to_end();
  return {closes, answers};
}

TEST(client_failure, a_post_is_not_sent_twice_when_a_kept_connection_closes) {
  int requests = 0;
  std::vector<testing::peer_script> scripts = closes_a_kept_connection(requests);
  // libcurl makes a second connection, and then says nothing over it.
  auto count_if_any = [&requests](net::stream& s) -> task<> {
    std::array<std::byte, 1> first_byte;
    task<std::size_t> reading = s.read_some(first_byte);
    if (co_await std::move(reading) > 0) ++requests;
  };
  scripts.back() = testing::peer_script().then(count_if_any);
  with_peer(std::move(scripts), [&](std::string url) -> task<> {
    client c;
    client_response first = co_await c.get(url);
    EXPECT_EQ(first.body, "ok");
    task<client_error> failing = failure_of(c, client_request("POST", url));
    client_error e = co_await std::move(failing);
    EXPECT_EQ(e.errc(), client_errc::connection_lost) << e.what();
  });
  EXPECT_EQ(requests, 2);
}

TEST(client_failure, a_get_and_a_post_with_an_idempotency_key_are_sent_again) {
  for (bool get : {true, false}) {
    int requests = 0;
    with_peer(closes_a_kept_connection(requests), [&](std::string url) -> task<> {
      client c;
      client_response first = co_await c.get(url);
      EXPECT_EQ(first.body, "ok");
      client_request again = get ? client_request(url) : client_request("POST", url).with("Idempotency-Key", "k1");
      task<client_response> sending = c.send(std::move(again));
      client_response answer = co_await std::move(sending);
      EXPECT_EQ(answer.body, "ok");
      EXPECT_EQ(requests, 3);
    });
  }
}

// It may have been carried out: the server had it whole, and died.
TEST(client_failure, what_was_sent_is_lost_and_not_unsent_when_no_connection_is_left_to_send_it_again) {
  auto body = []() -> task<> {
    std::unique_ptr<net::listener> at = net::listen(net::endpoint::parse("127.0.0.1:0"));
    std::string url = "http://" + at->local_endpoint().to_string() + "/";
    auto serve = [&]() -> task<> {
      task<std::unique_ptr<net::stream>> accepting = at->accept();
      std::unique_ptr<net::stream> peer = co_await std::move(accepting);
      std::array<std::byte, 4096> request;
      std::string_view answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
      for (bool first : {true, false}) {
        task<std::size_t> reading = peer->read_some(request);
        co_await std::move(reading);
        if (!first) break;
        task<void> writing = peer->write(std::as_bytes(std::span(answer)));
        co_await std::move(writing);
      }
      at->close();
    };
    auto ask = [&]() -> task<> {
      client c;
      task<client_response> getting = c.get(url);
      client_response first = co_await std::move(getting);
      EXPECT_EQ(first.body, "ok");
      task<client_error> failing = failure_of(c, client_request("POST", url).with("Idempotency-Key", "k1"));
      client_error e = co_await std::move(failing);
      EXPECT_EQ(e.errc(), client_errc::connection_lost) << e.what();
      EXPECT_THAT(e.what(), HasSubstr("the kept connection was closed before an answer"));
    };
    auto both = gather(serve(), ask());
    co_await std::move(both);
  };
  net::run(body());
}

TEST(client_failure, what_comes_beyond_the_waiting_limit_is_refused_at_once) {
  with_peer(stays_silent(), [](std::string url) -> task<> {
    client c({.max_connections = 1, .max_waiting_requests = 1});
    task_group group;
    auto get = [&]() -> task<> {
      task<client_response> getting = c.get(url);
      co_await std::move(getting);
    };
    group.start(get());
    group.start(get());
    while (c.stats().waiting == 0) co_await yield();
    task<client_error> failing = failure_of(c, url);
    client_error e = co_await std::move(failing);
    EXPECT_EQ(e.errc(), client_errc::overloaded);
    EXPECT_EQ(c.stats().in_flight, 2u);
    group.cancel();
    task<> joining = group.join();
    co_await std::move(joining);
  });
}

TEST(client_failure, what_can_not_be_sent_is_refused_before_it_is) {
  auto body = []() -> task<> {
    client c;
    struct {
      client_request request;
      client_errc code;
    } cases[] = {
        {client_request("no scheme"), client_errc::bad_url},
        {client_request("127.0.0.1:80"), client_errc::bad_url},
        {client_request("file:///etc/passwd"), client_errc::bad_url},
        {client_request("ftp://127.0.0.1/"), client_errc::bad_url},
        {client_request("http://"), client_errc::bad_url},
        {client_request("http://127.0.0.1:99999/"), client_errc::bad_url},
        {client_request("http://127.0.0.1/a b"), client_errc::bad_url},
        {client_request("http://127.0.0.1/\r\nX: 1"), client_errc::bad_url},
        {client_request("GET /\r\n", "http://127.0.0.1/"), client_errc::bad_request},
        {client_request("", "http://127.0.0.1/"), client_errc::bad_request},
        {client_request("http://127.0.0.1/").with("X", "a\r\nY: b"), client_errc::bad_request},
        {client_request("http://127.0.0.1/").with("X:", "a"), client_errc::bad_request},
        {client_request("http://127.0.0.1/").with("Content-Length", "3"), client_errc::bad_request},
        {client_request("http://127.0.0.1/").with("transfer-encoding", "chunked"), client_errc::bad_request},
    };
    for (auto& one : cases) {
      task<client_error> failing = failure_of(c, one.request);
      client_error e = co_await std::move(failing);
      EXPECT_EQ(code_name(e.errc()), code_name(one.code)) << one.request.url << ": " << e.what();
    }
  };
  net::run(body());
}

}  // namespace
}  // namespace penstock::http

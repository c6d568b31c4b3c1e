#include <penstock/async/timeout.h>
#include <penstock/http/client.h>
#include <penstock/net/event_loop.h>
#include <penstock/testing/mock_http_server.h>

#include <functional>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

namespace penstock::testing {
namespace {

using namespace std::chrono_literals;
using http::client;
using http::client_errc;
using http::client_response;
using ::testing::HasSubstr;

using body_function = task<>(mock_http_server&);

void beside_server(std::function<body_function> body) { net::run(with_mock_http_server(std::move(body))); }

task<client_response> get(mock_http_server& server, std::string path) {
  client asks;
  task<client_response> getting = asks.get(server.url(path));
  co_return co_await std::move(getting);
}

// How a GET fails: the code's name, or the status that it was answered with.
task<std::string> failure_of_get(mock_http_server& server, const http::client_options& options) {
  client asks(options);
  try {
    task<client_response> getting = asks.get(server.url("/"));
    client_response answer = co_await std::move(getting);
    co_return std::to_string(answer.status);
  } catch (const http::client_error& e) {
    co_return std::string(code_name(e.errc()));
  }
}

std::string failure_with(const mock_answer& answer, const http::client_options& options = {}) {
  std::string failure;
  beside_server([&](mock_http_server& server) -> task<> {
    server.expect("GET", "/").answers(answer);
    task<std::string> failing = failure_of_get(server, options);
    failure = co_await std::move(failing);
  });
  return failure;
}

TEST(mock_http_server, gives_its_answers_in_turn_and_the_last_for_all_that_follow) {
  beside_server([](mock_http_server& server) -> task<> {
    mock_answer found(200, "Ann");
    found.with("X-Kind", "user");
    server.expect("GET", "/users/7").answers(mock_answer(503)).answers(found).times(3);
    std::string statuses;
    for (int i = 0; i < 3; ++i) {
      task<client_response> getting = get(server, "/users/7?full=1");
      client_response answer = co_await std::move(getting);
      statuses += std::to_string(answer.status) + " " + answer.body + ",";
      EXPECT_EQ(answer.header("X-Kind").has_value(), i > 0);
    }
    EXPECT_EQ(statuses, "503 ,200 Ann,200 Ann,");
  });
}

TEST(mock_http_server, records_requests) {
  beside_server([](mock_http_server& server) -> task<> {
    server.expect("POST", "/items");
    client asks;
    task<client_response> posting = asks.post(server.url("/items?a=b"), R"({"n":1})");
    co_await std::move(posting);
    if (server.requests().size() != 1u) {
      ADD_FAILURE() << server.requests().size() << " requests";
      co_return;
    }
    const mock_request& got = server.requests().front();
    EXPECT_EQ(got.method + " " + got.target, "POST /items?a=b");
    EXPECT_EQ(got.body, R"({"n":1})");
    EXPECT_THAT(got.headers,
                ::testing::Contains(std::pair<std::string, std::string>("Content-Type", "application/json")));
  });
}

TEST(mock_http_server, may_take_its_time) {
  mock_answer late(200);
  late.after(10s);
  EXPECT_EQ(failure_with(late, {.request_timeout = 50ms}), code_name(client_errc::timed_out));
  mock_answer soon(204);
  soon.after(1ms);
  EXPECT_EQ(failure_with(soon), "204");
}

TEST(mock_http_server, may_say_nothing) {
  EXPECT_EQ(failure_with(mock_answer::silence(), {.request_timeout = 50ms}), code_name(client_errc::timed_out));
}

TEST(mock_http_server, may_end_an_answer_in_the_middle) {
  for (std::size_t bytes : {0, 1, 9}) {
    mock_answer cut(200, "0123456789"), reset(200, "0123456789");
    cut.cut_after(bytes);
    reset.reset_after(bytes);
    EXPECT_EQ(failure_with(cut), code_name(client_errc::broken_response)) << bytes;
    EXPECT_EQ(failure_with(reset), code_name(client_errc::broken_response)) << bytes;
  }
}

TEST(mock_http_server, may_reset_instead_of_answering) {
  EXPECT_EQ(failure_with(mock_answer::reset()), code_name(client_errc::connection_lost));
}

TEST(mock_http_server, may_answer_without_an_end) {
  mock_answer endless(200, std::string(100'000, 'x'));
  endless.without_end();
  EXPECT_EQ(failure_with(endless, {.max_response_bytes = 250'000}), code_name(client_errc::too_large));
}

// The failures that a test beside a mock server is given.
void collect(::testing::TestPartResultArray& failures, std::function<body_function> body) {
  ::testing::ScopedFakeTestPartResultReporter reporter(
      ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &failures);
  beside_server(std::move(body));
}

TEST(mock_http_server, fails_a_test_that_asked_for_less_than_was_expected) {
  ::testing::TestPartResultArray failures;
  collect(failures, [](mock_http_server& server) -> task<> {
    server.expect("GET", "/never").times(2);
    server.expect("GET", "/perhaps").any_times();
    co_return;
  });
  ASSERT_EQ(failures.size(), 1);
  EXPECT_THAT(failures.GetTestPartResult(0).message(), HasSubstr("expected GET /never 2 times, and got it 0 times"));
  EXPECT_THAT(failures.GetTestPartResult(0).file_name(), HasSubstr("mock_http_server_test.cpp"));
}

TEST(mock_http_server, answers_500_to_what_it_does_not_expect_and_fails_the_test) {
  ::testing::TestPartResultArray failures;
  collect(failures, [](mock_http_server& server) -> task<> {
    server.expect("GET", "/once");
    for (const char* path : {"/once", "/once", "/other?x"}) {
      task<client_response> getting = get(server, path);
      client_response answer = co_await std::move(getting);
      EXPECT_EQ(answer.status, server.requests().size() == 1 ? 200 : 500);
    }
  });
  ASSERT_EQ(failures.size(), 2);
  EXPECT_THAT(failures.GetTestPartResult(0).message(), HasSubstr("got GET /once, which it did not expect"));
  EXPECT_THAT(failures.GetTestPartResult(1).message(), HasSubstr("got GET /other?x, which it did not expect"));
}

}  // namespace
}  // namespace penstock::testing

// What becomes of a handler's exception, and of an answer that can't be sent.

#include "test_server.h"
#include <penstock/async/gather.h>
#include <penstock/http/problem.h>
#include <penstock/observe/log.h>
#include <penstock/observe/log_capture.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::http {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

enum class shop_errc { sold_out, store_broken };
constexpr std::string_view code_name(shop_errc code) {
  return code == shop_errc::sold_out ? "shop.sold_out" : "shop.store_broken";
}

task<int> read_the_shelf() {
  co_await yield();
  throw std::runtime_error("the shelf is empty");
}

task<void> wait_and_drop_the_shelf() {
  bool cancelled = false;
  try {
    co_await sleep_for(1h);
  } catch (const operation_cancelled&) {
    cancelled = true;
  }
  if (cancelled) throw std::runtime_error("the shelf fell over");
}

answer ask(handler h, log::capture&) {
  router routes;
  routes.add("GET", "/x", std::move(h));
  routes.add("GET", "/next", answer_path);
  answer first;
  with_server(std::move(routes), {}, [&](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(get("/x", "X-Request-Id: given-id-7\r\n") + get("/next"));
    first = co_await c.receive();
    answer next = co_await c.receive();
    EXPECT_EQ(next.body, "/next") << "a failed request must not harm the next";
  });
  return first;
}

TEST(failure, an_exception_is_a_500_problem_with_the_id_its_traceback_is_logged_under) {
  log::capture logged;
  answer a = ask(
      [](request&) -> task<response> {
        task<int> reading = read_the_shelf();
        co_await std::move(reading);
        co_return response(204, "");
      },
      logged);
  EXPECT_EQ(a.status, 500);
  EXPECT_EQ(a.field("Content-Type"), "application/problem+json");
  EXPECT_THAT(a.body, HasSubstr(R"("request_id":"given-id-7")"));
  EXPECT_THAT(a.body, HasSubstr(R"("code":"http.internal_error")"));
  EXPECT_THAT(a.body, Not(HasSubstr("shelf"))) << "what failed inside is not for the client";
  EXPECT_THAT(logged.text(), HasSubstr("request failed"));
  EXPECT_THAT(logged.text(), HasSubstr("request_id=given-id-7"));
  EXPECT_THAT(logged.text(), HasSubstr("the shelf is empty"));
  EXPECT_THAT(logged.text(), HasSubstr("read_the_shelf"));
}

TEST(failure, something_that_is_no_exception_class_is_a_500_too) {
  log::capture logged;
  answer a = ask(
      [](request&) -> task<response> {
        co_await yield();
        throw 42;
      },
      logged);
  EXPECT_EQ(a.status, 500);
  EXPECT_THAT(logged.text(), HasSubstr("request failed"));
}

TEST(failure, a_problem_error_is_answered_as_it_says) {
  log::capture logged(log::line_format::text, log::level::info);
  answer a = ask(
      [](request&) -> task<response> {
        throw problem_error(409, shop_errc::sold_out, "no \"tea\" left").with("Retry-After", "60");
        co_return response(204, "");
      },
      logged);
  EXPECT_EQ(a.status, 409);
  EXPECT_EQ(a.field("Retry-After"), "60");
  EXPECT_EQ(a.body, R"({"type":"about:blank","title":"Conflict","status":409,"code":"shop.sold_out",)"
                    R"("detail":"no \"tea\" left","request_id":"given-id-7"})"
                    "\n");
  EXPECT_EQ(logged.text(), "");
}

TEST(failure, a_problem_error_of_the_servers_own_is_logged) {
  log::capture logged;
  answer a = ask(
      [](request&) -> task<response> {
        throw problem_error(503, shop_errc::store_broken, "try later");
        co_return response(204, "");
      },
      logged);
  EXPECT_EQ(a.status, 503);
  EXPECT_THAT(logged.text(), HasSubstr("shop.store_broken"));
}

TEST(failure, lines_logged_by_a_handler_carry_the_request_id) {
  log::capture logged;
  ask(
      [](request&) -> task<response> {
        co_await yield();
        log::info("in the handler");
        co_return response(204, "");
      },
      logged);
  EXPECT_THAT(logged.text(), HasSubstr("in the handler request_id=given-id-7"));
}

TEST(failure, what_is_attached_to_the_cancellation_of_a_request_is_logged) {
  log::capture logged;
  router routes;
  routes.add("GET", "/x", [](request&) -> task<response> {
    task<void> dropping = wait_and_drop_the_shelf();
    co_await gather_settled(std::move(dropping));
    co_return response(204, "");
  });
  testing::simulation sim;
  test_server s(std::move(routes), {});
  test_client c = s.connect();
  c.send(get("/x"));
  EXPECT_THROW(sim.run(with_timeout(1s, s.server.serve(s.listener))), timed_out);
  EXPECT_THAT(logged.text(), HasSubstr("connection failed"));
  EXPECT_THAT(logged.text(), HasSubstr("the shelf fell over"));
}

TEST(failure, a_request_refused_for_what_its_whole_head_says_is_named_by_its_id) {
  const std::string id = "X-Request-Id: given-id-7\r\n";
  for (const std::string& lines : {"Expect: the worst\r\n" + id, id + "Content-Length: 11\r\n"}) {
    with_server(echo_routes(), {.max_body_bytes = 10}, [&](test_server& s) -> task<> {
      test_client c = s.connect();
      c.send("POST /x HTTP/1.1\r\nHost: t\r\n" + lines + "\r\n");
      answer a = co_await c.receive();
      EXPECT_THAT(a.body, HasSubstr(R"("request_id":"given-id-7")"));
    });
  }
}

TEST(failure, a_head_that_cannot_be_read_does_not_get_the_id_of_the_request_before) {
  for (const char* second : {"GET /x HTTP/1.1\r\n\r\n", "GET /x HTTP/1.1\nHost: t\n\n"}) {
    with_server(echo_routes(), {}, [&](test_server& s) -> task<> {
      test_client c = s.connect();
      c.send(post("/x", "body", "X-Request-Id: given-id-7\r\n") + second);
      answer first = co_await c.receive();
      EXPECT_EQ(first.status, 200);
      answer refused = co_await c.receive();
      EXPECT_EQ(refused.status, 400);
      EXPECT_THAT(refused.body, Not(HasSubstr("request_id")));
    });
  }
}

TEST(failure, a_request_id_that_is_not_well_formed_is_replaced) {
  std::vector<std::string> ids;
  router routes;
  routes.add("GET", "/x", [&](request& r) -> task<response> {
    ids.push_back(r.id());
    co_return response(204, "");
  });
  with_server(std::move(routes), {}, [](test_server& s) -> task<> {
    test_client c = s.connect();
    c.send(get("/x", "X-Request-Id: a b\r\n") + get("/x", "X-Request-Id: " + std::string(129, 'a') + "\r\n") +
           get("/x") + get("/x", "x-request-id: Ok_1.2-3\r\n"));
    for (int i = 0; i < 4; ++i) co_await c.receive();
  });
  ASSERT_EQ(ids.size(), 4u);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ids[static_cast<std::size_t>(i)].size(), 13u);
  EXPECT_NE(ids[0], ids[2]);
  EXPECT_EQ(ids[3], "Ok_1.2-3");
}

TEST(failure, an_answer_that_could_be_read_as_two_is_a_500) {
  struct row {
    const char* name;
    std::string field;
    std::string value;
  };
  const row rows[] = {
      {"line break in a value", "X-Note", "a\r\nX-Evil: 1"},
      {"bare line feed", "X-Note", "a\nb"},
      {"bare carriage return", "X-Note", "a\rb"},
      {"NUL", "X-Note", std::string("a\0b", 3)},
      {"line break in a name", "X-Note\r\nX-Evil", "1"},
      {"blank in a name", "X Note", "1"},
      {"empty name", "", "1"},
      {"a second length", "content-length", "0"},
      {"a coding", "Transfer-Encoding", "chunked"},
      {"the connection's", "Connection", "keep-alive"},
      {"a second date", "Date", "yesterday"},
  };
  for (const row& r : rows) {
    log::capture logged;
    answer a =
        ask([&](request&) -> task<response> { co_return response::text(200, "fine").with(r.field, r.value); }, logged);
    EXPECT_EQ(a.status, 500) << r.name;
    EXPECT_EQ(a.field("X-Evil"), "") << r.name;
    EXPECT_THAT(logged.text(), HasSubstr("http.bad_answer")) << r.name;
  }
}

TEST(failure, a_status_that_is_none_is_a_500) {
  for (int status : {0, 100, 199, 600, -1}) {
    log::capture logged;
    answer a = ask([&](request&) -> task<response> { co_return response(status, "x"); }, logged);
    EXPECT_EQ(a.status, 500) << status;
  }
}

TEST(failure, a_problems_field_is_checked_where_it_is_added) {
  problem_error e(409, shop_errc::sold_out, "x");
  EXPECT_THROW(e.with("X-Note", "a\r\nb"), error);
  EXPECT_EQ(problem_error(99, shop_errc::sold_out, "x").status(), 500);
}

TEST(failure, texts_become_json_strings) {
  EXPECT_EQ(json_string("a\"b\\c\n\x7f"), "\"a\\\"b\\\\c\\u000a\\u007f\"");
  EXPECT_EQ(json_string("\xc3\xa4\xff\xed\xa0\x80"), "\"\xc3\xa4\\ufffd\\ufffd\\ufffd\\ufffd\"");
}

}  // namespace
}  // namespace penstock::http

#include "client_peers.h"
#include <penstock/async/timeout.h>
#include <penstock/http/safe_request.h>
#include <penstock/observe/log_capture.h>
#include <penstock/observe/metrics.h>

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::http {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;

// /status/N answers with that status, /page/N with N, after a while.
class numbers_server {
 public:
  router routes() {
    router all;
    all.add("GET", "/status/{n}", [this](request& r) { return answer(r); });
    all.add("GET", "/page/{n}", [this](request& r) { return slow_answer(r); });
    return all;
  }
  int most_at_once() const { return most_; }

 private:
  task<response> answer(request& r) { co_return response::text(std::stoi(std::string(r.parameter("n"))), "about it"); }
  task<response> slow_answer(request& r) {
    std::string number(r.parameter("n"));
    most_ = std::max(most_, ++now_);
    co_await sleep_for(1ms);
    --now_;
    co_return response::text(200, number);
  }
  int now_ = 0;
  int most_ = 0;
};

std::uint64_t counted(const char* outcome) {
  return metrics::default_registry()
      .counter("penstock_safe_requests_total", "Requests sent by safe_request and process_requests, by how they ended.",
               {{"outcome", outcome}})
      .value();
}

TEST(safe_request, gives_the_answer_and_counts_it) {
  numbers_server numbers;
  with_server(numbers.routes(), [](std::string url) -> task<> {
    client c;
    std::uint64_t before = counted("succeeded");
    task<safe_response> sending = safe_request(c, url + "/page/7");
    safe_response got = co_await std::move(sending);
    EXPECT_EQ(got.value().body, "7");
    EXPECT_EQ(counted("succeeded"), before + 1);
  });
}

TEST(safe_request, takes_a_status_of_400_and_above_for_a_failure_and_keeps_the_answer) {
  numbers_server numbers;
  with_server(numbers.routes(), [](std::string url) -> task<> {
    log::capture logged;
    client c;
    for (int status : {399, 400, 404, 500, 599}) {
      task<safe_response> sending = safe_request(c, url + "/status/" + std::to_string(status));
      safe_response got = co_await std::move(sending);
      EXPECT_EQ(got.has_value(), status < 400);
      const status_error* e = got.error_as<status_error>();
      if (status < 400) continue;
      EXPECT_NE(e, nullptr);
      if (e == nullptr) continue;
      EXPECT_EQ(e->status(), status);
      EXPECT_EQ(e->answer().body, "about it");
      EXPECT_EQ(e->errc(), client_errc::failed_status);
    }
  });
}

TEST(safe_request, logs_a_failure_with_its_traceback_and_counts_it) {
  auto body = []() -> task<> {
    log::capture logged;
    std::uint64_t before = counted("failed");
    task<safe_response> sending = safe_request("http://no-such-host.invalid/?token=abc");
    safe_response got = co_await std::move(sending);
    EXPECT_FALSE(got);
    EXPECT_EQ(counted("failed"), before + 1);
    EXPECT_THAT(logged.lines(),
                Contains(AllOf(HasSubstr("ERROR"), HasSubstr("task=safe_request"), HasSubstr("Traceback"),
                               HasSubstr("client.resolve_failed"), HasSubstr("src/http/client.cpp"))));
    EXPECT_THAT(logged.text(), ::testing::Not(HasSubstr("abc")));
  };
  net::run(body());
}

TEST(safe_request, lets_a_cancellation_pass) {
  with_peer(stays_silent(), [](std::string url) -> task<> {
    client c;
    std::uint64_t failed = counted("failed");
    task<safe_response> sending = safe_request(c, url);
    auto limited = with_timeout(10ms, std::move(sending));
    EXPECT_THROW(static_cast<void>(co_await std::move(limited)), timed_out);
    EXPECT_EQ(counted("failed"), failed);
  });
}

TEST(process_requests, gives_outcomes_in_order_and_one_failure_touches_no_other) {
  numbers_server numbers;
  with_server(numbers.routes(), [](std::string url) -> task<> {
    log::capture logged;
    std::vector<std::string> urls;
    for (int i = 0; i < 100; ++i) {
      if (i % 10 == 3)
        urls.push_back("http://127.0.0.1:1/");
      else if (i % 10 == 5)
        urls.push_back(url + "/status/503");
      else if (i % 10 == 7)
        urls.push_back("no url");
      else
        urls.push_back(url + "/page/" + std::to_string(i));
    }
    std::uint64_t succeeded = counted("succeeded"), failed = counted("failed");
    client c;
    auto processing = process_requests(c, urls, {.max_concurrency = 10});
    std::vector<safe_response> got = co_await std::move(processing);
    EXPECT_EQ(got.size(), urls.size());
    for (int i = 0; i < 100; ++i) {
      const safe_response& one = got[static_cast<std::size_t>(i)];
      const client_error* e = one.error_as<client_error>();
      if (e == nullptr) {
        EXPECT_TRUE(one && (*one).body == std::to_string(i)) << i;
        continue;
      }
      EXPECT_EQ(e->errc(), i % 10 == 3   ? client_errc::connect_failed
                           : i % 10 == 5 ? client_errc::failed_status
                                         : client_errc::bad_url)
          << i << ": " << e->what();
    }
    request_summary sum = summarize(got);
    EXPECT_EQ(sum.succeeded, 70u);
    EXPECT_EQ(sum.failed, 30u);
    EXPECT_EQ(counted("succeeded"), succeeded + 70);
    EXPECT_EQ(counted("failed"), failed + 30);
    EXPECT_THAT(logged.lines(), Contains(HasSubstr("requests processed succeeded=70 failed=30")));
  });
}

TEST(process_requests, keeps_to_its_concurrency) {
  numbers_server numbers;
  with_server(numbers.routes(), [&](std::string url) -> task<> {
    std::vector<std::string> urls;
    for (int i = 0; i < 200; ++i) urls.push_back(url + "/page/" + std::to_string(i));
    client c;
    auto processing = process_requests(c, urls, {.max_concurrency = 7});
    std::vector<safe_response> got = co_await std::move(processing);
    EXPECT_EQ(summarize(got).succeeded, 200u);
    EXPECT_LE(numbers.most_at_once(), 7);
    EXPECT_EQ(c.stats().connections, 7u);
  });
}

TEST(process_requests, makes_a_client_of_its_own_when_given_none) {
  numbers_server numbers;
  with_server(numbers.routes(), [](std::string url) -> task<> {
    std::vector<std::string> urls{url + "/page/1", url + "/page/2"};
    auto processing = process_requests(urls, {.max_concurrency = 2});
    std::vector<safe_response> got = co_await std::move(processing);
    EXPECT_EQ(got.at(0).value().body, "1");
    EXPECT_EQ(got.at(1).value().body, "2");
  });
}

// GCC 12 destroys some temporaries of such an expression twice; these calls have none of the kind.
TEST(process_requests, and_safe_request_may_be_awaited_where_they_are_called) {
  numbers_server numbers;
  with_server(numbers.routes(), [](std::string url) -> task<> {
    std::vector<std::string> urls{url + "/page/1", url + "/page/2"};
    safe_response one = co_await safe_request(urls.front());
    EXPECT_EQ(one.value().body, "1");
    std::vector<safe_response> all = co_await process_requests(urls);
    EXPECT_EQ(all.at(1).value().body, "2");
    all = co_await process_requests(urls, {.max_concurrency = 1});
    EXPECT_EQ(all.at(0).value().body, "1");
  });
}

TEST(process_requests, without_urls_gives_nothing) {
  auto body = []() -> task<> {
    auto processing = process_requests(std::vector<std::string>());
    std::vector<safe_response> got = co_await std::move(processing);
    EXPECT_TRUE(got.empty());
  };
  net::run(body());
}

TEST(process_requests, is_cancelled_as_a_whole) {
  with_peer(stays_silent(), [](std::string url) -> task<> {
    client c;
    auto processing = process_requests(c, std::vector<std::string>(20, url), {.max_concurrency = 5});
    auto limited = with_timeout(10ms, std::move(processing));
    EXPECT_THROW(co_await std::move(limited), timed_out);
    EXPECT_EQ(c.stats().in_flight, 0u);
    EXPECT_EQ(c.stats().cancelled, 5u);
  });
}

}  // namespace
}  // namespace penstock::http

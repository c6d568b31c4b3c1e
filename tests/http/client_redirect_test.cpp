#include "client_peers.h"
#include "http/client_url.h"
#include <penstock/core/traceback.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::http {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// /to?status=307&where=/end redirects; /circle to itself; everything else tells what it was asked.
task<response> redirect_or_tell(request& r) {
  std::string body = co_await r.body().read_all(1 << 20);
  if (r.path() == "/circle") co_return response(302, "").with("Location", "/circle");
  if (r.path() != "/to") {
    std::string told = std::string(r.method()) + " " + std::string(r.path()) + " " + body;
    for (const char* name :
         {"Authorization", "Cookie", "Idempotency-Key", "Content-Type", "Content-Encoding", "X-Kept"})
      if (r.header(name)) told.append(" ").append(name);
    co_return response::text(200, told);
  }
  auto parameters = r.query_parameters();
  co_return response(std::stoi(parameters.at(0).second), "").with("Location", parameters.at(1).second);
}

router redirects() {
  router routes;
  routes.otherwise(redirect_or_tell);
  return routes;
}

TEST(client_redirect, is_given_as_it_is_unless_it_should_be_followed) {
  with_server(redirects(), [](std::string url) -> task<> {
    client c;
    client_response answer = co_await c.get(url + "/to?status=302&where=/end");
    EXPECT_EQ(answer.status, 302);
    EXPECT_EQ(answer.header("Location"), "/end");
  });
}

TEST(client_redirect, is_followed_and_the_answer_tells_where_it_came_from) {
  with_server(redirects(), [](std::string url) -> task<> {
    client c({.max_redirects = 1});
    client_response answer = co_await c.get(url + "/to?status=301&where=/end");
    EXPECT_EQ(answer.body, "GET /end ");
    EXPECT_EQ(answer.effective_url, url + "/end");
    EXPECT_EQ(answer.redirects, 1u);
    EXPECT_TRUE(answer.reused_connection);
  });
}

TEST(client_redirect, keeps_or_changes_the_method_as_rfc_9110_says) {
  with_server(redirects(), [](std::string url) -> task<> {
    client c({.max_redirects = 1});
    struct {
      const char *method, *status, *told;
    } cases[] = {
        {"POST", "301", "GET /end "},
        {"POST", "302", "GET /end "},
        {"POST", "303", "GET /end "},
        {"POST", "307", "POST /end body Content-Type Content-Encoding"},
        {"POST", "308", "POST /end body Content-Type Content-Encoding"},
        {"PUT", "302", "PUT /end body Content-Type Content-Encoding"},
        {"PUT", "303", "GET /end "},
        {"DELETE", "303", "GET /end "},
    };
    for (const auto& one : cases) {
      for (bool is_lent : {false, true}) {
        client_request r(one.method, url + "/to?status=" + one.status + "&where=/end");
        if (is_lent)
          r.lent_body = "body";
        else
          r.body = "body";
        r.headers = {{"Content-Type", "text/plain"}, {"Content-Encoding", "identity"}};
        task<client_response> sending = c.send(std::move(r));
        client_response answer = co_await std::move(sending);
        EXPECT_EQ(answer.body, one.told) << one.method << " " << one.status << (is_lent ? ", lent" : "");
      }
    }
  });
}

TEST(client_redirect, takes_no_credentials_to_another_server) {
  with_server(redirects(), [](std::string url) -> task<> {
    client c({.max_redirects = 2});
    std::string elsewhere = url;
    elsewhere.replace(elsewhere.find("127.0.0.1"), 9, "localhost");
    for (const auto& [where, told] : {std::pair{url, "GET /end  Authorization Cookie Idempotency-Key X-Kept"},
                                      std::pair{elsewhere, "GET /end  X-Kept"}}) {
      client_request r(url + "/to?status=307&where=" + where + "/end");
      r.headers = {{"Authorization", "Bearer x"}, {"Cookie", "a=b"}, {"Idempotency-Key", "k"}, {"X-Kept", "1"}};
      task<client_response> sending = c.send(std::move(r));
      client_response answer = co_await std::move(sending);
      EXPECT_EQ(answer.body, told);
    }
  });
}

TEST(client_redirect, a_circle_ends_at_the_limit) {
  with_server(redirects(), [](std::string url) -> task<> {
    client c({.max_redirects = 5});
    task<client_error> failing = failure_of(c, url + "/circle");
    client_error e = co_await std::move(failing);
    EXPECT_EQ(e.errc(), client_errc::too_many_redirects) << e.what();
  });
}

TEST(client_redirect, to_what_is_no_http_url_is_refused) {
  with_server(redirects(), [](std::string url) -> task<> {
    client c({.max_redirects = 5});
    for (std::string where : {"file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/", "http://"}) {
      task<client_error> failing = failure_of(c, url + "/to?status=302&where=" + where);
      client_error e = co_await std::move(failing);
      EXPECT_EQ(e.errc(), client_errc::redirect_refused) << e.what();
    }
  });
}

TEST(client_redirect, never_leaves_https) {
  client_url from = client_url::parse("GET", "https://example.org/a/b?c");
  EXPECT_THROW(from.redirected("GET", "http://example.org/a/b?c"), client_error);
  EXPECT_EQ(from.redirected("GET", "//example.com/x").text(), "https://example.com/x");
}

TEST(client_redirect, a_refused_one_is_told_without_its_secrets) {
  client_url from = client_url::parse("GET", "https://example.org/a/b?c");
  for (const char* location :
       {"http://joe:s3cret@example.org/x?token=s3cret", "http://example.org/x?n=1&access_token=s3cret",
        "ftp://joe:s3cret@example.org/", "https://joe:s3cret@exa mple.org:999999/?token=s3cret",
        "//joe:s3cret@example.org:999999/x?api_key=s3cret"}) {
    try {
      from.redirected("GET", location);
      ADD_FAILURE() << location;
    } catch (const client_error& e) {
      EXPECT_EQ(e.errc(), client_errc::redirect_refused) << e.what();
      EXPECT_THAT(e.what(), HasSubstr("example.org"));
      EXPECT_THAT(format_traceback(std::current_exception()), Not(HasSubstr("s3cret")));
    }
  }
}

TEST(client_redirect, relative_references_are_resolved) {
  client_url from = client_url::parse("GET", "http://joe:pw@example.org/a/b?c#d");
  EXPECT_EQ(from.address(), "http://example.org/a/b?c");
  struct {
    const char *reference, *address;
  } cases[] = {
      {"x", "http://example.org/a/x"},
      {"../x", "http://example.org/x"},
      {"/x y", "http://example.org/x%20y"},
      {"?q", "http://example.org/a/b?q"},
      {"http://EXAMPLE.org:8080", "http://EXAMPLE.org:8080/"},
      {"https://[::1]:8080/x", "https://[::1]:8080/x"},
  };
  for (const auto& one : cases) EXPECT_EQ(from.redirected("GET", one.reference).address(), one.address);
  EXPECT_EQ(from.redirected("GET", "https://[::1]:8080/x").host(), "::1");
  EXPECT_EQ(from.redirected("GET", "https://example.org/").origin(), "https://example.org:443");
}

}  // namespace
}  // namespace penstock::http

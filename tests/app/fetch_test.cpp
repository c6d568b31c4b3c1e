// What `penstock fetch` does with URLs that work and URLs that do not.

#include "app/fetch/fetch.h"

#include "app/command_line.h"
#include "app/error.h"
#include "http/client_peers.h"
#include <penstock/observe/log_capture.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <unistd.h>

namespace penstock::app {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

http::router pages() {
  http::router routes;
  routes.add("GET", "/page/{n}", [](http::request& r) -> task<http::response> {
    std::string body = "page " + std::string(r.parameter("n"));
    co_return http::response::text(200, std::move(body));
  });
  routes.add("GET", "/moved", [](http::request&) -> task<http::response> {
    co_return http::response(301, "").with("Location", "/page/9");
  });
  return routes;
}

struct fetched {
  fetch_summary sum;
  std::string out;
};

task<fetched> fetch(const fetch_options& options) {
  log::capture quiet;
  std::ostringstream out;
  task<fetch_summary> fetching = fetch_all(options, out);
  fetch_summary sum = co_await std::move(fetching);
  fetched all{sum, out.str()};
  co_return all;
}

std::string content_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class temporary_folder {
 public:
  temporary_folder() : path_(fs::path(::testing::TempDir()) / ("penstock_fetch_" + std::to_string(::getpid()))) {}
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;
  ~temporary_folder() { fs::remove_all(path_); }
  const fs::path& path() const noexcept { return path_; }

 private:
  fs::path path_;
};

// Gives how many of three URLs were fetched; their lines go nowhere.
std::size_t fetched_without_output(const std::string& folder) {
  std::size_t asked = 0;
  http::router routes;
  routes.otherwise([&](http::request&) -> task<http::response> {
    ++asked;
    co_return http::response::text(200, "page");
  });
  http::with_server(std::move(routes), [&](std::string url) -> task<> {
    log::capture quiet;
    fetch_options options{.urls = {url + "/1", url + "/2", url + "/3"}, .concurrency = 1, .output = folder};
    std::ostream takes_nothing(nullptr);
    try {
      task<fetch_summary> fetching = fetch_all(options, takes_nothing);
      co_await std::move(fetching);
    } catch (const error& e) {
      EXPECT_TRUE(e.is(app_errc::output_failed)) << e.what();
    }
  });
  return asked;
}

TEST(fetch, ends_when_nobody_takes_its_lines_unless_it_writes_files) {
  temporary_folder to;
  EXPECT_EQ(fetched_without_output(""), 1u);
  EXPECT_EQ(fetched_without_output(to.path().string()), 3u);
}

TEST(fetch, prints_a_line_for_each_url_and_the_sums) {
  http::with_server(pages(), [](std::string url) -> task<> {
    fetch_options options{.urls = {url + "/page/1", url + "/none", "http://127.0.0.1:1/", "no url", url + "/moved"},
                          .concurrency = 1};
    task<fetched> fetching = fetch(options);
    fetched got = co_await std::move(fetching);
    EXPECT_EQ(got.sum.succeeded, 2u);
    EXPECT_EQ(got.sum.failed, 3u);
    EXPECT_EQ(got.sum.body_bytes, 12u);
    std::vector<std::string> lines;
    std::istringstream all(got.out);
    for (std::string line; std::getline(all, line);) lines.push_back(line);
    EXPECT_THAT(lines,
                ElementsAre(MatchesRegex("200 +6 B +[0-9]+ ms  http://127.*/page/1"),
                            MatchesRegex("404 +[0-9]+ B +[0-9]+ ms  http://127.*/none"),
                            AllOf(HasSubstr("failed  GET http://127.0.0.1:1/: "), HasSubstr("(client.connect_failed)")),
                            AllOf(HasSubstr("failed  GET no url: "), HasSubstr("(client.bad_url)")),
                            MatchesRegex("200 +6 B +[0-9]+ ms  http://127.*/moved"),
                            MatchesRegex("2 of 5 succeeded, 3 failed, 12 bytes in [0-9.]+ s")));
  });
}

TEST(fetch, an_answer_that_is_too_long_names_the_option) {
  http::with_server(pages(), [](std::string url) -> task<> {
    fetch_options options{.urls = {url + "/page/1"}};
    options.client.max_response_bytes = 5;
    task<fetched> fetching = fetch(options);
    fetched got = co_await std::move(fetching);
    EXPECT_THAT(got.out,
                HasSubstr("the answer exceeds 5 (max_response_bytes) (client.too_large); --max-bytes sets it\n"));
  });
}

TEST(fetch, writes_each_body_to_a_file_of_its_own) {
  temporary_folder folder;
  http::with_server(pages(), [&](std::string url) -> task<> {
    fetch_options options{.urls = {url + "/page/1", url + "/none", url + "/page/2"}, .output = folder.path().string()};
    task<fetched> fetching = fetch(options);
    fetched got = co_await std::move(fetching);
    EXPECT_EQ(got.sum.succeeded, 2u);
    EXPECT_EQ(content_of(folder.path() / body_file_name(1, url + "/page/1")), "page 1");
    EXPECT_EQ(content_of(folder.path() / body_file_name(3, url + "/page/2")), "page 2");
    EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()), 2);
  });
}

TEST(fetch, a_body_that_can_not_be_written_is_a_failure_of_that_url_alone) {
  temporary_folder folder;
  http::with_server(pages(), [&](std::string url) -> task<> {
    fetch_options options{.urls = {url + "/page/1", url + "/page/2"}, .output = folder.path().string()};
    fs::create_directories(folder.path() / (body_file_name(1, options.urls[0]) + ".part"));
    task<fetched> fetching = fetch(options);
    fetched got = co_await std::move(fetching);
    EXPECT_EQ(got.sum.succeeded, 1u);
    EXPECT_EQ(got.sum.failed, 1u);
    EXPECT_THAT(got.out, HasSubstr("failed  " + url + "/page/1: cannot write "));
  });
}

TEST(fetch, an_answer_that_ends_inside_its_header_is_a_failure_and_leaves_no_file) {
  temporary_folder folder;
  http::with_peer(http::answers("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Le"),
                  [&](std::string url) -> task<> {
                    fetch_options options{.urls = {url}, .output = folder.path().string()};
                    task<fetched> fetching = fetch(options);
                    fetched got = co_await std::move(fetching);
                    EXPECT_EQ(got.sum.succeeded, 0u);
                    EXPECT_EQ(got.sum.failed, 1u);
                    EXPECT_THAT(got.out, HasSubstr("(client.broken_response)"));
                    EXPECT_TRUE(fs::is_empty(folder.path()));
                  });
}

TEST(fetch, names_files_by_number_and_url_without_what_is_secret_or_a_path) {
  EXPECT_EQ(body_file_name(7, "http://example.org/a/b?token=x#y"), "0007-example.org_a_b");
  EXPECT_EQ(body_file_name(1, "https://joe:pw@example.org:8443/"), "0001-example.org_8443");
  EXPECT_EQ(body_file_name(1, "http://h/../../etc/passwd"), "0001-h_.._.._etc_passwd");
  EXPECT_EQ(body_file_name(12345, "http://h/" + std::string(500, 'a')).size(), 106u);
}

TEST(fetch, shows_no_password_and_no_control_characters) {
  http::with_server(pages(), [](std::string url) -> task<> {
    std::string with_password = url + "/page/1";
    fetch_options options{.urls = {with_password.insert(7, "joe:pw@"), "http://\x1b[2J/"}};
    task<fetched> fetching = fetch(options);
    fetched got = co_await std::move(fetching);
    EXPECT_THAT(got.out, HasSubstr("joe:***@127"));
    EXPECT_EQ(got.out.find('\x1b'), std::string::npos);
  });
}

TEST(fetch, reads_urls_from_lines_and_skips_comments) {
  std::istringstream text("http://a/\n\n  # not this\n\thttp://b/ \r\nhttp://c/");
  EXPECT_THAT(urls_in(text), ElementsAre("http://a/", "http://b/", "http://c/"));
}

TEST(fetch, reads_urls_behind_a_byte_order_mark) {
  std::istringstream text("\xef\xbb\xbfhttp://a/\nhttp://b/\n");
  EXPECT_THAT(urls_in(text), ElementsAre("http://a/", "http://b/"));
  std::istringstream comment("\xef\xbb\xbf# all of them\nhttp://a/\n");
  EXPECT_THAT(urls_in(comment), ElementsAre("http://a/"));
  std::istringstream nothing("\xef\xbb\xbf");
  EXPECT_THAT(urls_in(nothing), ElementsAre());
}

struct ended {
  int code;
  std::string err;
};

ended command(const std::vector<std::string>& arguments) {
  std::ostringstream out, err;
  int code = run_command_line(arguments, out, err);
  return {code, err.str()};
}

TEST(fetch_command, wrong_arguments_are_usage_errors_that_name_the_option) {
  struct {
    std::vector<std::string> arguments;
    const char* named;
  } cases[] = {
      {{"fetch"}, "nothing to fetch"},
      {{"fetch", "http://h/", "--timeout", "soon"}, "--timeout 'soon'"},
      {{"fetch", "http://h/", "--timeout", "0s"}, "--timeout '0s': expected at least 1ms"},
      {{"fetch", "http://h/", "--timeout", "999us"}, "--timeout '999us': expected at least 1ms"},
      {{"fetch", "http://h/", "--max-bytes", "much"}, "--max-bytes 'much'"},
      {{"fetch", "http://h/", "--concurrency", "0"}, "--concurrency"},
      {{"fetch", "http://h/", "--from", "/no/such/file", "--max-redirects=-1"}, "--max-redirects"},
      {{"fetch", "--from", "/no/such/file"}, "--from '/no/such/file'"},
  };
  for (const auto& one : cases) {
    ended e = command(one.arguments);
    EXPECT_EQ(e.code, 2) << one.named;
    EXPECT_THAT(e.err, HasSubstr(one.named));
  }
}

TEST(fetch_command, gives_0_only_when_all_succeeded) {
  log::options before;
  ::testing::internal::CaptureStdout();
  ended e = command({"fetch", "http://127.0.0.1:1/"});
  std::string out = ::testing::internal::GetCapturedStdout();
  log::set_level(before.threshold);
  EXPECT_EQ(e.code, 1);
  EXPECT_THAT(out, HasSubstr("0 of 1 succeeded, 1 failed"));
}

}  // namespace
}  // namespace penstock::app

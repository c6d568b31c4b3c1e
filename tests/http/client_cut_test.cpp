// What the client makes of an answer whose connection ends before it does.

#include "client_peers.h"
#include "tls_peer.h"
#include <penstock/testing/network.h>
#include <penstock/testing/simulation.h>

#include <csignal>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::http {
namespace {

using namespace std::string_literals;
using ::testing::HasSubstr;

// Asks once and gives the failure; what came as an answer fails the test, and is named by `cut`.
task<client_errc> failing_code(client& c, client_request r, std::string cut) {
  client_errc code{};
  try {
    task<client_response> sending = c.send(std::move(r));
    client_response got = co_await std::move(sending);
    ADD_FAILURE() << "answered " << got.status << " with '" << got.body << "' to what is cut to:\n" << cut;
  } catch (const client_error& e) {
    code = e.errc();
    EXPECT_THAT(e.what(), HasSubstr("http://")) << cut;
  }
  co_return code;
}

// Asks for an answer that is cut behind each of its bytes up to, and without, `whole_from`.
void expect_failure_at_every_byte(const std::string& method, const std::string& text, std::size_t whole_from) {
  std::size_t began = text.find("\r\n") + 2;
  for (std::size_t n = 0; n < whole_from; ++n) {
    std::string cut = text.substr(0, n);
    with_peer(answers(cut), [&](std::string url) -> task<> {
      client c;
      task<client_errc> failing = failing_code(c, client_request(method, url), cut);
      client_errc code = co_await std::move(failing);
      EXPECT_TRUE(n < began || code == client_errc::broken_response) << code_name(code) << " for:\n" << cut;
      EXPECT_EQ(c.stats().failed, 1u);
      EXPECT_EQ(c.stats().answered, 0u);
    });
  }
}

void expect_answer(const std::string& method, const std::string& text, int status, const std::string& body) {
  with_peer(answers(text), [&](std::string url) -> task<> {
    client c;
    task<client_response> sending = c.send(client_request(method, url));
    client_response got = co_await std::move(sending);
    EXPECT_EQ(got.status, status) << text;
    EXPECT_EQ(got.body, body) << text;
  });
}

TEST(client_cut, an_answer_that_ends_too_early_is_a_failure_wherever_it_ends) {
  // Of chunks, the last one is enough (RFC 9112, 8).
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n";
  for (std::string text : {"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Total: 12\r\nContent-Length: 2\r\n\r\nok"s,
                           "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\nok"s, chunked}) {
    expect_failure_at_every_byte("GET", text, text.size());
    expect_failure_at_every_byte("POST", text, text.size());
  }
}

TEST(client_cut, an_answer_whose_end_is_that_of_the_connection_is_one_from_the_end_of_its_header_on) {
  for (std::string text : {"HTTP/1.1 200 OK\r\nX-Total: 12\r\n\r\n", "HTTP/1.0 200 OK\r\nX-Total: 12\r\n\r\n"}) {
    expect_failure_at_every_byte("GET", text, text.size());
    expect_answer("GET", text, 200, "");
    expect_answer("GET", text + "some text", 200, "some text");
  }
}

TEST(client_cut, an_answer_without_a_body_is_one_from_the_end_of_its_header_on) {
  struct {
    std::string method, text;
    int status;
  } cases[] = {
      {"GET", "HTTP/1.1 204 No Content\r\nX-Total: 12\r\n\r\n", 204},
      {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 12\r\n\r\n", 304},
      {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n", 200},
      {"HEAD", "HTTP/1.0 200 OK\r\nX-Total: 12\r\n\r\n", 200},
      {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200},
  };
  for (const auto& one : cases) {
    expect_failure_at_every_byte(one.method, one.text, one.text.size());
    expect_answer(one.method, one.text, one.status, "");
  }
}

TEST(client_cut, an_interim_answer_is_none) {
  for (std::string interim : {"HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
                              "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"}) {
    expect_failure_at_every_byte("GET", interim, interim.size() + 1);
    expect_failure_at_every_byte("HEAD", interim, interim.size() + 1);
  }
  std::string interim = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
  std::string text = interim + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  expect_failure_at_every_byte("GET", text, text.size());
  expect_answer("GET", text, 200, "ok");
}

TEST(client_cut, a_redirect_that_ends_inside_its_header_is_not_followed) {
  with_peer(answers("HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n"), [](std::string url) -> task<> {
    client c({.max_redirects = 1});
    task<client_error> failing = failure_of(c, url);
    client_error e = co_await std::move(failing);
    EXPECT_EQ(e.errc(), client_errc::broken_response) << e.what();
    EXPECT_THAT(e.what(), HasSubstr("GET " + url + ": the answer ended inside its header"));
    EXPECT_EQ(c.stats().connections, 1u);
  });
}

TEST(client_cut, an_answer_over_a_kept_connection_is_no_better) {
  testing::peer_script script = answers("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  script.read_until("\r\n\r\n").send("HTTP/1.1 200 OK\r\nContent-");
  with_peer(script, [](std::string url) -> task<> {
    client c;
    client_response first = co_await c.get(url);
    EXPECT_EQ(first.body, "ok");
    task<client_error> failing = failure_of(c, url);
    client_error e = co_await std::move(failing);
    EXPECT_EQ(e.errc(), client_errc::broken_response) << e.what();
    EXPECT_EQ(c.stats().connections, 1u);
  });
}

TEST(client_cut, an_answer_in_a_simulation_is_no_better) {
  testing::simulation sim;
  auto body = []() -> task<> {
    testing::network wires;
    auto at = wires.listen("server", 80);
    testing::scripted_peer peer({answers("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n")});
    co_await with_task_group([&](task_group& group) -> task<> {
      group.start_background(peer.serve(*at));
      client c({.connect = wires.connector("me")});
      task<client_error> failing = failure_of(c, "http://server/");
      client_error e = co_await std::move(failing);
      EXPECT_EQ(e.errc(), client_errc::broken_response) << e.what();
      task<> closing = c.close();
      co_await std::move(closing);
    });
  };
  sim.run(body());
}

TEST(client_cut, an_answer_over_tls_is_no_better_with_or_without_a_farewell) {
  std::signal(SIGPIPE, SIG_IGN);  // the peer's OpenSSL writes with write(2)
  for (bool says_farewell : {true, false}) {
    tls_peer peer(nullptr, "HTTP/1.1 200 OK\r\nConnection: close\r\n", says_farewell);
    auto body = [&]() -> task<> {
      client c({.ca_bundle = peer.certificate_file()});
      task<client_error> failing = failure_of(c, "https://127.0.0.1:" + std::to_string(peer.port()) + "/");
      client_error e = co_await std::move(failing);
      EXPECT_EQ(e.errc(), client_errc::broken_response) << e.what();
    };
    net::run(body());
  }
}

}  // namespace
}  // namespace penstock::http

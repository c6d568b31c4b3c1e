#include "client_peers.h"
#include "tls_peer.h"

#include <csignal>

#include <gtest/gtest.h>

namespace penstock::http {
namespace {

class client_tls : public ::testing::Test {
 protected:
  // The peer's OpenSSL writes with write(2).
  client_tls() { std::signal(SIGPIPE, SIG_IGN); }

  std::string url(const char* host = "127.0.0.1") const {
    return "https://" + std::string(host) + ":" + std::to_string(peer_.port()) + "/";
  }
  void expect_refusal(const std::string& where, const client_options& options) {
    auto body = [&]() -> task<> {
      client c(options);
      task<client_error> failing = failure_of(c, where);
      client_error e = co_await std::move(failing);
      EXPECT_EQ(e.errc(), client_errc::tls_failed) << e.what();
    };
    net::run(body());
    EXPECT_EQ(peer_.requests(), 0);
  }
  void expect_answer(const std::string& where, const client_options& options) {
    auto body = [&]() -> task<> {
      client c(options);
      client_response answer = co_await c.get(where);
      EXPECT_EQ(answer.body, "secret");
      EXPECT_GT(answer.timing.connected.count(), 0);
    };
    net::run(body());
  }

  tls_peer peer_;
};

TEST_F(client_tls, refuses_a_certificate_that_nobody_vouches_for) { expect_refusal(url(), {}); }

TEST_F(client_tls, refuses_a_trusted_certificate_of_another_name) {
  expect_refusal(url("localhost"), {.ca_bundle = peer_.certificate_file()});
}

TEST_F(client_tls, refuses_to_go_on_without_the_certificates_to_trust) {
  expect_refusal(url(), {.ca_bundle = "/no/such/file.pem"});
}

TEST_F(client_tls, takes_a_certificate_of_the_given_bundle) {
  expect_answer(url(), {.ca_bundle = peer_.certificate_file()});
}

TEST_F(client_tls, takes_any_certificate_when_told_not_to_verify) { expect_answer(url(), {.verify_tls = false}); }

}  // namespace
}  // namespace penstock::http

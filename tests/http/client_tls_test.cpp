#include "client_peers.h"
#include "tls_peer.h"

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <memory>

#include <curl/curl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

namespace penstock::http {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

struct free_certificate {
  void operator()(X509* c) const noexcept { ::X509_free(c); }
};
using certificate = std::unique_ptr<X509, free_certificate>;

// One of the folder that libcurl trusts when told nothing, with a key of the kind that the peers have; null when there
// is none.
certificate trusted_by_folder() {
  const char* folder = ::curl_version_info(CURLVERSION_NOW)->capath;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(folder == nullptr ? "" : folder, none)) {
    if (entry.path().extension() != ".0") continue;  // the name that OpenSSL looks for
    std::FILE* file = std::fopen(entry.path().c_str(), "r");
    if (file == nullptr) continue;
    certificate found(::PEM_read_X509(file, nullptr, nullptr, nullptr));
    std::fclose(file);
    if (found && ::EVP_PKEY_get_base_id(::X509_get0_pubkey(found.get())) == EVP_PKEY_EC) return found;
  }
  return nullptr;
}

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

// The complaint says which issuers are looked for: of one that is known, that the signature is none of its own.
TEST_F(client_tls, looks_for_issuers_in_the_given_bundle_alone) {
  certificate issuer = trusted_by_folder();
  if (!issuer) GTEST_SKIP() << "libcurl trusts no folder with a fitting certificate: NOTHING WAS CHECKED";
  tls_peer claims(issuer.get());
  auto complaint = [&](client_options options) -> task<std::string> {
    client c(options);
    task<client_error> failing = failure_of(c, "https://127.0.0.1:" + std::to_string(claims.port()) + "/");
    client_error e = co_await std::move(failing);
    EXPECT_EQ(e.errc(), client_errc::tls_failed) << e.what();
    co_return e.what();
  };
  constexpr const char* unknown = "unable to get local issuer certificate";
  EXPECT_THAT(net::run(complaint({})), Not(HasSubstr(unknown)));
  EXPECT_THAT(net::run(complaint({.ca_bundle = peer_.certificate_file()})), HasSubstr(unknown));
}

TEST_F(client_tls, takes_any_certificate_when_told_not_to_verify) { expect_answer(url(), {.verify_tls = false}); }

TEST_F(client_tls, speaks_http_1_1_to_a_peer_that_insists_on_http_2) {
  expect_answer(url(), {.ca_bundle = peer_.certificate_file()});
  EXPECT_THAT(peer_.last_request(), StartsWith("GET / HTTP/1.1\r\n"));
}

TEST_F(client_tls, a_request_is_sent_again_when_a_kept_connection_closes_unless_it_may_not_be) {
  for (const char* method : {"GET", "POST"}) {
    bool is_get = method == std::string("GET");
    tls_peer keeps(nullptr, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    auto body = [&]() -> task<> {
      client c({.ca_bundle = keeps.certificate_file()});
      std::string where = "https://127.0.0.1:" + std::to_string(keeps.port()) + "/";
      client_response first = co_await c.get(where);
      EXPECT_EQ(first.body, "ok");
      if (is_get) {
        client_response again = co_await c.get(where);
        EXPECT_EQ(again.body, "ok");
      } else {
        task<client_error> failing = failure_of(c, client_request("POST", where));
        client_error e = co_await std::move(failing);
        EXPECT_EQ(e.errc(), client_errc::connection_lost) << e.what();
      }
    };
    net::run(body());
    EXPECT_EQ(keeps.requests(), is_get ? 3 : 2) << method;
  }
}

}  // namespace
}  // namespace penstock::http

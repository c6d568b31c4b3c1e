#pragma once

// A TLS peer with a certificate for 127.0.0.1, on a thread of its own.

#include <string>
#include <thread>

struct ssl_ctx_st;
struct ssl_st;
struct x509_st;

namespace penstock::http {

class tls_peer {
 public:
  static constexpr const char* good_answer = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecret";

  // The certificate is signed with its own key, whoever is named as its issuer; null for itself. Whoever offers
  // protocols by ALPN is told to speak HTTP/2, offered or not. The first request of a connection gets `answer`; where
  // that does not say "Connection: close", a second one is taken. Then the connection ends, after a close_notify or
  // without.
  explicit tls_peer(x509_st* claimed_issuer = nullptr, std::string answer = good_answer, bool says_farewell = true);
  tls_peer(const tls_peer&) = delete;
  tls_peer& operator=(const tls_peer&) = delete;
  ~tls_peer();

  int port() const noexcept { return port_; }
  // The certificate, as PEM in a temporary file.
  const std::string& certificate_file() const noexcept { return certificate_file_; }
  // Requests that came in so far; read it when none is under way.
  int requests() const noexcept { return requests_; }
  // The last one of them.
  const std::string& last_request() const noexcept { return last_request_; }

 private:
  void listen();
  void serve();
  bool take_request(ssl_st* tls);

  const std::string answer_;
  const bool keeps_;
  const bool says_farewell_;
  ssl_ctx_st* context_;
  int socket_ = -1;
  int port_ = 0;
  int requests_ = 0;
  std::string last_request_;
  std::string certificate_file_;
  std::thread thread_;
};

}  // namespace penstock::http

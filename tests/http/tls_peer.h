#pragma once

// A TLS peer with a certificate for 127.0.0.1, on a thread of its own.

#include <string>
#include <thread>

struct ssl_ctx_st;
struct x509_st;

namespace penstock::http {

class tls_peer {
 public:
  // The certificate is signed with its own key, whoever is named as its issuer; null for itself.
  explicit tls_peer(x509_st* claimed_issuer = nullptr);
  tls_peer(const tls_peer&) = delete;
  tls_peer& operator=(const tls_peer&) = delete;
  ~tls_peer();

  int port() const noexcept { return port_; }
  // The certificate, as PEM in a temporary file.
  const std::string& certificate_file() const noexcept { return certificate_file_; }
  // Requests that came in so far; read it when none is under way.
  int requests() const noexcept { return requests_; }

 private:
  void listen();
  void serve();

  ssl_ctx_st* context_;
  int socket_ = -1;
  int port_ = 0;
  int requests_ = 0;
  std::string certificate_file_;
  std::thread thread_;
};

}  // namespace penstock::http

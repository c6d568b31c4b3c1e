#include "tls_peer.h"

#include <cstdio>
#include <stdexcept>
#include <utility>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

namespace penstock::http {
namespace {

X509* certificate_of(EVP_PKEY* key, X509* claimed_issuer) {
  X509* certificate = ::X509_new();
  ::X509_set_version(certificate, 2);
  ::ASN1_INTEGER_set(::X509_get_serialNumber(certificate), 1);
  ::X509_gmtime_adj(::X509_getm_notBefore(certificate), -3600);
  ::X509_gmtime_adj(::X509_getm_notAfter(certificate), 3600);
  ::X509_set_pubkey(certificate, key);
  X509_NAME* name = ::X509_get_subject_name(certificate);
  ::X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("penstock test"), -1,
                               -1, 0);
  ::X509_set_issuer_name(certificate, claimed_issuer == nullptr ? name : ::X509_get_subject_name(claimed_issuer));
  X509_EXTENSION* names = ::X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "IP:127.0.0.1");
  ::X509_add_ext(certificate, names, -1);
  ::X509_EXTENSION_free(names);
  ::X509_sign(certificate, key, ::EVP_sha256());
  return certificate;
}

int choose_http2(SSL*, const unsigned char** chosen, unsigned char* size, const unsigned char*, unsigned, void*) {
  *chosen = reinterpret_cast<const unsigned char*>("h2");
  *size = 2;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

tls_peer::tls_peer(X509* claimed_issuer, std::string answer, bool says_farewell)
    : answer_(std::move(answer)),
      keeps_(answer_.find("Connection: close") == answer_.npos),
      says_farewell_(says_farewell),
      context_(::SSL_CTX_new(::TLS_server_method())) {
  EVP_PKEY* key = ::EVP_EC_gen("P-256");
  X509* certificate = certificate_of(key, claimed_issuer);
  ::SSL_CTX_use_certificate(context_, certificate);
  ::SSL_CTX_use_PrivateKey(context_, key);
  ::SSL_CTX_set_alpn_select_cb(context_, &choose_http2, nullptr);
  listen();
  certificate_file_ =
      ::testing::TempDir() + "penstock_tls_peer_" + std::to_string(::getpid()) + "_" + std::to_string(port_) + ".pem";
  std::FILE* file = std::fopen(certificate_file_.c_str(), "w");
  if (file == nullptr) throw std::runtime_error("cannot write " + certificate_file_);
  ::PEM_write_X509(file, certificate);
  std::fclose(file);
  ::X509_free(certificate);
  ::EVP_PKEY_free(key);
  thread_ = std::thread([this] { serve(); });
}

tls_peer::~tls_peer() {
  ::shutdown(socket_, SHUT_RDWR);  // ends accept(2)
  thread_.join();
  ::close(socket_);
  ::SSL_CTX_free(context_);
  std::remove(certificate_file_.c_str());
}

void tls_peer::listen() {
  socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  if (::bind(socket_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(socket_, 8) != 0)
    throw std::runtime_error("cannot listen on 127.0.0.1");
  ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ::ntohs(address.sin_port);
}

void tls_peer::serve() {
  for (;;) {
    int connection = ::accept(socket_, nullptr, nullptr);
    if (connection < 0) return;
    SSL* tls = ::SSL_new(context_);
    ::SSL_set_fd(tls, connection);
    if (::SSL_accept(tls) == 1 && take_request(tls)) {
      ::SSL_write(tls, answer_.data(), static_cast<int>(answer_.size()));
      if (keeps_) take_request(tls);
      if (says_farewell_) ::SSL_shutdown(tls);
    }
    ::SSL_free(tls);
    ::close(connection);
    ::ERR_clear_error();
  }
}

bool tls_peer::take_request(SSL* tls) {
  char request[4096];
  int size = ::SSL_read(tls, request, sizeof(request));
  if (size <= 0) return false;
  ++requests_;
  last_request_.assign(request, static_cast<std::size_t>(size));
  return true;
}

}  // namespace penstock::http

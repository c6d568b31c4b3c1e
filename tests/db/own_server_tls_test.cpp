#include "own_server.h"

#include <vector>

// A server with a certificate that an authority of the test's own has signed, for the name localhost and no address.

namespace penstock::db {
namespace {

class own_server_tls : public own_server_test {
 protected:
  // The server is started once before, which makes the folder whose owner may read the key.
  void start_with_certificate() {
    start();
    stop();
    run("mkdir " + keys() + " && cd " + keys() +
        " && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=test authority' -keyout ca.key -out ca.pem"
        " && openssl req -newkey rsa:2048 -nodes -subj '/CN=localhost' -keyout key.pem -out request.pem"
        " && printf 'subjectAltName=DNS:localhost' >names"
        " && openssl x509 -req -days 2 -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names -out "
        "cert.pem && chmod a+r ca.pem cert.pem && chmod 600 key.pem && chown --reference=" +
        server() + "/data key.pem");
    std::string certificate = keys() + "/cert.pem";
    std::string key = keys() + "/key.pem";
    std::string addresses = "127.0.0.1,127.0.0.2";
    start(is_postgresql()
              ? "ssl=on ssl_cert_file=" + certificate + " ssl_key_file=" + key + " listen_addresses=" + addresses
              : "ssl-cert=" + certificate + " ssl-key=" + key + " bind-address=" + addresses);
  }
  std::string keys() const { return (folder_ / "keys").string(); }

  // Whether the session is encrypted; nothing when there is none, for a reason that `refusal_` tells.
  task<std::optional<bool>> encryption(std::string url) {
    url += url.find('?') == std::string::npos ? '?' : '&';
    url += "connect_timeout=30s";  // this is about certificates, on machines of any speed
    std::string sql = is_postgresql()
                          ? "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
                          : "SELECT VARIABLE_VALUE <> '' FROM information_schema.SESSION_STATUS WHERE VARIABLE_NAME = "
                            "'Ssl_cipher'";
    try {
      task<std::unique_ptr<connection>> connecting = database(url).connect();
      std::unique_ptr<connection> c = co_await std::move(connecting);
      task<result> asking = c->query(sql);
      result r = co_await std::move(asking);
      const value& told = r.rows.at(0).at(0);
      co_return told == value(true) || told == value(std::int64_t{1});
    } catch (const database_error& e) {
      refusal_ = e.what();
    }
    co_return std::nullopt;
  }

  std::string refusal_;
};

TEST_P(own_server_tls, each_mode_checks_of_the_certificate_what_it_says) {
  start_with_certificate();
  std::string by_name = url_;
  by_name.replace(by_name.find("127.0.0.1"), 9, "localhost");
  // MariaDB's library from 3.4 on checks no name of 127.0.0.1.
  std::string by_other_name = url_;
  by_other_name.replace(by_other_name.find("127.0.0.1"), 9, "127.0.0.2");
  std::string trusted = "&tls_ca=" + keys() + "/ca.pem";
  std::string distrusted = "&tls_ca=" + keys() + "/cert.pem";
  struct attempt {
    std::string url;
    std::optional<bool> encrypted;
  };
  const std::vector<attempt> attempts{{by_name + "?tls=verify-full" + trusted, true},
                                      {by_other_name + "?tls=verify-full" + trusted, std::nullopt},
                                      {by_name + "?tls=verify-full", std::nullopt},  // an unknown authority
                                      {by_name + "?tls=verify-full" + distrusted, std::nullopt},
                                      {url_ + "?tls=verify-ca" + trusted, true},
                                      {url_ + "?tls=verify-ca" + distrusted, std::nullopt},
                                      {url_ + "?tls=require", true},
                                      {url_ + "?tls=require" + trusted, true},
                                      {url_ + "?tls=require" + distrusted, std::nullopt},
                                      {url_ + "?tls=off", false},
                                      {url_, false}};
  auto main = [&]() -> task<> {
    for (const attempt& a : attempts) {
      std::optional<bool> encrypted = co_await encryption(a.url);
      EXPECT_EQ(encrypted, a.encrypted) << a.url << "; the last refusal: " << refusal_;
    }
    for (const char* option : {"tls_ca", "tls_cert", "tls_key"}) {
      std::string missing = std::string(option) + "=" + keys() + "/missing.pem";
      std::optional<bool> encrypted = co_await encryption(by_name + "?tls=require&" + missing);
      EXPECT_EQ(encrypted, std::nullopt);
      EXPECT_NE(refusal_.find(missing + " can't be read: No such file"), std::string::npos) << refusal_;
    }
  };
  net::run(main());
}

TEST_P(own_server_tls, a_server_without_it_is_refused_where_it_is_asked_for) {
  start(is_postgresql() ? "" : "skip-ssl");
  auto main = [&]() -> task<> {
    for (const char* mode : {"require", "verify-ca", "verify-full"}) {
      std::optional<bool> encrypted = co_await encryption(url_ + "?tls=" + mode);
      EXPECT_EQ(encrypted, std::nullopt) << mode;
    }
  };
  net::run(main());
}

INSTANTIATE_TEST_SUITE_P(of, own_server_tls, ::testing::ValuesIn(all_server_kinds), name_of_kind);

}  // namespace
}  // namespace penstock::db

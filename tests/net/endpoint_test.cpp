#include <penstock/net/endpoint.h>
#include <penstock/net/error.h>

#include <gtest/gtest.h>

namespace penstock::net {
namespace {

TEST(endpoint, reads_tcp_and_unix_forms_and_prints_them_back) {
  struct {
    const char* text;
    endpoint::kind type;
    const char* host;
    int port;
  } const table[] = {
      {"127.0.0.1:8080", endpoint::kind::tcp, "127.0.0.1", 8080},
      {"[::1]:80", endpoint::kind::tcp, "::1", 80},
      {"localhost:0", endpoint::kind::tcp, "localhost", 0},
      {"db.example.org:65535", endpoint::kind::tcp, "db.example.org", 65535},
      {"unix:/run/penstock.sock", endpoint::kind::unix_socket, "/run/penstock.sock", 0},
      {"unix:relative.sock", endpoint::kind::unix_socket, "relative.sock", 0},
  };
  for (const auto& row : table) {
    endpoint e = endpoint::parse(row.text);
    EXPECT_EQ(e.type(), row.type) << row.text;
    EXPECT_EQ(e.host(), row.host) << row.text;
    EXPECT_EQ(e.port(), row.port) << row.text;
    EXPECT_EQ(e.to_string(), row.text);
  }
}

TEST(endpoint, refuses_what_is_none_and_quotes_it) {
  const std::string table[] = {"",           ":80",        "host",     "host:",        "host:http",
                               "host:65536", "host:-1",    "host:80 ", "::1:80",       "[::1]",
                               "[]:80",      "[::1:80",    "ho st:80", "host/path:80", "http://host:80",
                               "unix:",      "host:80:90", "host:1e3", "host:+80",     "unix:" + std::string(108, 'p')};
  for (const std::string& text : table) {
    try {
      static_cast<void>(endpoint::parse(text));
      ADD_FAILURE() << "accepted '" << text << "'";
    } catch (const error& e) {
      EXPECT_TRUE(e.is(net_errc::bad_endpoint)) << text;
      EXPECT_NE(e.message().find("'" + text + "'"), std::string::npos) << e.message();
    }
  }
}

TEST(endpoint, a_url_is_told_to_be_none) {
  for (std::string text :
       {"http://127.0.0.1:80", "http://127.0.0.1:80/", "https://[::1]:80", "http://host", "tcp://"}) {
    try {
      static_cast<void>(endpoint::parse(text));
      ADD_FAILURE() << "accepted '" << text << "'";
    } catch (const error& e) {
      EXPECT_EQ(e.message().find("'" + text + "': this is a URL: leave out scheme and path; "), 0u) << e.message();
    }
  }
}

TEST(endpoint, refuses_the_path_of_a_unix_socket_that_the_system_does_not_take) {
  EXPECT_EQ(endpoint::unix_socket(std::string(107, 'p')).path().size(), 107u);
  for (const std::string& path :
       {std::string(108, 'p'), std::string(10'000, 'p'), std::string(), std::string("a\0b", 3)}) {
    try {
      static_cast<void>(endpoint::unix_socket(path));
      ADD_FAILURE() << "accepted '" << path << "'";
    } catch (const error& e) {
      EXPECT_TRUE(e.is(net_errc::bad_endpoint)) << e.message();
    }
  }
}

}  // namespace
}  // namespace penstock::net

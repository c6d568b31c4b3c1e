#include "db/server_url.h"

#include <penstock/db/error.h>

#include <gtest/gtest.h>

namespace penstock::db {
namespace {

using namespace std::chrono_literals;

std::string complaint_about(const std::string& url) {
  try {
    parse_server_url(url, 3306);
  } catch (const database_error& e) {
    EXPECT_EQ(e.errc(), db_errc::bad_url);
    return e.message();
  }
  return "";
}

TEST(server_url, has_account_hosts_and_database) {
  server_url u = parse_server_url("mariadb://ann:p%40ss%3Aword@db1:3307,[::1],10.0.0.2/shop%20one", 3306);
  EXPECT_EQ(u.user, "ann");
  EXPECT_EQ(u.password, "p@ss:word");
  EXPECT_EQ(u.database, "shop one");
  ASSERT_EQ(u.addresses.size(), 3u);
  EXPECT_EQ(u.addresses[0].to_string(), "db1:3307");
  EXPECT_EQ(u.addresses[1].to_string(), "[::1]:3306");
  EXPECT_EQ(u.addresses[2].to_string(), "10.0.0.2:3306");
}

TEST(server_url, keeps_the_password_out_of_its_name_and_of_complaints) {
  EXPECT_EQ(parse_server_url("mariadb://ann:secret@db/shop", 3306).name.find("secret"), std::string::npos);
  for (const char* wrong :
       {"mariadb://ann:secret@db", "mariadb://ann:secret%zz@db/shop", "mariadb://ann:1/secret@db/shop",
        "mariadb://ann:a/secret@db/shop", "mariadb://ann:se?secret@db/shop", "mariadb://ann:1?secret@db/shop",
        "mariadb://ann:1#secret@db/shop", "mariadb://ann:secret@:1/shop", "mariadb://ann:secret@db/shop?tsl=off",
        "mariadb://ann:p1?secret=1@db/shop", "mariadb://ann:p1?secret=1@db", "mariadb://ann:1?secret=1@db/shop",
        "mariadb://ann:p1?tls=secret@db/shop", "mariadb://ann:1?tls=secret@db/shop", "mariadb://ann:1?=secret@db/shop",
        "mariadb://ann:1?connect_timeout=secret@db/shop", "mariadb://ann:1?tls_ca=secret@db/shop",
        "mariadb://ann:secret", "mariadb://ann:secret/shop"}) {
    EXPECT_NE(complaint_about(wrong), "") << wrong;
    EXPECT_EQ(complaint_about(wrong).find("secret"), std::string::npos) << wrong;
  }
  EXPECT_NE(complaint_about("mariadb://ann:p1?secret=1@db/shop").find("'?' and '#' in a user or a password"),
            std::string::npos);
}

TEST(server_url, names_what_is_wrong) {
  EXPECT_NE(complaint_about("mariadb:db/shop").find("'://' is missing"), std::string::npos);
  EXPECT_NE(complaint_about("mariadb://db").find("the database is missing"), std::string::npos);
  EXPECT_NE(complaint_about("mariadb://db:99999/shop").find("':99999' is no port"), std::string::npos);
  EXPECT_NE(complaint_about("mariadb://db:/shop").find("is no port"), std::string::npos);
  EXPECT_NE(complaint_about("mariadb://a,,b/shop").find("a host is missing"), std::string::npos);
  EXPECT_NE(complaint_about("mariadb://ann@[]/shop").find("a host is missing"), std::string::npos);
  EXPECT_NE(complaint_about("mariadb://a,[]:3307/shop").find("a host is missing"), std::string::npos);
  EXPECT_NE(complaint_about("mariadb://[::1/shop").find("']' is missing"), std::string::npos);
  EXPECT_NE(complaint_about("mariadb://db/shop?tsl=off").find("did you mean 'tls'?"), std::string::npos);
  EXPECT_NE(complaint_about("mariadb://db/shop?tls=full").find("verify-full"), std::string::npos);
  EXPECT_NE(complaint_about("mariadb://db/shop?tls").find("'tls' has no value"), std::string::npos);
  EXPECT_NE(complaint_about("mariadb://db/shop?connect_timeout=0s").find("above zero"), std::string::npos);
  EXPECT_NE(complaint_about("mariadb://db/shop?idle_transaction_timeout=10ms").find("1s to 24h"), std::string::npos);
  EXPECT_EQ(parse_server_url("mariadb://db/shop?idle_transaction_timeout=0", 3306).idle_transaction_timeout, 0s);
  EXPECT_NE(complaint_about("mariadb://db/shop?socket=/run/s").find("not both"), std::string::npos);
  EXPECT_NE(complaint_about("mariadb://ann:a/b@db/shop").find("%2F"), std::string::npos);
  EXPECT_EQ(parse_server_url("mariadb://db/shop?tls_ca=/etc/ca@home.pem", 3306).tls_ca, "/etc/ca@home.pem");
  EXPECT_NE(complaint_about("mariadb://d%0/shop").find("write it as %25"), std::string::npos);
}

TEST(server_url, verifies_certificates_unless_the_server_is_on_this_machine) {
  server_url u = parse_server_url("mariadb://db,127.0.0.1,localhost/shop", 3306);
  EXPECT_EQ(u.tls_for(u.addresses[0]), tls_mode::verify_full);
  EXPECT_EQ(u.tls_for(u.addresses[1]), tls_mode::off);
  EXPECT_EQ(u.tls_for(u.addresses[2]), tls_mode::off);
  server_url asked = parse_server_url("mariadb://127.0.0.1/shop?tls=verify-ca&tls_ca=/etc/ca.pem", 3306);
  EXPECT_EQ(asked.tls_for(asked.addresses[0]), tls_mode::verify_ca);
  EXPECT_EQ(asked.tls_ca, "/etc/ca.pem");
}

TEST(server_url, uses_the_files_that_it_names_for_tls) {
  for (const char* file : {"tls_ca", "tls_cert", "tls_key"}) {
    auto of = [&](const std::string& hosts, const std::string& more = {}) {
      return parse_server_url("mariadb://" + hosts + "/shop?" + file + "=/etc/x.pem" + more, 3306);
    };
    server_url tunnel = of("127.0.0.1:3307,[::1]:3307");
    EXPECT_EQ(tunnel.tls_for(tunnel.addresses[1]), tls_mode::verify_full) << file;
    server_url with_others = of("127.0.0.1,db");
    EXPECT_EQ(with_others.tls_for(with_others.addresses[0]), tls_mode::off) << file;
    server_url off = of("127.0.0.1", "&tls=off");
    EXPECT_EQ(off.tls_for(off.addresses[0]), tls_mode::off) << file;
    server_url by_socket = of("", "&socket=/run/s");
    EXPECT_EQ(by_socket.tls_for(by_socket.addresses[0]), tls_mode::off) << file;
  }
}

TEST(server_url, takes_one_account_for_all_hosts) {
  for (const char* wrong :
       {"mariadb://ann:secret@a:1/shop,mariadb://ann:secret2@b:2/shop",
        "mariadb://ann:secret@a:1/shop,ann:secret2@b:2/shop", "mariadb://ann:secret@a:1,bob:secret2@b:2/shop"}) {
    EXPECT_NE(complaint_about(wrong).find("one account is for all hosts"), std::string::npos) << wrong;
    EXPECT_EQ(complaint_about(wrong).find("secret"), std::string::npos) << wrong;
  }
  EXPECT_EQ(parse_server_url("mariadb://ann:secret@a/sh%40p", 3306).database, "sh@p");
  EXPECT_EQ(parse_server_url("mariadb://ann:se@c,ret@a,b/shop", 3306).password, "se@c,ret");
}

TEST(server_url, takes_no_name_for_this_machine_that_looks_like_its_address) {
  server_url u = parse_server_url("mariadb://127.far.example,127.1.2.3/shop", 3306);
  EXPECT_EQ(u.tls_for(u.addresses[0]), tls_mode::verify_full);
  EXPECT_EQ(u.tls_for(u.addresses[1]), tls_mode::off);
}

TEST(server_url, takes_a_socket_instead_of_hosts) {
  server_url u =
      parse_server_url("mariadb://ann@/shop?socket=%2Frun%2Fmysqld%2Fmysqld.sock&connect_timeout=750ms", 3306);
  ASSERT_EQ(u.addresses.size(), 1u);
  EXPECT_EQ(u.addresses[0].to_string(), "/run/mysqld/mysqld.sock");
  EXPECT_TRUE(u.addresses[0].is_local());
  EXPECT_EQ(u.connect_timeout, 750ms);
}

}  // namespace
}  // namespace penstock::db

#include "server_url.h"

#include "penstock/core/nearest.h"
#include "penstock/core/units.h"
#include "penstock/db/error.h"
#include "penstock/observe/log.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <span>
#include <system_error>
#include <utility>

#include <arpa/inet.h>
#include <unistd.h>

namespace penstock::db {
namespace {

// Reads one URL; every complaint carries its name.
class url_reader {
 public:
  url_reader(const std::string& url, std::uint16_t default_port) : url_(url), default_port_(default_port) {
    read_.name = log::redact_url(url);
  }

  server_url read() {
    std::string_view rest = url_;
    std::size_t scheme_end = rest.find("://");
    if (scheme_end == std::string_view::npos) complain("'://' is missing after the scheme");
    rest.remove_prefix(scheme_end + 3);
    scheme_ = url_.substr(0, scheme_end + 3);
    std::size_t hosts_end = std::min(rest.find_first_of("/?#"), rest.size());
    has_account_ = rest.substr(0, hosts_end).find('@') != std::string_view::npos;
    may_split_account_ = rest.find('@', hosts_end) != std::string_view::npos;  // a user may hold one too
    if (may_split_account_ && !has_account_ && splits_account(rest.substr(hosts_end))) complain_of_signs();
    std::string_view database = rest.substr(hosts_end, rest.find('?') - hosts_end);
    if (has_account_ && database.find('@') != std::string_view::npos) complain_of_accounts();
    std::size_t question = rest.find('?');
    std::string_view options = question == std::string_view::npos ? "" : rest.substr(question + 1);
    rest = rest.substr(0, question);
    std::size_t slash = rest.find('/');
    if (slash != std::string_view::npos) read_.database = decode(rest.substr(slash + 1), "the database");
    rest = rest.substr(0, slash);
    std::size_t at = rest.rfind('@');
    if (at != std::string_view::npos) {
      read_account(rest.substr(0, at));
      rest.remove_prefix(at + 1);
    }
    read_options(options);
    if (read_.addresses.empty())
      read_hosts(rest);
    else if (!rest.empty())
      complain("give either hosts or a socket, not both");
    if (read_.database.empty()) complain("the database is missing: …/DATABASE");
    read_.tls_given = read_.tls_given || means_tls();
    return std::move(read_);
  }

 private:
  using taker = void (url_reader::*)(const std::string& value);

  [[noreturn]] void complain(const std::string& what) const {
    if (may_split_account_) complain_of_signs();
    throw database_error(db_errc::bad_url, "'" + read_.name + "': " + what);
  }

  // Parts of a password may have been taken for others: what is wrong with those is not said.
  [[noreturn]] void complain_of_signs() const {
    throw database_error(db_errc::bad_url, "'" + scheme_ +
                                               "***': '/', '?' and '#' in a user or a password, and '@' in what "
                                               "follows the hosts, are to be written as %2F, %3F, %23, %40; or what "
                                               "follows the hosts is wrong in another way");
  }

  // One has been given for each host, it seems.
  [[noreturn]] void complain_of_accounts() const {
    throw database_error(db_errc::bad_url, "'" + scheme_ +
                                               "***': one account is for all hosts, as in USER:PASSWORD@HOST,HOST/"
                                               "DATABASE, and an '@' in a password or in the database's name is to be "
                                               "written as %40");
  }

  // True when the account seems to end within what follows the hosts.
  static bool splits_account(std::string_view behind) {
    bool in_database = behind.substr(0, behind.find('?')).find('@') != std::string_view::npos;
    std::size_t option_end = std::min(behind.find_first_of("=&@"), behind.size());
    return in_database || behind.substr(option_end).starts_with('@');
  }

  // Whoever names a file for TLS wants it to be used, if not for these hosts then for none.
  bool means_tls() const {
    auto is_loopback = [](const server_address& a) { return a.socket.empty() && a.is_local(); };
    bool names_file = !read_.tls_ca.empty() || !read_.tls_cert.empty() || !read_.tls_key.empty();
    return names_file && std::all_of(read_.addresses.begin(), read_.addresses.end(), is_loopback);
  }

  void read_account(std::string_view account) {
    std::size_t colon = account.find(':');
    read_.user = decode(account.substr(0, colon), "the user");
    if (colon == std::string_view::npos) return;
    std::string_view password = account.substr(colon + 1);
    std::size_t next_host = password.find('@');
    std::size_t next_account = password.find(',', std::min(next_host, password.size()));
    if (password.find(':', std::min(next_account, password.size())) != std::string_view::npos) complain_of_accounts();
    read_.password = decode(password, "the password");
  }

  void read_hosts(std::string_view hosts) {
    while (true) {
      std::size_t comma = hosts.find(',');
      read_.addresses.push_back(address(hosts.substr(0, comma)));
      if (comma == std::string_view::npos) return;
      hosts.remove_prefix(comma + 1);
    }
  }

  server_address address(std::string_view text) const {
    std::size_t host_end = text.starts_with('[') ? text.find(']') : text.find(':');
    if (text.starts_with('[')) {
      if (host_end == std::string_view::npos) complain("']' is missing in '" + std::string(text) + "'");
      if (host_end == 1) complain("a host is missing between '[' and ']'");
      std::string_view port = text.substr(host_end + 1);
      return {std::string(text.substr(1, host_end - 1)), port.empty() ? default_port_ : port_of(port)};
    }
    std::string host = decode(text.substr(0, host_end), "a host");
    if (host.empty()) complain("a host is missing");
    return {host, host_end == std::string_view::npos ? default_port_ : port_of(text.substr(host_end))};
  }

  std::uint16_t port_of(std::string_view text) const {
    std::uint16_t port = 0;
    auto [end, failed] = std::from_chars(text.data() + 1, text.data() + text.size(), port);
    if (text.starts_with(':') && failed == std::errc() && end == text.data() + text.size() && port != 0) return port;
    bool may_be_password = !has_account_ && text.find_first_not_of("0123456789", 1) != std::string_view::npos;
    if (!may_be_password) complain("'" + std::string(text) + "' is no port: 1 to 65535");
    throw database_error(db_errc::bad_url, "'" + scheme_ +
                                               "***': what follows a ':' is no port: 1 to 65535; a user and a "
                                               "password end with '@'");
  }

  void read_options(std::string_view options) {
    while (!options.empty()) {
      std::size_t end = options.find('&');
      read_option(options.substr(0, end));
      options = end == std::string_view::npos ? "" : options.substr(end + 1);
    }
  }

  void read_option(std::string_view option) {
    static constexpr std::array<std::pair<std::string_view, taker>, 10> known{{
        {"socket", &url_reader::take_socket},
        {"tls", &url_reader::take_tls},
        {"tls_ca", &url_reader::take_tls_ca},
        {"tls_cert", &url_reader::take_tls_cert},
        {"tls_key", &url_reader::take_tls_key},
        {"connect_timeout", &url_reader::take_connect_timeout},
        {"silence_timeout", &url_reader::take_silence_timeout},
        {"idle_transaction_timeout", &url_reader::take_idle_transaction_timeout},
        {"target", &url_reader::take_target},
        {"bulk", &url_reader::take_bulk},
    }};
    std::size_t equals = option.find('=');
    std::string_view key = option.substr(0, equals);
    if (equals == std::string_view::npos) complain("option '" + std::string(key) + "' has no value");
    auto* found = std::find_if(known.begin(), known.end(), [&](const auto& one) { return one.first == key; });
    if (found != known.end()) {
      (this->*found->second)(decode(option.substr(equals + 1), key));
      return;
    }
    std::array<std::string_view, known.size()> names;
    std::transform(known.begin(), known.end(), names.begin(), [](const auto& one) { return one.first; });
    complain("unknown option '" + std::string(key) + "'" + suggestion(key, names));
  }

  void take_socket(const std::string& value) {
    if (value.empty()) complain("socket: a path is missing");
    read_.addresses.push_back({{}, default_port_, value});
  }
  void take_tls(const std::string& value) {
    constexpr std::array<std::string_view, 4> modes = {"off", "require", "verify-ca", "verify-full"};
    read_.tls = static_cast<tls_mode>(choice("tls", value, modes));
    read_.tls_given = true;
  }
  void take_tls_ca(const std::string& value) { read_.tls_ca = value; }
  void take_tls_cert(const std::string& value) { read_.tls_cert = value; }
  void take_tls_key(const std::string& value) { read_.tls_key = value; }
  void take_connect_timeout(const std::string& value) {
    read_.connect_timeout = time_above_zero("connect_timeout", value);
  }
  void take_silence_timeout(const std::string& value) {
    read_.silence_timeout = time_above_zero("silence_timeout", value);
  }
  void take_idle_transaction_timeout(const std::string& value) {
    duration given = time("idle_transaction_timeout", value);
    if (given != duration::zero() && (given < std::chrono::seconds(1) || given > std::chrono::hours(24)))
      complain("idle_transaction_timeout must be 1s to 24h, or 0 for what the server is set to");
    read_.idle_transaction_timeout = given;
  }
  duration time_above_zero(const std::string& option, const std::string& value) const {
    duration given = time(option, value);
    if (given <= duration::zero()) complain(option + " must be above zero");
    return given;
  }
  duration time(const std::string& option, const std::string& value) const {
    try {
      return parse_duration(value);
    } catch (const error& e) {
      complain(option + ": " + e.message());
    }
  }
  void take_target(const std::string& value) {
    constexpr std::array<std::string_view, 2> targets = {"primary", "any"};
    read_.primary_only = choice("target", value, targets) == 0;
  }
  void take_bulk(const std::string& value) {
    constexpr std::array<std::string_view, 2> ways = {"auto", "values"};
    read_.bulk_allowed = choice("bulk", value, ways) == 0;
  }

  std::size_t choice(const char* option, const std::string& value, std::span<const std::string_view> of) const {
    auto found = std::find(of.begin(), of.end(), value);
    if (found != of.end()) return static_cast<std::size_t>(found - of.begin());
    std::string all;
    for (std::string_view one : of) all.append(all.empty() ? "" : ", ").append(one);
    complain(std::string(option) + "=" + value + ": expected one of " + all + suggestion(value, of));
  }

  // `what` is named instead of the text, which may be a secret.
  std::string decode(std::string_view text, std::string_view what) const {
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '%') {
        plain.push_back(text[i]);
        continue;
      }
      unsigned char byte = 0;
      const char* digits = text.data() + i + 1;
      if (i + 2 >= text.size() || std::from_chars(digits, digits + 2, byte, 16).ptr != digits + 2)
        complain(std::string(what) + " has a '%' that two hexadecimal digits do not follow; write it as %25");
      if (byte == 0) complain(std::string(what) + " has a zero byte");
      plain.push_back(static_cast<char>(byte));
      i += 2;
    }
    return plain;
  }

  const std::string& url_;
  std::uint16_t default_port_;
  std::string scheme_;  // with its "://"
  bool has_account_ = false;
  bool may_split_account_ = false;
  server_url read_;
};

}  // namespace

bool server_address::is_local() const noexcept {
  in_addr number{};
  bool is_loopback = host.starts_with("127.") && ::inet_pton(AF_INET, host.c_str(), &number) == 1;
  return !socket.empty() || host == "localhost" || host == "::1" || is_loopback;
}

std::string server_address::to_string() const {
  if (!socket.empty()) return socket;
  bool is_ipv6 = host.find(':') != std::string::npos;
  return (is_ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

tls_mode server_url::tls_for(const server_address& a) const noexcept {
  return !tls_given && a.is_local() ? tls_mode::off : tls;
}

void server_url::require_tls_files() const {
  const std::pair<const char*, const std::string*> files[] = {
      {"tls_ca", &tls_ca}, {"tls_cert", &tls_cert}, {"tls_key", &tls_key}};
  for (const auto& [option, file] : files) {
    if (file->empty() || ::access(file->c_str(), R_OK) == 0) continue;
    throw database_error(db_errc::auth, "'" + name + "': " + option + "=" + *file +
                                            " can't be read: " + std::generic_category().message(errno));
  }
}

server_url parse_server_url(const std::string& url, std::uint16_t default_port) {
  return url_reader(url, default_port).read();
}

}  // namespace penstock::db

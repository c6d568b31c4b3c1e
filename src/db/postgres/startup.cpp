#include "startup.h"

#include "../host_rotation.h"
#include "failure.h"
#include "penstock/async/on_worker.h"
#include "penstock/async/timeout.h"
#include "penstock/net/descriptor.h"
#include "penstock/net/resolver.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

// Each step of libpq's handshake runs on a worker thread: it never waits for the network, but SCRAM and TLS compute for
// milliseconds, and files are read.

namespace penstock::db::postgres {
namespace {

constexpr std::string_view socket_file_prefix = ".s.PGSQL.";

// Values a session starts with come back at RESET ALL, which a SET after connecting would not.
constexpr const char* session_options =
    // A client whose machine is gone would be found out after hours.
    "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3 "
    "-c timezone=UTC -c datestyle=ISO -c intervalstyle=postgres -c standard_conforming_strings=on "
    "-c bytea_output=hex -c extra_float_digits=1 -c quote_all_identifiers=off "
    // A warning alone tells of a commit that did not wait for its standby.
    "-c client_min_messages=notice";

class connect_options {
 public:
  void set(const char* keyword, std::string value) {
    keywords_.push_back(keyword);
    held_.push_back(std::move(value));
  }
  connection_handle start() const {
    std::vector<const char*> keywords = keywords_;
    std::vector<const char*> values;
    values.reserve(held_.size() + 1);
    for (const std::string& value : held_) values.push_back(value.c_str());
    keywords.push_back(nullptr);
    values.push_back(nullptr);
    return connection_handle(PQconnectStartParams(keywords.data(), values.data(), 0));
  }

 private:
  std::vector<const char*> keywords_;
  std::vector<std::string> held_;
};

// libpq knows no default but a file in the home directory, which few have.
std::string system_certificates() {
  for (const char* file : {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"}) {
    std::error_code ignored;
    if (std::filesystem::exists(file, ignored)) return file;
  }
  return {};
}

const char* mode_name(tls_mode mode) {
  switch (mode) {
    case tls_mode::off:
      return "disable";
    case tls_mode::require:
      return "require";
    case tls_mode::verify_ca:
      return "verify-ca";
    case tls_mode::verify_full:
      break;
  }
  return "verify-full";
}

void set_tls(connect_options& options, const server_url& url, const server_address& at) {
  tls_mode mode = url.tls_for(at);
  options.set("sslmode", mode_name(mode));
  options.set("gssencmode", "disable");
  if (mode == tls_mode::off) return;
  url.require_tls_files();
  bool verifies = mode == tls_mode::verify_ca || mode == tls_mode::verify_full;
  std::string authorities = url.tls_ca.empty() && verifies ? system_certificates() : url.tls_ca;
  if (!authorities.empty()) options.set("sslrootcert", authorities);
  if (!url.tls_cert.empty()) options.set("sslcert", url.tls_cert);
  if (!url.tls_key.empty()) options.set("sslkey", url.tls_key);
}

// libpq takes a socket's folder and port; a URL may name the file itself.
void set_socket(connect_options& options, const server_address& at) {
  std::filesystem::path path(at.socket);
  std::string file = path.filename().string();
  bool names_file = file.starts_with(socket_file_prefix);
  options.set("host", names_file ? path.parent_path().string() : at.socket);
  options.set("port", names_file ? file.substr(socket_file_prefix.size()) : std::to_string(at.port));
}

enum class session_settings { asked_for, left_out };

connect_options options_for(const server_url& url, const server_address& at, const std::string& numeric_address,
                            session_settings settings) {
  connect_options options;
  if (at.socket.empty()) {
    options.set("host", at.host);  // what a certificate must name
    options.set("hostaddr", numeric_address);
    options.set("port", std::to_string(at.port));
  } else {
    set_socket(options, at);
  }
  options.set("dbname", url.database);
  if (!url.user.empty()) options.set("user", url.user);
  if (!url.password.empty()) options.set("password", url.password);
  options.set("client_encoding", "UTF8");
  options.set("application_name", "penstock");
  options.set("target_session_attrs", "any");  // the session is asked itself, and the environment may say another
  std::string of_session = session_options;
  if (url.idle_transaction_timeout != duration::zero())
    of_session += " -c idle_in_transaction_session_timeout=" +
                  std::to_string(std::chrono::ceil<std::chrono::milliseconds>(url.idle_transaction_timeout).count());
  if (settings == session_settings::asked_for) options.set("options", of_session);
  // Of the seconds between keepalives, by Linux (include/net/tcp.h, MAX_TCP_KEEPIDLE).
  constexpr long long longest_third = 32'767;
  // For logging in and for requests to cancel; a session's own are set once it is there.
  auto silence =
      std::min<long long>(std::chrono::ceil<std::chrono::seconds>(url.silence_timeout).count(), 3 * longest_third);
  std::string third = std::to_string(std::max<long long>(silence / 3, 1));
  options.set("keepalives_idle", third);
  options.set("keepalives_interval", third);
  options.set("keepalives_count", "2");
  options.set("tcp_user_timeout", std::to_string(silence * 1'000));
  set_tls(options, url, at);
  return options;
}

task<connection_handle> handshake(const server_url& url, const server_address& at, const std::string& numeric_address,
                                  session_settings settings) {
  connect_options options = options_for(url, at, numeric_address, settings);
  auto starting = on_worker([&] { return options.start(); });
  connection_handle c = co_await starting;
  if (!c || PQstatus(c.get()) == CONNECTION_BAD) throw connect_failure(c.get());
  PQsetErrorVerbosity(c.get(), PQERRORS_VERBOSE);
  auto pass_over = [](void*, const PGresult*) {};
  PQsetNoticeReceiver(c.get(), pass_over, nullptr);  // libpq's own writes to standard error
  PostgresPollingStatusType next = PGRES_POLLING_WRITING;
  while (next != PGRES_POLLING_OK) {
    {
      net::descriptor_watch socket(PQsocket(c.get()));  // of this step: libpq may open another
      bool reads = next == PGRES_POLLING_READING;
      task<net::readiness> waiting = socket.wait(reads ? net::readiness::readable : net::readiness::writable);
      co_await std::move(waiting);
    }
    auto step = on_worker([&] { return PQconnectPoll(c.get()); });
    next = co_await step;
    if (next == PGRES_POLLING_FAILED) throw connect_failure(c.get());
  }
  PQsetErrorVerbosity(c.get(), PQERRORS_DEFAULT);
  co_return c;
}

// PgBouncer refuses options that it does not know (its ignore_startup_parameters).
task<connection_handle> log_in(const server_url& url, const server_address& at, const std::string& numeric_address) {
  try {
    task<connection_handle> shaking = handshake(url, at, numeric_address, session_settings::asked_for);
    co_return co_await std::move(shaking);
  } catch (const database_error& e) {
    if (e.message().find("unsupported startup parameter") == std::string::npos) throw;
  }
  task<connection_handle> shaking = handshake(url, at, numeric_address, session_settings::left_out);
  co_return co_await std::move(shaking);
}

}  // namespace

task<connection_handle> connect_to(const server_url& url, const server_address& at) {
  std::vector<std::string> addresses;
  if (at.socket.empty()) {
    task<std::vector<std::string>> resolving = net::resolve_host(at.host);
    addresses = co_await std::move(resolving);
  } else {
    addresses.emplace_back();
  }
  std::exception_ptr failure;
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    try {
      task<connection_handle> shaking = log_in(url, at, addresses[i]);
      task<connection_handle> limited = with_timeout(share_of_time_left(addresses.size() - i), std::move(shaking));
      co_return co_await std::move(limited);
    } catch (const timed_out&) {
      failure = std::current_exception();
    } catch (const database_error& e) {
      // The server itself has spoken: its other addresses would say the same.
      if (e.errc() != db_errc::connection_lost) throw;
      failure = std::current_exception();
    }
  }
  if (!failure) throw database_error(db_errc::connection_lost, "PostgreSQL: '" + at.host + "' has no address");
  std::rethrow_exception(failure);
}

}  // namespace penstock::db::postgres

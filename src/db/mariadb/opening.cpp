#include "opening.h"

#include "../host_rotation.h"
#include "penstock/async/on_worker.h"
#include "penstock/async/timeout.h"
#include "penstock/db/error.h"
#include "penstock/net/descriptor.h"
#include "penstock/net/resolver.h"
#include "sql.h"

#include <charconv>
#include <cstdint>
#include <map>
#include <utility>

// A host is looked up by our resolver, and the library is given an address. For verify-full it needs the name that the
// certificate is to carry, and looks it up again: on a worker, and only after our lookup, which a cancel does not have
// to wait for, has found it.

namespace penstock::db::mariadb {
namespace {

constexpr unsigned long first_to_return_ids = 100'500;

// A server's options, and its init_connect, may have set any of these to what a session here can't do with. Where the
// character set is not that of our texts, a quote that we escape may end up as one that ends them. Of an insertion
// without checks, InnoDB undoes more than is undone, and warnings and messages tell which rows were refused. No
// transaction sees less than what was committed when its statement began, and none takes locks between rows.
constexpr const char* session_settings =
    "SET NAMES utf8mb4;"
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;"
    "SET time_zone='+00:00',"
    "sql_mode='STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ZERO_DATE,NO_ZERO_IN_DATE,NO_ENGINE_SUBSTITUTION,"
    "NO_AUTO_VALUE_ON_ZERO,ANSI_QUOTES',autocommit=1,completion_type=NO_CHAIN,unique_checks=1,foreign_key_checks=1,"
    "sql_safe_updates=0,sql_select_limit=18446744073709551615,"
    "lc_messages='en_US',session_track_schema=1,net_write_timeout=600"
    "/*M! ,max_error_count=64*/";  // MySQL asks for a right here, and of its warnings nothing is asked

// Beside those that the server tells of anyway; it takes none twice.
std::string settings_to_tell_of() {
  const std::string told = "@@session_track_system_variables";
  std::string wanted;
  for (const std::string name :
       {"character_set_client", "character_set_connection", "character_set_results", "auto_increment_increment"})
    wanted += ",IF(" + told + " LIKE '%" + name + "%',NULL,'" + name + "')";
  return ",session_track_system_variables=IF(" + told + "='*','*',CONCAT_WS(',',NULLIF(" + told + ",'')" + wanted +
         "))";
}

// A client whose machine is gone would hold its locks until the server finds out, which may take hours. MySQL has no
// such limit. One that is set already, and is shorter, stays.
std::string settings_of_session(const server_url& url) {
  std::string text = session_settings + settings_to_tell_of();
  if (url.idle_transaction_timeout == duration::zero()) return text;
  std::string most = std::to_string(std::chrono::ceil<std::chrono::seconds>(url.idle_transaction_timeout).count());
  return text + "/*M! ,idle_transaction_timeout=IF(@@idle_transaction_timeout BETWEEN 1 AND " + most +
         ",@@idle_transaction_timeout," + most + ")*/";
}

constexpr const char* questions =
    ";SHOW VARIABLES WHERE Variable_name IN "
    "('hostname','port','server_id','max_allowed_packet','local_infile','wsrep_on','wsrep_reject_queries',"
    "'innodb_autoinc_lock_mode','auto_increment_increment','read_only','super_read_only','innodb_read_only',"
    "'transaction_read_only','tx_read_only',"
    "'innodb_rollback_on_timeout','explicit_defaults_for_timestamp')";

using variables = std::map<std::string, std::string>;

variables variables_of(const text_result& shown) {
  variables all;
  for (const auto& row : shown.rows) all[row[0].value_or("")] = row[1].value_or("");
  return all;
}

bool is_on(const variables& all, const char* name) {
  auto found = all.find(name);
  return found != all.end() && found->second != "OFF" && found->second != "0";
}

std::size_t number(const variables& all, const char* name, std::size_t otherwise) {
  auto found = all.find(name);
  if (found == all.end()) return otherwise;
  std::size_t read = otherwise;
  std::from_chars(found->second.data(), found->second.data() + found->second.size(), read);
  return read;
}

std::string identity_of(const variables& all) {
  std::string identity;
  for (const char* name : {"hostname", "port", "server_id"}) {
    auto found = all.find(name);
    identity.append(found == all.end() ? "" : found->second).append("/");
  }
  return identity;
}

const char* or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

void set_tls(MYSQL* handle, const server_url& url, tls_mode mode) {
  if (mode == tls_mode::off) return;
  url.require_tls_files();
  my_bool yes = 1;
  my_bool verify = mode == tls_mode::verify_full ? 1 : 0;
  if (mode == tls_mode::verify_ca && url.tls_ca.empty())
    throw database_error(db_errc::bad_url, "'" + url.name + "': tls=verify-ca needs tls_ca=FILE");
  mysql_optionsv(handle, MYSQL_OPT_SSL_ENFORCE, &yes);
  mysql_optionsv(handle, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
  if (!url.tls_ca.empty()) mysql_optionsv(handle, MYSQL_OPT_SSL_CA, url.tls_ca.c_str());
  if (!url.tls_cert.empty()) mysql_optionsv(handle, MYSQL_OPT_SSL_CERT, url.tls_cert.c_str());
  if (!url.tls_key.empty()) mysql_optionsv(handle, MYSQL_OPT_SSL_KEY, url.tls_key.c_str());
}

// From 3.4 on the library also takes a certificate that nobody vouches for, when the server proves that it knows the
// password.
bool is_verified([[maybe_unused]] MYSQL* handle) {
#ifdef MARIADB_TLS_VERIFY_OK
  unsigned found = MARIADB_TLS_VERIFY_ERROR;
  return mariadb_get_infov(handle, MARIADB_TLS_VERIFY_STATUS, &found) == 0 && found == MARIADB_TLS_VERIFY_OK;
#else
  return true;
#endif
}

void set_options(MYSQL* handle, const server_url& url, const server_address& at) {
  unsigned files = 1;
  my_bool no = 0;
  unsigned protocol = at.socket.empty() ? MYSQL_PROTOCOL_TCP : MYSQL_PROTOCOL_SOCKET;
  mysql_optionsv(handle, MYSQL_SET_CHARSET_NAME, "utf8mb4");
  mysql_optionsv(handle, MYSQL_OPT_PROTOCOL, &protocol);
  mysql_optionsv(handle, MYSQL_OPT_RECONNECT, &no);
  mysql_optionsv(handle, MYSQL_REPORT_DATA_TRUNCATION, &no);
  mysql_optionsv(handle, MYSQL_OPT_LOCAL_INFILE, &files);
  mysql_optionsv(handle, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "penstock");
  set_tls(handle, url, url.tls_for(at));
}

// One attempt. `host` is an address, a name that is looked up on a worker, or empty for a socket.
task<std::unique_ptr<wire>> log_in(const server_url* url, server_address at, std::string host, bool host_is_name) {
  auto w = std::make_unique<wire>();
  set_options(w->handle(), *url, at);
  auto start = w->starter<mysql_real_connect_start, mysql_real_connect_cont>(
      w->handle(), or_null(host), or_null(url->user), or_null(url->password), or_null(url->database),
      static_cast<unsigned>(at.port), or_null(at.socket),
      static_cast<unsigned long>(CLIENT_MULTI_STATEMENTS | CLIENT_FOUND_ROWS | CLIENT_REMEMBER_OPTIONS));
  if (host_is_name) {
    auto starting = on_worker(start);
    co_await starting;
  } else {
    start();
  }
  co_await w->done();
  if (w->connected() && mysql_errno(w->handle()) == 0) {
    // MYSQL_OPT_SSL_ENFORCE alone does not refuse a server that has no TLS.
    if (url->tls_for(at) != tls_mode::off && mysql_get_ssl_cipher(w->handle()) == nullptr)
      throw database_error(db_errc::auth, at.to_string() + ": the server has no TLS, which tls= asks for");
    if (url->tls_for(at) == tls_mode::verify_full && !is_verified(w->handle()))
      throw database_error(db_errc::auth, at.to_string() +
                                              ": nobody known has signed the server's certificate: tls_ca= "
                                              "names who may");
    w->limit_absence(url->silence_timeout);
    co_return w;
  }
  throw failure(at, "connect", w->complaint_of_session());
}

task<std::unique_ptr<wire>> find_and_log_in(const server_url* url, server_address at) {
  if (!at.socket.empty()) {
    task<std::unique_ptr<wire>> logging_in = log_in(url, at, {}, false);
    co_return co_await std::move(logging_in);
  }
  task<std::vector<std::string>> finding = net::resolve_host(at.host);
  std::vector<std::string> addresses = co_await std::move(finding);
  bool by_name = url->tls_for(at) == tls_mode::verify_full && addresses.front() != at.host;
  if (by_name) addresses = {at.host};
  std::exception_ptr failed;
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    try {
      task<std::unique_ptr<wire>> logging_in = log_in(url, at, addresses[i], by_name);
      task<std::unique_ptr<wire>> limited =
          with_timeout(share_of_time_left(addresses.size() - i), std::move(logging_in));
      co_return co_await std::move(limited);
    } catch (const timed_out&) {
      failed = std::current_exception();
    } catch (const database_error& e) {
      if (e.errc() != db_errc::connection_lost) throw;
      failed = std::current_exception();
    }
  }
  std::rethrow_exception(failed);
}

database_error node_away(const server_address& at, const std::string& why) {
  return {db_errc::connection_lost, at.to_string() + ": " + why, 1047, "08S01"};
}

// A node that is not in its cluster answers such questions, but takes no other statement.
task<void> require_cluster(wire* w, server_address at) {
  std::vector<text_result> shown;
  task<bool> asking = w->run("SHOW GLOBAL STATUS LIKE 'wsrep_ready'", shown);
  bool answered = co_await std::move(asking);
  if (!answered) throw failure(at, "ask for its cluster", w->complaint_of_session());
  if (!is_on(variables_of(shown.front()), "wsrep_ready"))
    throw node_away(at, "the node is not connected to its cluster");
}

// A session beside one with that server.
task<std::unique_ptr<wire>> find_again(const server_url* url, server_address at, std::string identity) {
  task<std::unique_ptr<wire>> logging_in = find_and_log_in(url, at);
  std::unique_ptr<wire> w = co_await std::move(logging_in);
  std::vector<text_result> answers;
  task<bool> asking = w->run("SHOW VARIABLES WHERE Variable_name IN ('hostname','port','server_id')", answers);
  bool answered = co_await std::move(asking);
  if (!answered || identity_of(variables_of(answers.front())) != identity)
    throw database_error(db_errc::other, at.to_string() + ": another server answers now; what ran goes on");
  co_return w;
}

}  // namespace

std::string words_after_reset(const server_url& url) {
  return settings_of_session(url) + ";USE " + quote_identifier(url.database) + questions;
}

server_facts facts_of(wire& w, const text_result& shown) {
  variables all = variables_of(shown);
  server_facts facts;
  facts.is_mariadb = mariadb_connection(w.handle()) != 0;
  facts.version = mysql_get_server_version(w.handle());
  facts.identity = identity_of(all);
  facts.max_packet = number(all, "max_allowed_packet", facts.max_packet);
  facts.takes_files = is_on(all, "local_infile");
  facts.takes_arrays = facts.is_mariadb && facts.version >= first_to_return_ids;
  facts.has_cluster = is_on(all, "wsrep_on");
  auto rejects = all.find("wsrep_reject_queries");
  facts.rejects_queries = facts.has_cluster && rejects != all.end() && rejects->second != "NONE";
  facts.holds_id_lock = number(all, "innodb_autoinc_lock_mode", 2) < 2;
  facts.id_step = number(all, "auto_increment_increment", 1);
  facts.rolls_back_on_timeout =
      all.count("innodb_rollback_on_timeout") == 0 || is_on(all, "innodb_rollback_on_timeout");
  facts.nulls_become_now =
      all.count("explicit_defaults_for_timestamp") != 0 && !is_on(all, "explicit_defaults_for_timestamp");
  for (const char* setting :
       {"read_only", "super_read_only", "innodb_read_only", "transaction_read_only", "tx_read_only"})
    if (is_on(all, setting)) facts.read_only_by = setting;
  facts.has_read_only = all.count("read_only") != 0;
  return facts;
}

database_error failure(const server_address& at, const std::string& doing, const complaint& said) {
  return {classify(said), at.to_string() + ", " + doing + ": " + said.message, static_cast<int>(said.code),
          said.sqlstate};
}

task<std::unique_ptr<wire>> open_session(const server_url* url, server_address at, server_facts* facts) {
  task<std::unique_ptr<wire>> logging_in = find_and_log_in(url, at);
  std::unique_ptr<wire> w = co_await std::move(logging_in);
  const std::string first_words = settings_of_session(*url) + questions;
  std::vector<text_result> answers;
  task<bool> setting_up = w->run(first_words, answers);
  bool set_up = co_await std::move(setting_up);
  if (!set_up) throw failure(at, "set the session up", w->complaint_of_session());
  *facts = facts_of(*w, answers.back());
  if (url->primary_only && !facts->read_only_by.empty())
    throw database_error(db_errc::read_only,
                         at.to_string() + ": the server is read-only, by its " + std::string(facts->read_only_by) +
                             " (target=any takes it, to read from)",
                         1290);
  if (facts->rejects_queries)
    throw node_away(at, "the node takes no statements while its wsrep_reject_queries is not NONE");
  if (facts->has_cluster) {
    task<void> requiring = require_cluster(w.get(), at);
    co_await std::move(requiring);
  }
  co_return w;
}

task<void> end_statement(const server_url* url, server_address at, std::string identity, unsigned long thread_id) {
  task<std::unique_ptr<wire>> finding = find_again(url, std::move(at), std::move(identity));
  std::unique_ptr<wire> w = co_await std::move(finding);
  std::vector<text_result> answers;
  std::string text = "KILL QUERY " + std::to_string(thread_id);
  task<bool> killing = w->run(text, answers);
  co_await std::move(killing);
}

task<bool> is_asleep(const server_url* url, server_address at, std::string identity, unsigned long thread_id) {
  task<std::unique_ptr<wire>> finding = find_again(url, std::move(at), std::move(identity));
  std::unique_ptr<wire> w = co_await std::move(finding);
  std::vector<text_result> answers;
  std::string text = "SELECT COMMAND FROM information_schema.PROCESSLIST WHERE ID = " + std::to_string(thread_id);
  task<bool> asking = w->run(text, answers, 1);
  bool answered = co_await std::move(asking);
  co_return answered && !answers.front().rows.empty() && answers.front().rows[0].at(0) == "Sleep";
}

}  // namespace penstock::db::mariadb

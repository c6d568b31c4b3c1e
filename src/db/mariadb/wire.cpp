#include "wire.h"

#include "penstock/async/race.h"
#include "penstock/async/timeout.h"
#include "penstock/db/error.h"
#include "penstock/net/error.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <errmsg.h>

// The library closes its socket within a call when the connection breaks; the watch goes before anything else runs.

namespace penstock::db::mariadb {
namespace {

// For an answer that was promised, before and between questions about it, which take a login each.
constexpr duration shortest_patience = std::chrono::seconds(1);
constexpr duration longest_patience = std::chrono::seconds(16);

net::readiness wanted(int events) {
  net::readiness set = net::readiness::none;
  if ((events & (MYSQL_WAIT_READ | MYSQL_WAIT_EXCEPT)) != 0) set = set | net::readiness::readable;
  if ((events & MYSQL_WAIT_WRITE) != 0) set = set | net::readiness::writable;
  return set;
}

int events_of(net::readiness ready) {
  return (includes(ready, net::readiness::readable) ? MYSQL_WAIT_READ : 0) |
         (includes(ready, net::readiness::writable) ? MYSQL_WAIT_WRITE : 0);
}

void take_rows(MYSQL_RES* from, text_result& into) {
  unsigned columns = mysql_num_fields(from);
  for (unsigned i = 0; i < columns; ++i) into.columns.emplace_back(mysql_fetch_field_direct(from, i)->name);
  while (MYSQL_ROW row = mysql_fetch_row(from)) {
    unsigned long* lengths = mysql_fetch_lengths(from);
    auto& taken = into.rows.emplace_back();
    for (unsigned i = 0; i < columns; ++i)
      taken.push_back(row[i] == nullptr ? std::nullopt : std::optional<std::string>(std::in_place, row[i], lengths[i]));
  }
}

// What the server has said may be on its way when it is asked about; not for so long.
task<net::readiness> see_forgotten(const wire::question* has_forgotten) {
  bool was_forgotten = false;
  for (duration patience = shortest_patience;;) {
    task<bool> asking = (*has_forgotten)();
    bool is_forgotten = co_await std::move(asking);
    if (is_forgotten && was_forgotten) co_return net::readiness::none;
    was_forgotten = is_forgotten;
    patience = is_forgotten ? shortest_patience : std::min(longest_patience, patience * 2);
    co_await sleep_for(patience);
  }
}

// Stands in for a handle that is gone, so that whoever still looks at it finds nothing there. Only read.
MYSQL* never_connected() {
  static MYSQL* const handle = mysql_init(nullptr);
  return handle;
}

}  // namespace

wire::wire() : handle_(mysql_init(nullptr)) {
  if (handle_ == nullptr || never_connected() == nullptr || mysql_optionsv(handle_, MYSQL_OPT_NONBLOCK, nullptr) != 0) {
    mysql_close(handle_);
    throw database_error(db_errc::other, "no memory for a MariaDB session");
  }
  set_file_handler();
}

void wire::hang_up() noexcept {
  if (std::exchange(closed_, true)) return;
  watch_.reset();
  abandon();
  mysql_free_result(std::exchange(given_.rows, nullptr));
  mysql_close(std::exchange(handle_, never_connected()));
}

void wire::throw_if_closed() const {
  if (closed_) throw database_error(db_errc::connection_lost, "MariaDB: the session was closed while a statement ran");
}

task<void> wire::done(bool is_promised) {
  while (waiting_ != 0) {
    my_socket now = mysql_get_socket(handle_);
    if (!watch_ || now != watched_) {
      watch_.emplace(now);
      watched_ = now;
    }
    task<net::readiness> waiting = step_in_ ? wait_and_step_in(is_promised) : wait(is_promised);
    net::readiness ready = net::readiness::none;
    try {
      ready = co_await std::move(waiting);
    } catch (const error& e) {
      if (!e.is(net::net_errc::connection_closed)) throw;
      throw database_error(db_errc::connection_lost, "MariaDB: the session was closed while a statement ran", 0, {},
                           std::current_exception());
    }
    throw_if_closed();  // in the turn in which the wait ended
    if (ready == net::readiness::none)
      abandon();
    else
      resume(events_of(ready));
  }
}

// Nothing: the server counts as lost.
task<net::readiness> wire::wait(bool is_promised) {
  throw_if_closed();
  if (is_promised && has_forgotten_) return wait_for_promised();
  if (silence_limit_ == duration::zero())
    return absence_limit_ == duration::zero() ? watch_->wait(wanted(waiting_))
                                              : watch_->wait_while_answered(wanted(waiting_), absence_limit_);
  return wait_within_limit();
}

task<net::readiness> wire::wait_within_limit() {
  try {
    task<net::readiness> waiting = with_timeout(silence_limit_, watch_->wait(wanted(waiting_)));
    co_return co_await std::move(waiting);
  } catch (const timed_out&) {
    co_return net::readiness::none;
  }
}

task<net::readiness> wire::wait_for_promised() {
  try {
    task<net::readiness> waiting = with_timeout(shortest_patience, wait(false));
    co_return co_await std::move(waiting);
  } catch (const timed_out&) {
  }
  task<net::readiness> waiting = race(wait(false), see_forgotten(&has_forgotten_));
  co_return co_await std::move(waiting);
}

void wire::step_in_after(duration limit, intervention step_in) noexcept {
  step_in_after_ = limit;
  step_in_ = std::move(step_in);
}

task<net::readiness> wire::wait_and_step_in(bool is_promised) {
  try {
    task<net::readiness> waiting = with_timeout(step_in_after_, wait(is_promised));
    co_return co_await std::move(waiting);
  } catch (const timed_out&) {
  }
  throw_if_closed();
  task<void> stepping_in = step_in_();
  co_await std::move(stepping_in);
  task<net::readiness> waiting = wait(is_promised);
  co_return co_await std::move(waiting);
}

void wire::limit_absence(duration limit) noexcept {
  if (net::limit_silence(socket(), std::chrono::ceil<std::chrono::seconds>(limit))) absence_limit_ = limit;
}

// While it connects, the library may go on to the host's next address, whose socket can have the same number.
void wire::resume(int ready) noexcept {
  bool connecting = handle_->net.pvio == nullptr;
  if (connecting) watch_.reset();
  waiting_ = resume_(*this, ready);
  if (handle_->net.pvio == nullptr) watch_.reset();
}

task<bool> wire::run(std::string_view text, std::vector<text_result>& given, std::size_t answers) {
  given.clear();
  ++round_trips_;
  start<mysql_real_query_start, mysql_real_query_cont>(handle_, text.data(), text.size());
  for (bool is_promised = false;; is_promised = true) {
    if (under_way()) co_await done(is_promised);
    if (number() != 0) {
      out_of_step_ = answers != 0 && given.size() >= answers;
      co_return false;
    }
    text_result& one = given.emplace_back();
    if (handle_->status == MYSQL_STATUS_GET_RESULT) {
      start<mysql_store_result_start, mysql_store_result_cont>(handle_);
      if (under_way()) co_await done();
      if (given_.rows == nullptr) {  // a row failed that was to be returned
        given.pop_back();
        co_return false;
      }
      take_rows(given_.rows, one);
      mysql_free_result(std::exchange(given_.rows, nullptr));
    } else {
      one.changed = mysql_affected_rows(handle_);
      one.first_id = mysql_insert_id(handle_);
      one.warnings = mysql_warning_count(handle_);
    }
    if (!mysql_more_results(handle_)) break;
    start<mysql_next_result_start, mysql_next_result_cont>(handle_);
  }
  out_of_step_ = answers != 0 && given.size() != answers;
  co_return !out_of_step_;
}

// A server may ask for any file in answer to any statement
// (https://mariadb.com/kb/en/load-data-infile/#load-data-local-infile); this handler knows none but what is offered.
void wire::set_file_handler() noexcept {
  auto open = [](void** file, const char*, void* self) {
    *file = self;
    return static_cast<wire*>(self)->file_ == nullptr ? 1 : 0;
  };
  auto read = [](void* self, char* to, unsigned most) {
    file_source* source = static_cast<wire*>(self)->file_;
    return source == nullptr ? -1 : static_cast<int>(source->read(to, most));
  };
  auto close = [](void*) {};
  auto complain = [](void*, char* message, unsigned size) {
    constexpr std::string_view said = "the server asked for a file that is not offered";
    message[said.copy(message, size - 1)] = '\0';
    return 2000;
  };
  mysql_set_local_infile_handler(handle_, open, read, close, complain, this);
}

task<void> wire::close_statement(MYSQL_STMT* statement) {
  start<mysql_stmt_close_start, mysql_stmt_close_cont>(statement);
  is_statement_ = false;
  if (under_way()) co_await done();
}

task<void> wire::drain() {
  co_await done();
  // The rows and results that are left.
  for (bool more = is_statement_; more && connected();) {
    auto* statement = static_cast<MYSQL_STMT*>(subject_);
    start<mysql_stmt_free_result_start, mysql_stmt_free_result_cont>(statement);
    co_await done();
    more = connected() && mysql_stmt_more_results(statement) != 0;
    if (!more) break;
    start<mysql_stmt_next_result_start, mysql_stmt_next_result_cont>(statement);
    co_await done();
    more = number() == 0;
  }
  mysql_free_result(std::exchange(given_.rows, nullptr));
  while (!is_statement_ && connected()) {
    if (handle_->status == MYSQL_STATUS_GET_RESULT) {
      start<mysql_store_result_start, mysql_store_result_cont>(handle_);
      co_await done();
      mysql_free_result(std::exchange(given_.rows, nullptr));
    } else if (mysql_more_results(handle_)) {
      start<mysql_next_result_start, mysql_next_result_cont>(handle_);
      co_await done();
    } else {
      break;
    }
  }
}

std::vector<std::pair<std::string, std::string>> wire::settings_told() const {
  std::vector<std::pair<std::string, std::string>> told;
  if ((handle_->server_status & SERVER_SESSION_STATE_CHANGED) == 0) return told;
  const char* text = nullptr;
  std::size_t size = 0;
  auto take = [&](auto* next) { return next(handle_, SESSION_TRACK_SYSTEM_VARIABLES, &text, &size) == 0; };
  for (bool more = take(mysql_session_track_get_first); more; more = take(mysql_session_track_get_next)) {
    std::string name(text, size);
    if (!take(mysql_session_track_get_next)) break;
    told.emplace_back(std::move(name), std::string(text, size));
  }
  return told;
}

complaint wire::complaint_of_session() const {
  if (closed_) return {CR_SERVER_LOST, "HY000", "the session was closed"};
  if (out_of_step_) return {CR_MALFORMED_PACKET, "HY000", "the server's answers are not those to what was asked"};
  return {mysql_errno(handle_), mysql_sqlstate(handle_), mysql_error(handle_)};
}

// A wait that ends by its timeout fails, and so does every later one of the call. A connect would go on to the name's
// next address then, and block there for minutes (seen with libmariadb 3.3, which takes the new socket for one that it
// has made non-blocking): told that it may write, it takes itself for connected, and fails when it waits to read.
void wire::abandon() noexcept {
  if (!connected() && (waiting_ & MYSQL_WAIT_WRITE) != 0) resume(MYSQL_WAIT_WRITE);
  while (waiting_ != 0) resume(MYSQL_WAIT_TIMEOUT);
}

}  // namespace penstock::db::mariadb

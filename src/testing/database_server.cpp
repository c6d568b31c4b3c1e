#include "database_server.h"

#include "../db/statement_effects.h"
#include "drawn_faults.h"
#include "penstock/async/timeout.h"
#include "penstock/core/units.h"
#include "penstock/db/error.h"

#include <algorithm>
#include <span>
#include <utility>

// One transaction is open at a time: SQLite in memory takes one writer, and lets nobody read beside it. The lock that
// says so is a mutex of virtual time, so that who waits for it waits as for a real server, and SQLite itself never
// finds another session in the way.

namespace penstock::testing {
namespace {

task<mutex::guard> enter(mutex& m) {
  auto waiting = m.lock();
  co_return co_await waiting;
}

// Whether the server refuses a row depends on the row: one that it refused once it refuses again, as real ones do.
bool takes(std::span<const db::cell> row, double refuse_row, std::uint64_t salt) {
  std::string bytes;
  for (const db::cell& c : row) {
    bytes += static_cast<char>(c.type);
    bool long_one = c.type == db::cell::kind::text || c.type == db::cell::kind::blob;
    if (long_one)
      bytes += c.text();
    else if (c.type != db::cell::kind::null)
      bytes += std::to_string(c.integer);
  }
  return !random_stream(salt, bytes).chance(refuse_row);
}

}  // namespace

bool is_write(const statement& s) noexcept {
  if (s.what == "insert" || s.what == "batch" || s.what == "prepare") return true;
  if (s.what != "query" && s.what != "execute") return false;
  return !db::only_reads(s.sql);
}

server_session::server_session(database_server& home, std::uint64_t number) : home_(home), number_(number) {
  home_.sessions.push_back(this);
}

server_session::~server_session() {
  rollback();
  std::erase(home_.sessions, this);
}

task<void> server_session::lock() {
  if (lock_.count() > 0) co_return;
  bool timed_out_waiting = false;
  try {
    task<mutex::guard> waiting = with_timeout(home_.options.lock_timeout, enter(home_.lock()));
    lock_ = co_await std::move(waiting);
  } catch (const timed_out&) {
    timed_out_waiting = true;
  }
  if (timed_out_waiting)
    throw db::database_error(db::db_errc::lock_timeout,
                             "another transaction was open for " + format_duration(home_.options.lock_timeout));
  if (!sql_) sql_ = home_.data.open();
}

void server_session::settle() noexcept {
  if (!in_transaction()) lock_.release();
}

void server_session::rollback() noexcept {
  if (sql_) sql_->rollback();
  lock_.release();
}

void server_session::kill() noexcept {
  killed_ = true;
  rollback();
  ended_.set();
}

void server_session::doing(std::string_view what, std::string_view sql) {
  doing_ = what;
  if (!sql.empty()) doing_ += " " + std::string(sql.substr(0, 60));
  since_ = scheduler::current().now();
}

std::string server_session::describe() const {
  std::string line = "session " + std::to_string(number_);
  line += in_transaction() ? ", in a transaction" : "";
  line += killed_ ? ", killed" : "";
  if (doing_.empty()) return line + ", idle";
  scheduler* clock = scheduler::current_or_null();
  return line + ", " + doing_ + (clock == nullptr ? "" : ", for " + format_duration(clock->now() - since_));
}

database_server::~database_server() = default;

random_stream& database_server::random() {
  if (numbers_ == nullptr) {
    numbers_ = &simulation::current().random_for("database");
    report_.emplace("database " + options.name, [this] { return processlist(); });
  }
  return *numbers_;
}

std::string database_server::processlist() const {
  std::string text;
  for (const server_session* s : sessions) text += s->describe() + "\n";
  return text.empty() ? "no session\n" : text;
}

std::unique_ptr<server_session> database_server::open() {
  using db::database_error;
  using db::db_errc;
  if (refuses) throw database_error(*refuses, options.name + " takes no connects");
  if (scheduler::current().now() < away_until_)
    throw database_error(db_errc::connection_lost, options.name + " is starting: connection refused");
  if (sessions.size() >= most_sessions || random().chance(faults.refuse_connect))
    throw database_error(db_errc::too_many_connections, options.name + " has no session left");
  auto fresh = std::make_unique<server_session>(*this, next_session_++);
  arm_chaos();
  return fresh;
}

fate database_server::decide(const statement& s) {
  if (script) {
    fate scripted = script(s);
    if (scripted.what != fate::kind::done || scripted.slower > duration::zero()) return scripted;
  }
  fate drawn = draw(s);
  if (drawn.what == fate::kind::done && is_write(s) && read_only()) return fate::refused(db::db_errc::read_only);
  return drawn;
}

// One draw decides: the chances of a statement's faults lie side by side.
fate database_server::draw(const statement& s) {
  double at = fraction(random());
  auto falls_to = [&](double chance) {
    at -= chance;
    return at < 0;
  };
  bool commit = s.what == "commit";
  bool write = is_write(s);
  if (falls_to(commit ? faults.lose_commit : faults.lose)) return fate::lost();
  if (falls_to(commit ? faults.lose_commit : faults.lose_answer)) return fate::answer_lost();
  if (commit && falls_to(faults.late_commit)) return fate::carried_later();
  if ((write || commit) && falls_to(faults.serialization)) return fate::refused(db::db_errc::serialization);
  if (write && falls_to(faults.deadlock)) return fate::refused(db::db_errc::deadlock);
  if (write && falls_to(faults.lock_timeout)) return fate::refused(db::db_errc::lock_timeout);
  if (write && falls_to(faults.full)) return fate::refused(db::db_errc::full);
  if (falls_to(faults.never_answer)) return fate::never();
  if (falls_to(faults.slow)) return fate::done(random().between({}, faults.slow_for));
  return fate::done();
}

std::vector<bool> database_server::accepted(const db::row_batch& rows) {
  std::vector<bool> all(rows.rows(), true);
  if (faults.refuse_row <= 0) return all;
  if (!salt_) salt_ = random().next();
  for (std::size_t r = 0; r < all.size(); ++r) all[r] = takes(rows.row(r), faults.refuse_row, *salt_);
  return all;
}

bool database_server::read_only() const { return set_read_only || scheduler::current().now() < read_only_until_; }

void database_server::abandon(std::unique_ptr<server_session> session, bool commits) {
  scheduler* clock = scheduler::current_or_null();
  if (clock == nullptr || session->killed()) return;
  orphans_.push_back(std::make_unique<orphan>(*this, std::move(session), commits));
  clock->add_timer(*orphans_.back(), clock->now() + random().between({}, options.notice_lost));
}

void database_server::orphan::end(timer& t) noexcept {
  auto& self = static_cast<orphan&>(t);
  try {
    if (self.commits && self.session->in_transaction()) self.session->sql().commit();
  } catch (const error&) {
    // Then it is rolled back, which nobody is left to hear of.
  }
  self.home.orphans_.remove_if([&](const std::unique_ptr<orphan>& one) { return one.get() == &self; });
}

void database_server::restart(duration away) {
  orphans_.clear();
  for (server_session* s : sessions) s->kill();
  away_until_ = std::max(away_until_, scheduler::current().now() + away);
}

void database_server::heal() {
  script = nullptr;
  refuses.reset();
  set_read_only = false;
  most_sessions = options.most_sessions;
  set_faults({});
  away_until_ = read_only_until_ = time_point::min();
}

void database_server::set_faults(const database_faults& chances) {
  faults = chances.enabled();
  next_restart_ = next_read_only_ = time_point::max();
  chaos_.cancel();
  arm_chaos();
}

// Only while there are sessions: a run whose tasks all wait must be seen to be deadlocked.
void database_server::arm_chaos() {
  if (chaos_.pending() || sessions.empty()) return;
  scheduler& clock = scheduler::current();
  auto plan = [&](time_point& next, duration every) {
    if (every > duration::zero() && next == time_point::max()) next = clock.now() + around(random(), every);
  };
  plan(next_restart_, faults.restart_every);
  plan(next_read_only_, faults.read_only_every);
  time_point first = std::min(next_restart_, next_read_only_);
  if (first != time_point::max()) clock.add_timer(chaos_, first);
}

void database_server::make_trouble() {
  time_point now = scheduler::current().now();
  if (next_restart_ <= now) {
    next_restart_ = time_point::max();
    restart(around(random(), faults.restart_for));
  }
  if (next_read_only_ <= now) {
    next_read_only_ = time_point::max();
    read_only_until_ = now + around(random(), faults.read_only_for);
  }
  arm_chaos();
}

}  // namespace penstock::testing

#pragma once

// The server's side of a simulated database: its sessions, the lock that transactions hold, and what becomes of
// statements.

#include "penstock/async/event.h"
#include "penstock/async/mutex.h"
#include "penstock/async/scheduler.h"
#include "penstock/db/detail/memory_sqlite.h"
#include "penstock/testing/database.h"
#include "penstock/testing/random_stream.h"
#include "penstock/testing/report_section.h"
#include "penstock/testing/simulation.h"

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::testing {

class database_server;

// What the server has for one client. Invariant: it holds the lock while its transaction is open, and at no other time
// than during a statement.
class server_session {
 public:
  server_session(database_server& home, std::uint64_t number);
  server_session(const server_session&) = delete;
  server_session& operator=(const server_session&) = delete;
  ~server_session();

  std::uint64_t number() const noexcept { return number_; }
  db::detail::memory_session& sql() noexcept { return *sql_; }
  bool in_transaction() const noexcept { return sql_ && sql_->in_transaction(); }
  bool killed() const noexcept { return killed_; }
  event& ended() noexcept { return ended_; }
  // Waits for other sessions' transactions. Throws `db_errc::lock_timeout`.
  task<void> lock();
  // After each statement: lets go of the lock when no transaction is open.
  void settle() noexcept;
  void rollback() noexcept;
  // The server ends it: what its client asks from now on is lost.
  void kill() noexcept;

  // For reports.
  void doing(std::string_view what, std::string_view sql);
  void nothing_to_do() noexcept { doing_.clear(); }
  std::string describe() const;

 private:
  database_server& home_;
  std::uint64_t number_;
  std::unique_ptr<db::detail::memory_session> sql_;  // opened under the lock: SQLite lets nobody in beside a writer
  mutex::guard lock_;
  bool killed_ = false;
  event ended_;
  std::string doing_;
  time_point since_{};
};

class database_server : public std::enable_shared_from_this<database_server> {
 public:
  explicit database_server(const database_options& o) : options(o) {}
  database_server(const database_server&) = delete;
  database_server& operator=(const database_server&) = delete;
  ~database_server();

  // Throws as a connect that the server does not take.
  std::unique_ptr<server_session> open();
  // What becomes of a statement that has come.
  fate decide(const statement& s);
  // Which rows it takes.
  std::vector<bool> accepted(const db::row_batch& rows);
  // The client is lost: what is left of its session goes on for a while, and commits first when that was asked of it.
  void abandon(std::unique_ptr<server_session> session, bool commits);
  // True while what writes is refused.
  bool read_only() const;
  void restart(duration away);
  void heal();
  void set_faults(const database_faults& chances);

  random_stream& random();
  std::string processlist() const;
  mutex& lock() noexcept { return lock_; }

  database_options options;
  database_faults faults;
  std::function<fate(const statement&)> script;
  std::optional<db::db_errc> refuses;
  bool set_read_only = false;
  std::size_t most_sessions = options.most_sessions;
  std::uint64_t statements = 0;
  std::vector<server_session*> sessions;  // in the order they were opened
  db::detail::memory_database data;

 private:
  // The session of a lost client.
  struct orphan : timer {
    orphan(database_server& s, std::unique_ptr<server_session> kept, bool commit) noexcept
        : timer(&end), home(s), session(std::move(kept)), commits(commit) {}
    static void end(timer& t) noexcept;
    database_server& home;
    std::unique_ptr<server_session> session;
    bool commits;
  };
  struct chaos_timer : timer {
    explicit chaos_timer(database_server& s) noexcept : timer(&fire), home(s) {}
    static void fire(timer& t) noexcept { static_cast<chaos_timer&>(t).home.make_trouble(); }
    database_server& home;
  };
  // Restarts and read-only spells by chance.
  void arm_chaos();
  void make_trouble();
  fate draw(const statement& s);

  random_stream* numbers_ = nullptr;
  std::optional<std::uint64_t> salt_;  // of the rows that are refused
  mutex lock_;
  std::list<std::unique_ptr<orphan>> orphans_;
  std::uint64_t next_session_ = 1;
  time_point away_until_ = time_point::min();
  time_point read_only_until_ = time_point::min();
  time_point next_restart_ = time_point::max();
  time_point next_read_only_ = time_point::max();
  chaos_timer chaos_{*this};
  std::optional<report_section> report_;  // from the first use on; the last member, since it tells of the others
};

// True for what may change data.
bool is_write(const statement& s) noexcept;

}  // namespace penstock::testing

#pragma once

// A database server made of virtual time, on a network that cuts connections at a chosen operation: before the server
// got it, after it was carried out, or while it goes on (a COMMIT that takes its time). It holds row locks as servers
// do, and so shows a commit protocol that stores rows twice, or waits for nothing.

#include <penstock/async/event.h>
#include <penstock/async/timeout.h>
#include <penstock/db/connection.h>
#include <penstock/db/error.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace penstock::ingest {

using namespace std::chrono_literals;

// How an operation's connection is lost.
enum class cut { before, after, during };

constexpr std::size_t answer_column = 4;  // of penstock_idempotency: what `stored` has of its rows; the first of others

struct marked_server {
  // Asked before each operation while armed, with its number from 0 and what it is; gives how its connection is lost.
  std::function<std::optional<cut>(std::size_t number, const std::string& what)> cuts =
      [](std::size_t, const std::string&) { return std::optional<cut>(); };
  bool armed = false;
  duration latency = 1ms;
  // How long an operation takes, by what it is; `latency` where it is not set.
  std::function<duration(const std::string& what)> pause;
  // What an operation waits for before it begins, as for another's lock; null: for nothing.
  std::function<event*(const std::string& what)> barrier = [](const std::string&) -> event* { return nullptr; };
  duration slow_commit = 200ms;  // of one whose connection is gone
  duration lock_timeout = 100ms;
  std::set<std::string> locked_rows;  // that another session holds
  std::set<std::string> refused_rows;
  std::set<std::string> upsetting_rows;  // that a trigger, say, fails for with an error that names no row
  db::db_errc upset_as = db::db_errc::other;
  std::map<std::string, duration> slow_rows;  // what a trigger, say, takes with them
  std::set<std::string> stubborn_rows;        // of these: what they take goes on also when nobody waits for it
  std::optional<duration> longest_statement;  // the session of one that takes longer is ended
  bool away = false;                          // connects are refused
  bool account_is_locked = false;
  std::size_t most_sessions = 100;
  bool commits_are_refused = false;
  // As a cluster: a marker's row is locked on one node alone, and a commit fails that comes behind another's.
  bool certifies = false;
  bool is_file = false;  // which tells of each COMMIT whether it happened, save when its disk fails
  // For how long it takes the session of one that is gone for alive, and holds its locks.
  duration notices_loss_after{};

  std::size_t sessions = 0;
  std::vector<std::string> stored;
  std::vector<std::vector<db::value>> shown;  // what items read back are; without any, one of nulls and zeros
  std::map<std::string, std::int64_t> markers;
  std::map<std::string, const void*> locks;  // who holds a marker's row
  std::vector<std::string> operations;
  std::size_t inserted_rows = 0;  // also of transactions that came to nothing
  std::size_t resets = 0;         // of sessions that came back to their pool with something open
  // What is kept of committed answers: the columns of each, by stream and key.
  std::map<std::pair<std::string, std::string>, std::map<std::string, db::value>> answers;
};

class marked_connection final : public db::connection {
 public:
  explicit marked_connection(std::shared_ptr<marked_server> s) : server_(std::move(s)) { ++server_->sessions; }
  ~marked_connection() override {
    close();
    --server_->sessions;
  }

  task<db::result> query(std::string sql, db::parameters values) override {
    bool looks_for_old_markers = sql.starts_with("SELECT \"writer\"");  // of which there are none
    task<bool> going = operate(looks_for_old_markers ? "FORGET" : "SELECT");
    bool lost = co_await std::move(going);
    db::result found;
    if (!server_->shown.empty() && sql.starts_with("SELECT item.")) {
      found.rows = server_->shown;
    } else if (!looks_for_old_markers && !std::holds_alternative<std::string>(values[0])) {
      found.rows.push_back({db::value(), std::int64_t{0}, std::int64_t{0}});  // the oldest of no answers
    } else if (!looks_for_old_markers) {
      auto row = server_->markers.find(std::get<std::string>(values[0]));
      if (row != server_->markers.end()) found.rows.push_back({row->second});
    }
    if (lost) lose();
    co_return found;
  }
  task<db::result> find_by_key(const db::table_definition&, std::vector<std::string> columns, db::parameters first,
                               std::vector<std::string> last) override {
    db::result found;
    if (last.empty()) co_return found;
    task<bool> going = operate("SELECT");
    bool lost = co_await std::move(going);
    for (const std::string& key : last) {
      auto kept = server_->answers.find({std::get<std::string>(first[0]), key});
      if (kept == server_->answers.end()) continue;
      std::vector<db::value>& row = found.rows.emplace_back();
      for (const std::string& column : columns) row.push_back(kept->second.at(column));
    }
    if (lost) lose();
    co_return found;
  }
  task<std::uint64_t> query_each(std::string sql, db::parameters values, db::row_consumer take, std::size_t) override {
    task<db::result> asking = query(std::move(sql), std::move(values));
    db::result all = co_await std::move(asking);
    task<void> taking = take(all);
    co_await std::move(taking);
    co_return all.rows.size();
  }
  task<std::uint64_t> execute(std::string sql, db::parameters values) override {
    std::string what = sql.substr(0, 6);
    task<bool> going = operate(what);
    bool lost = co_await std::move(going);
    std::uint64_t changed = 0;
    if (what == "INSERT") changed = insert_marker(values);
    if (what == "DELETE" && std::holds_alternative<std::string>(values[0]))
      changed = server_->markers.erase(std::get<std::string>(values[0]));
    if (what == "UPDATE") {
      task<std::uint64_t> updating = update_marker(std::move(values));
      changed = co_await std::move(updating);
    }
    if (lost) lose();
    co_return changed;
  }
  task<void> insert_rows(const db::table_definition& into, const db::row_batch& rows,
                         db::batch_report& report) override {
    task<bool> going = operate("ROWS " + into.name);
    bool lost = co_await std::move(going);
    task<void> waiting = wait_for_locked(into, rows);
    co_await std::move(waiting);
    task<void> triggering = run_triggers(into, rows);
    co_await std::move(triggering);
    if (has_any_of(server_->upsetting_rows, into, rows))
      throw db::database_error(server_->upset_as, "the server is upset");
    report.clear();
    report.method = "made up";
    for (std::size_t r = 0; r < rows.rows(); ++r) {
      if (into.name != "penstock_idempotency" && server_->refused_rows.contains(std::string(rows.row(r)[0].text()))) {
        report.rows.push_back({0, static_cast<std::int32_t>(report.refusals.size()), db::row_outcome::status::refused});
        report.refusals.push_back({"db.constraint", "refused: " + std::string(rows.row(r)[0].text())});
        continue;
      }
      if (into.name == "penstock_idempotency" && !keep_answer(into, rows.row(r))) {
        report.rows.push_back({0, -1, db::row_outcome::status::duplicate});
        continue;
      }
      rows_.emplace_back(rows.row(r)[into.name == "penstock_idempotency" ? answer_column : 0].text());
      report.rows.push_back({static_cast<std::int64_t>(server_->inserted_rows++) + 1});
    }
    if (lost) lose();
  }
  task<void> begin() override {
    task<bool> going = operate("BEGIN");
    bool lost = co_await std::move(going);
    state_ = db::session_state::dirty;
    if (lost) lose();
  }
  task<void> commit() override {
    std::optional<cut> how;
    task<std::optional<cut>> sending = send("COMMIT");
    how = co_await std::move(sending);
    if (how == cut::during) {
      leave_commit_going();
    } else if (how != cut::before && server_->commits_are_refused) {
      end_transaction();
      throw db::database_error(db::db_errc::serialization, "another one was first");
    } else if (how != cut::before && server_->certifies && marker_ &&
               server_->markers[marker_->writer] != marker_->last) {
      end_transaction();
      throw db::database_error(db::db_errc::deadlock, "another node's was first");
    } else if (how != cut::before) {
      carry_out();
      made_markers_.clear();
    }
    if (how) {
      end_transaction();
      state_ = db::session_state::dead;
      throw db::database_error(db::db_errc::ambiguous_commit, "no answer to COMMIT");
    }
    end_transaction();
  }
  task<void> rollback() override {
    co_await sleep_for(std::max(duration::zero(), busy_until_ - scheduler::current().now()));
    task<bool> going = operate("ROLLBACK");
    bool lost = co_await std::move(going);
    end_transaction();
    if (lost) lose();
  }
  task<void> limit_lock_waits(duration most) override {
    lock_waits_ = most;
    co_return;
  }
  task<void> prepare_table(const db::table_definition&) override { co_return; }
  task<void> prepare_inserts(const db::table_definition& into) override {
    task<bool> going = operate("PREPARE " + into.name);
    if (co_await std::move(going)) lose();
  }
  task<void> reset() override {
    ++server_->resets;
    return rollback();
  }
  task<void> ping() override {
    if (event* opened = server_->barrier("PING")) {
      db::session_state before = std::exchange(state_, db::session_state::dirty);  // where it is cut short
      co_await opened->wait();
      state_ = before;
    }
    if (server_->away) close();
    if (state_ == db::session_state::dead) throw db::database_error(db::db_errc::connection_lost, "gone");
    co_return;
  }
  db::session_state state() const noexcept override { return state_; }
  void close() noexcept override {
    if (marker_ && server_->notices_loss_after > duration::zero()) leave_locks();
    end_transaction();
    state_ = db::session_state::dead;
  }

 private:
  struct marker_change {
    std::string writer;
    std::int64_t number;
    std::int64_t last;
  };

  task<std::optional<cut>> send(std::string what) {
    if (state_ == db::session_state::dead) throw db::database_error(db::db_errc::connection_lost, "gone");
    std::size_t number = server_->operations.size();
    server_->operations.push_back(what);
    event* opened = server_->barrier(what);
    if (opened != nullptr) co_await opened->wait();
    duration takes = server_->latency;
    if (server_->pause) takes = server_->pause(what);
    co_await sleep_for(takes);
    co_return server_->armed ? server_->cuts(number, what) : std::nullopt;
  }
  // True: the connection is to be lost once it is carried out.
  task<bool> operate(std::string what) {
    task<std::optional<cut>> sending = send(std::move(what));
    std::optional<cut> how = co_await std::move(sending);
    if (how && *how != cut::after) lose();
    co_return how.has_value();
  }
  [[noreturn]] void lose() {
    close();
    throw db::database_error(db::db_errc::connection_lost, "the connection was cut");
  }

  static bool has_any_of(const std::set<std::string>& some, const db::table_definition& into,
                         const db::row_batch& rows) {
    for (std::size_t r = 0; into.name != "penstock_idempotency" && r < rows.rows(); ++r)
      if (some.contains(std::string(rows.row(r)[0].text()))) return true;
    return false;
  }
  duration longest_lock_wait() const {
    return std::min(lock_waits_.value_or(server_->lock_timeout), server_->lock_timeout);
  }
  task<void> wait_for_locked(const db::table_definition& into, const db::row_batch& rows) {
    duration most = longest_lock_wait();
    for (duration waited{}; has_any_of(server_->locked_rows, into, rows); waited += 1ms) {
      if (waited >= most) throw db::database_error(db::db_errc::lock_timeout, "waited in vain");
      co_await sleep_for(1ms);
    }
  }
  task<void> run_triggers(const db::table_definition& into, const db::row_batch& rows) {
    if (into.name == "penstock_idempotency") co_return;
    for (std::size_t r = 0; r < rows.rows(); ++r) {
      auto slow = server_->slow_rows.find(std::string(rows.row(r)[0].text()));
      if (slow == server_->slow_rows.end()) continue;
      if (server_->stubborn_rows.contains(slow->first)) busy_until_ = scheduler::current().now() + slow->second;
      co_await sleep_for(std::min(slow->second, server_->longest_statement.value_or(duration::max())));
      if (server_->longest_statement && slow->second > *server_->longest_statement) lose();
    }
  }
  std::uint64_t insert_marker(const db::parameters& values) {
    if (!server_->markers.emplace(std::get<std::string>(values[0]), std::get<std::int64_t>(values[1])).second)
      throw db::database_error(db::db_errc::constraint, "there is such a row");
    if (state_ == db::session_state::dirty) made_markers_.push_back(std::get<std::string>(values[0]));
    return 1;
  }
  task<std::uint64_t> update_marker(db::parameters values) {
    const std::string writer = std::get<std::string>(values[2]);
    for (duration waited{}; server_->locks.contains(writer) && server_->locks[writer] != this; waited += 1ms) {
      if (waited >= longest_lock_wait()) throw db::database_error(db::db_errc::lock_timeout, "waited in vain");
      co_await sleep_for(1ms);
    }
    auto row = server_->markers.find(writer);
    if (row == server_->markers.end() || row->second != std::get<std::int64_t>(values[3])) co_return 0;
    server_->locks[writer] = this;
    marker_ = marker_change{writer, std::get<std::int64_t>(values[0]), row->second};
    co_return 1;
  }
  // False where the table has its key.
  bool keep_answer(const db::table_definition& into, std::span<const db::cell> row) {
    std::pair<std::string, std::string> key(row[0].text(), row[1].text());
    if (server_->answers.contains(key)) return false;
    std::map<std::string, db::value>& kept = answers_[key];
    for (std::size_t c = 0; c < row.size(); ++c)
      kept[into.columns[c].name] =
          row[c].type == db::cell::kind::text ? db::value(std::string(row[c].text())) : db::value(row[c].integer);
    return true;
  }
  void carry_out() {
    server_->stored.insert(server_->stored.end(), rows_.begin(), rows_.end());
    server_->answers.merge(std::exchange(answers_, {}));
    if (marker_) server_->markers[marker_->writer] = marker_->number;
  }
  struct forgotten_session final : timer {
    explicit forgotten_session(std::shared_ptr<marked_server> s) : timer(&fire), server(std::move(s)) {}
    static void fire(timer& t) noexcept {
      std::unique_ptr<forgotten_session> self(static_cast<forgotten_session*>(&t));
      std::erase_if(self->server->locks, [&](const auto& lock) { return lock.second == self.get(); });
    }
    std::shared_ptr<marked_server> server;
  };
  void leave_locks() {
    auto later = std::make_unique<forgotten_session>(server_);
    server_->locks[marker_->writer] = later.get();
    scheduler& s = scheduler::current();
    s.add_timer(*later, s.now() + server_->notices_loss_after);
    static_cast<void>(later.release());  // it deletes itself
  }
  // The server goes on by itself, and holds its locks until it is done.
  void leave_commit_going() {
    struct late_commit final : timer {
      explicit late_commit(std::shared_ptr<marked_server> s) : timer(&fire), server(std::move(s)) {}
      static void fire(timer& t) noexcept {
        std::unique_ptr<late_commit> self(static_cast<late_commit*>(&t));
        self->server->stored.insert(self->server->stored.end(), self->rows.begin(), self->rows.end());
        self->server->answers.merge(self->answers);
        self->server->markers[self->writer] = self->number;
        self->server->locks.erase(self->writer);
      }
      std::shared_ptr<marked_server> server;
      std::vector<std::string> rows;
      decltype(marked_server::answers) answers;
      std::string writer;
      std::int64_t number = 0;
    };
    auto later = std::make_unique<late_commit>(server_);
    later->rows = std::exchange(rows_, {});
    later->answers = std::exchange(answers_, {});
    later->writer = marker_->writer;
    later->number = marker_->number;
    if (!server_->certifies) server_->locks[marker_->writer] = later.get();
    marker_.reset();
    scheduler& s = scheduler::current();
    s.add_timer(*later, s.now() + server_->slow_commit);
    static_cast<void>(later.release());  // it deletes itself
  }
  void end_transaction() noexcept {
    std::erase_if(server_->locks, [this](const auto& lock) { return lock.second == this; });
    for (const std::string& writer : std::exchange(made_markers_, {})) server_->markers.erase(writer);
    rows_.clear();
    answers_.clear();
    marker_.reset();
    if (state_ != db::session_state::dead) state_ = db::session_state::clean;
  }

  std::shared_ptr<marked_server> server_;
  db::session_state state_ = db::session_state::clean;
  time_point busy_until_{};  // with a stubborn row
  std::optional<duration> lock_waits_;
  std::vector<std::string> rows_;
  decltype(marked_server::answers) answers_;
  std::optional<marker_change> marker_;
  std::vector<std::string> made_markers_;  // in the open transaction
};

class marked_driver final : public db::driver {
 public:
  explicit marked_driver(std::shared_ptr<marked_server> s) : server_(std::move(s)) {}
  const std::string& name() const noexcept override { return name_; }
  bool commits_can_be_ambiguous() const noexcept override { return !server_->is_file; }
  task<std::unique_ptr<db::connection>> connect() override {
    co_await sleep_for(server_->latency);
    if (event* opened = server_->barrier("CONNECT")) co_await opened->wait();
    if (server_->away) throw db::database_error(db::db_errc::connection_lost, "nobody listens");
    if (server_->account_is_locked) throw db::database_error(db::db_errc::auth, "the account is locked");
    if (server_->sessions >= server_->most_sessions)
      throw db::database_error(db::db_errc::too_many_connections, "it has no more");
    co_return std::make_unique<marked_connection>(server_);
  }

 private:
  std::shared_ptr<marked_server> server_;
  std::string name_ = "made up";
};

}  // namespace penstock::ingest

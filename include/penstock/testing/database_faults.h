#pragma once

// What may go wrong with a simulated database by chance, and what can be made to go wrong with one statement.
//
//   store.set_faults({.lose_answer = 0.01, .deadlock = 0.02});
//   store.on_statement([&](const statement& s) { return s.what == "commit" ? fate::answer_lost() : fate::done(); });

#include "penstock/async/scheduler.h"
#include "penstock/db/error.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace penstock::testing {

class random_stream;

/// What becomes of a statement.
class fate {
 public:
  /// How it ends.
  enum class kind : std::uint8_t {
    done,           ///< Carried out and answered.
    refused,        ///< Not carried out; the server answers with an error.
    lost,           ///< The connection is lost before the server gets it: not carried out.
    answer_lost,    ///< Carried out; the connection is lost before the answer comes.
    carried_later,  ///< The connection is lost; a COMMIT is carried out some time later and holds its locks until then.
    never,          ///< No answer ever comes; it is not carried out, and holds the locks of its transaction.
  };

  /// Carried out and answered, after so long in addition to its latency.
  static fate done(duration slower = {}) noexcept { return {kind::done, {}, slower}; }
  /// An error of this class. A deadlock and a serialization failure end the transaction; others only the statement.
  static fate refused(db::db_errc why) noexcept { return {kind::refused, why, {}}; }
  static fate lost() noexcept { return {kind::lost, {}, {}}; }                    ///< See `kind::lost`.
  static fate answer_lost() noexcept { return {kind::answer_lost, {}, {}}; }      ///< See `kind::answer_lost`.
  static fate carried_later() noexcept { return {kind::carried_later, {}, {}}; }  ///< See `kind::carried_later`.
  static fate never() noexcept { return {kind::never, {}, {}}; }                  ///< See `kind::never`.

  kind what;        ///< How it ends.
  db::db_errc why;  ///< Of a refused one.
  duration slower;  ///< Added to its latency.

 private:
  fate(kind w, db::db_errc errc, duration s) noexcept : what(w), why(errc), slower(s) {}
};

/// A statement that has come to the server.
struct statement {
  std::uint64_t number;   ///< Among all of the database's, from 0.
  std::uint64_t session;  ///< Whose.
  /// "query", "execute", "insert", "batch" (`connection::begin_batch`), "begin", "commit", "rollback", "prepare",
  /// "ping" or "reset".
  std::string_view what;
  std::string_view sql;  ///< Of a query or execute; the table's name where rows are inserted or a table is made.
};

/// Chances of faults, for each statement where nothing else is said; the default is a database without any.
struct database_faults {
  double lose = 0;           ///< `fate::lost`.
  double lose_answer = 0;    ///< `fate::answer_lost`, of statements other than COMMIT.
  double lose_commit = 0;    ///< For each COMMIT, `answer_lost`; as often it is lost before it comes.
  double late_commit = 0;    ///< For each COMMIT, `carried_later`.
  double deadlock = 0;       ///< For each statement that writes.
  double lock_timeout = 0;   ///< For each statement that writes.
  double serialization = 0;  ///< For each statement that writes, and each COMMIT.
  double full = 0;           ///< For each statement that writes: `db_errc::full`, which no retry heals.
  double refuse_row = 0;     ///< For each row that is inserted: `db_errc::data`, now and whenever it comes again.
  double never_answer = 0;   ///< `fate::never`.
  double slow = 0;           ///< That it takes up to `slow_for` longer.
  duration slow_for = std::chrono::seconds(1);
  double refuse_connect = 0;   ///< For each connect: `db_errc::too_many_connections`.
  duration restart_every{};    ///< Mean time between restarts, which end all sessions; 0: none.
  duration restart_for{};      ///< Mean time for which connects are refused then.
  duration read_only_every{};  ///< Mean time between spells in which writes are refused; 0: none.
  duration read_only_for{};    ///< Mean length of one.

  /// Draws the faults of one run, each kind off in half of all runs, as `network_faults::swarm`.
  static database_faults swarm(random_stream& from);
  /// Without the kinds that the running simulation switches off (`simulation::faults_enabled`): "database." and a
  /// member's name, without "_every" ("database.lose_commit", "database.restart").
  database_faults enabled() const;
  /// The kinds that are on, for reports; "none".
  std::string to_string() const;
};

}  // namespace penstock::testing

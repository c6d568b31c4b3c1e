#pragma once

// Stores a batch inside a transaction, in few round trips, each row harming no other.
//
// The rows are cut into parts, which all travel in one trip. Between them stands a savepoint that is moved on behind
// each part that went well:
//
//   SAVEPOINT s;
//   INSERT part 1; RELEASE s; SAVEPOINT s;  <sync>
//   INSERT part 2; RELEASE s; SAVEPOINT s;  <sync>  …
//   ROLLBACK TO s;                                        (undoes a part that failed, and nothing otherwise)
//
// When an INSERT fails, the server refuses what follows, at once: so a lock that is not to be had is waited for once,
// however many parts need it. The part is cut smaller, down to the row, which is refused, and the others go again.
// Where many have failed, the ROLLBACK stands between the parts instead, and all others of the trip are stored. Then a
// query beside it fails once the trip has taken long, and skips the part: what has waited for a lock ends it all the
// same, and where nothing has, the rest goes in the next trip.
// Invariant: behind each trip the transaction holds exactly the parts that went well. So a batch takes one trip when
// all is well, five with one row that is refused, and some more however many are; one more for rows that repeat the
// key of one that is not stored, and for those that had no parent where one may have come.
// Where rows may need one another, all are one part first; those that were refused for what others can mend are so once
// more behind the others, and then go one by one, while any of them goes in.

#include "insert_plan.h"
#include "penstock/db/connection.h"
#include "penstock/db/error.h"
#include "session.h"

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace penstock::db::postgres {

class batch_insert {
 public:
  // The arguments must outlive it.
  batch_insert(session& s, const insert_plan& plan, const row_batch& rows, batch_report& report);

  // The rows that are to do; the outcomes of `report` are there already.
  task<void> run();

  // Behind `run`, for rows that count as duplicates though their key is not there, and are to do: triggers or rules
  // have dropped them, or given them another key. Tells one from the other.
  task<void> look_again();

  // Behind these, where triggers or rules may give rows other keys than were sent.
  task<void> try_repeats();

  // Of the table, while it was written to.
  const std::string& version() const noexcept { return version_; }

 private:
  struct part {
    std::size_t first = 0;
    std::size_t count = 0;
    std::size_t sent = 0;  // of them; the others are no more to do, or not yet
    bool failed = false;
    bool was_skipped = false;   // since another one had failed, or the trip had taken long
    bool repeats_key = false;   // and failed for that
    bool may_be_table = false;  // what it failed for
    bool may_lack_row = false;  // what it failed for
    db_errc errc = db_errc::other;
    std::string said = {};
    bool lacks_value = false;
  };
  // What a command of the trip is: a part's INSERT, or its row's, or one of those around them.
  struct command {
    static constexpr std::size_t none = static_cast<std::size_t>(-1);
    static constexpr std::size_t opening = none - 1;
    static constexpr std::size_t version = none - 2;
    static constexpr std::size_t going_on = none - 3;
    std::size_t part = none;
    std::size_t row = none;
  };

  task<void> insert_all_to_do(std::size_t first);
  // Throws where a few rows, from all over, fail for what may be the table's fault.
  task<void> try_few(const std::vector<part>& failed);
  // Rows whose key an earlier one has wait for what becomes of that, so that the first of them is the one stored. Those
  // that repeat one that is not stored are to do yet then.
  void hold_back_repeats(std::size_t first);
  void decide_held();
  task<void> try_refused_again();
  // Those that failed for lack of others, in one statement: they may be what one another lack.
  task<void> try_lacking_at_once();
  task<void> insert_singly(bool from_end = false);
  std::vector<part> cut(const part& whole, std::size_t most_rows, std::size_t most_bytes) const;
  // Into one part, unless that were too large.
  std::vector<part> cut_least(const part& whole) const;
  task<void> make_trip(std::vector<part>& parts, bool only_one, bool goes_on);
  // Behind parts that fail, in as many trips as that takes.
  task<void> go_on_to_end(std::vector<part>& parts);
  void send_end_of_going_on();
  void send_opening();
  void send_version();
  void send_part(part& p, std::size_t index);
  void send_rows(part& p, std::size_t index);
  void send_arrays(part& p, std::size_t index);
  void send_plain(const std::string& sql);
  void take(std::vector<part>& parts, std::size_t at, const PGresult* r);
  void take_failure(part* of, const PGresult* r);
  void take_one(std::size_t row, const PGresult* r);
  void take_many(const part& p, const PGresult* r);
  void refuse(std::size_t row, db_errc errc, std::string why, bool lacks_value = false);
  // It is stored, or a duplicate.
  void is_in(std::size_t row, row_outcome how);
  // Whether a later row of the batch has its key, and is stored.
  bool later_one_is_in(std::size_t row) const;
  std::optional<std::size_t> first_of_key(std::size_t row) const;  // the row before it that it repeats
  bool is_refused(std::size_t row) const;
  bool is_to_do(std::size_t row) const { return session_.to_do_[row] != 0; }

  session& session_;
  const insert_plan& plan_;
  const row_batch& rows_;
  batch_report& report_;
  statement* one_ = nullptr;
  statement* many_ = nullptr;
  statement* opening_ = nullptr;  // null when there is none
  bool opening_is_due_ = false;
  bool check_is_due_ = true;  // of deferred constraints, at once
  statement* ask_version_ = nullptr;
  std::string version_;
  std::vector<command> commands_;
  std::vector<std::size_t> sent_rows_;                     // of the part whose result is read
  std::vector<std::pair<std::size_t, std::size_t>> held_;  // rows, each with that whose key it repeats
  std::vector<std::size_t> refused_early_;                 // maybe for lack of a row before them that was not there yet
  std::vector<std::size_t> lacking_;                       // those of them that failed for what others can mend
  std::optional<database_error> fatal_;
  std::optional<database_error> maybe_of_table_;  // what the first such part failed for
  // Rows that are stored. A duplicate says nothing: indexes and triggers did not see it.
  bool any_in_ = false;
  bool one_failed_ = false;  // of the trip's parts
  bool begins_again_ = false;
  bool keys_are_new_ = false;  // to the statement: a repeated key fails, and what stores nothing was dropped
};

}  // namespace penstock::db::postgres

#pragma once

// Stores a large batch by binary COPY. The ids are taken from the sequence first, in the same trip that begins the
// COPY, so that each row's is known. Rows go in segments, each behind a savepoint, many in one message of statements:
//
//   SELECT … nextval(…) …; SAVEPOINT s; COPY …; RELEASE s; SAVEPOINT s; COPY …; RELEASE s
//
// Binary values are taken for what the column's type makes of them, so a table that was altered since the plan was made
// would store others: behind the first COPY, which keeps the table as it is until the transaction ends, its version is
// asked for, to be compared with that of the plan.
//
// Large segments take turns with those of other sessions: the server has begun with the COPY by then, and waits for
// rows.
//
// The server tells the line of a row that it refuses. That row is left out, and its segment goes again, as a small one
// where it can't be told what is wrong with the row. One that meets another in a unique index is left to an INSERT, and
// so is any where rows may depend on others. Rows that are suspected to be refused too go last, each in a segment of
// its own. Invariant: what stands before `next_` in the order is stored or refused.

#include "../insertion_turns.h"
#include "insert_plan.h"
#include "penstock/db/connection.h"
#include "penstock/db/error.h"
#include "session.h"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace penstock::db::postgres {

class copy_insert {
 public:
  // The arguments must outlive it.
  copy_insert(session& s, insert_plan& plan, std::string version_statement, const row_batch& rows,
              batch_report& report);

  // False where rows are left, since COPY is no good way for them: `to_do_` of the session has them.
  task<bool> run();

  // Of the table, while it was written to; empty when that is not known.
  const std::string& version() const noexcept { return version_; }

 private:
  enum class ending { stored, row_refused, suspect_refused, impossible };

  void put_suspects_last();
  bool explains_refusal();
  void leave_rest_to_inserts();
  std::size_t rows_of_segment(std::size_t first) const;

  task<void> take_id_turn();
  task<void> take_turn();
  std::string statements();
  task<ending> make_trip();
  task<void> send_segment();
  // Gives why the row does not fit; what was appended is of no use then.
  std::string append_row(std::string& to, std::size_t row) const;
  void take_success(const PGresult* r, std::optional<database_error>& fatal);
  ending take_failure(const PGresult* r, std::optional<database_error>& fatal);
  void refuse(std::size_t row, db_errc errc, std::string why, bool lacks_value = false);
  bool is_left(std::size_t row) const;
  void take_version(const PGresult* r);
  void take_ids(const PGresult* r);
  std::int64_t id_of(std::size_t row) const;

  session& session_;
  insert_plan& plan_;
  std::string version_statement_;  // empty once it was answered
  std::string version_;
  const row_batch& rows_;
  batch_report& report_;
  bool has_ids_ = false;
  std::int64_t first_id_ = 0;
  std::vector<std::int64_t> ids_;    // empty where they follow the first
  copy_history& history_;            // of all sessions
  std::vector<std::size_t>& order_;  // of the rows, by which they go
  std::size_t suspects_from_ = 0;    // the place in it of the first row that will probably be refused
  std::size_t end_ = 0;              // one past the last that is to go by COPY
  std::size_t next_ = 0;             // of the first row of the segment under way
  std::size_t segment_end_ = 0;      // one past its last
  std::size_t refused_row_ = 0;      // the last one
  std::vector<std::size_t> sent_;    // the rows of the segment, line by line
  std::vector<std::size_t> left_;    // the rows that an INSERT is to judge, ascending
  std::size_t segment_rows_;         // few, where rows are refused
  std::size_t most_segments_;        // of a message; more after one that stored all
  std::size_t most_failures_;        // that are better than INSERTs
  bool in_savepoint_ = false;
  bool check_is_due_ = true;   // of deferred constraints, at once
  bool turn_is_due_ = false;   // before the first rows are sent
  semaphore::permit id_turn_;  // until the turn has come: the next batch takes its ids, and no more, meanwhile
  semaphore::permit turn_;
  int early_failures_ = 0;
};

}  // namespace penstock::db::postgres

#pragma once

// Stores the rows of a batch inside the open transaction, by the fastest way the server allows. Invariants: a row that
// has its outcome is not sent again; what LOAD DATA changed or dropped is undone; a statement that failed has stored
// nothing.
//
// Array binding is the fastest, but only MariaDB has it, and a row that is refused undoes it all; with INSERT IGNORE it
// goes on behind such rows, and so does LOAD DATA LOCAL, which MySQL has too, where local_infile is on: see
// batch_lenient.cpp. INSERTs of a few hundred rows are what every server takes, and where rows that are refused are set
// apart.

#include "../insertion_turns.h"
#include "column_arrays.h"
#include "known_table.h"
#include "opening.h"
#include "penstock/async/task.h"
#include "penstock/db/connection.h"
#include "row_lines.h"
#include "sql.h"
#include "statement_cache.h"
#include "wire.h"

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::db::mariadb {

// Statements that open a transaction and go ahead of a batch's rows, each with a semicolon behind it: START
// TRANSACTION, one that changes rows, and maybe one that asks for a value. None where it is open.
struct batch_opening {
  std::string text;
  std::size_t statements = 0;
};

class batch_insertion {
 public:
  // Runs a statement with parameters: for a row that is too long for a text. Gives what the server said against it.
  using single_statement = std::function<task<std::optional<complaint>>(std::string sql, parameters values)>;

  // Gives what was said against the batch as a whole, which is then to be rolled back; nothing when every row has its
  // outcome.
  task<std::optional<complaint>> run(wire& w, statement_cache& statements, const server_facts& facts, bool bulk_allowed,
                                     insertion_turns& turns, const known_tables& known, single_statement single,
                                     const table_definition& into, const row_batch& rows, batch_report& report,
                                     batch_opening opening);
  // How many rows the second statement of the opening changed.
  std::uint64_t opening_changed() const noexcept { return opening_changed_; }
  // What the third gave; nothing where there was none.
  const text_result& opening_answer() const noexcept { return opening_answer_; }

 private:
  // Statements that go on behind an error.
  enum class lenient_way { ignoring, loading };
  // A row that one of them gave a warning for.
  struct suspect {
    std::uint32_t row;
    unsigned code;
  };
  // What they have done with the rows that waited.
  struct lenient_run {
    std::optional<complaint> failed = {};  // against the batch as a whole
    bool gave_up = false;                  // another way is to be tried
    // All but the suspects, and those left, are stored as given and have their ids; the suspects are not.
    bool certain = true;
    std::vector<suspect> suspects = {};    // in the order of the rows
    std::vector<std::uint32_t> left = {};  // rows that were not sent

    void give_up() noexcept {
      gave_up = true;
      certain = false;
    }
  };

  void start(wire& w, const server_facts& facts, const known_tables& known, const table_definition& into,
             const row_batch& rows, batch_report& report);
  void take_what_is_known(const known_tables& known);
  std::optional<std::string> unstorable_in(std::uint32_t row) const;
  bool can_ignore() const noexcept;
  bool should_ignore(bool bulk_allowed) const;
  bool should_load(bool bulk_allowed) const;
  bool has_any(cell::kind kind) const;
  task<std::optional<complaint>> insert_leniently(lenient_way way);
  task<lenient_run> run_leniently(lenient_way way, std::string_view savepoint);
  task<lenient_run> insert_ignoring(std::string_view savepoint);
  task<void> insert_pairs(lenient_run& run, semaphore::permit& turn);
  task<lenient_run> load(std::string_view savepoint);
  task<void> look_for_suspects(lenient_run& run, std::span<const std::uint32_t> of, std::size_t stored,
                               unsigned warnings, lenient_way way);
  task<std::vector<suspect>> find_suspects(lenient_run& run, unsigned warnings, std::span<const std::uint32_t> of,
                                           lenient_way way);
  task<std::optional<complaint>> insert_suspects(std::vector<suspect> suspects);
  task<std::optional<complaint>> read_ids(std::optional<std::string> first);
  static bool is_among(const std::vector<suspect>& suspects, std::uint32_t row) noexcept;
  static bool certain_when_refused(const std::vector<suspect>& suspects) noexcept;
  bool all_refused(const std::vector<suspect>& suspects) const;
  bool should_use_arrays(bool bulk_allowed) const;
  task<std::optional<complaint>> insert_arrays();
  bool should_count_ids() const;
  task<std::optional<complaint>> insert_array_told(semaphore::permit& turn);
  task<std::optional<complaint>> insert_array_counted(semaphore::permit& turn);
  task<MYSQL_STMT*> execute_array(std::string sql, MYSQL_BIND* binds, std::size_t executions, semaphore::permit& turn);
  task<std::optional<complaint>> read_told_ids(MYSQL_STMT* statement);
  void note_doubt(const complaint& said);
  task<std::optional<complaint>> settle_doubts();
  bool is_of_ids(const std::vector<unique_index>& indexes, std::string_view key) const;
  // Whether what rows fill may have a say in where they go.
  bool may_decide_partition(const text_result& partitions, const text_result& columns) const;
  task<std::optional<complaint>> insert_all();
  task<std::optional<complaint>> insert_group();
  task<std::optional<complaint>> insert();
  task<std::optional<complaint>> insert_each();
  task<std::optional<complaint>> insert_with_parameters();
  task<std::optional<complaint>> isolate(complaint said);
  task<std::optional<complaint>> set_one_apart(complaint said);
  task<std::optional<complaint>> narrow_down(complaint said, std::optional<std::size_t> hint);
  task<std::optional<complaint>> insert_one_by_one();
  bool takes_compounds() const noexcept;
  // Whether the row is short enough to go as a literal.
  bool fits_in_text(std::uint32_t row) const;
  task<std::optional<complaint>> insert_compound();
  std::size_t write_compound(std::span<const std::uint32_t> rows);
  task<std::optional<complaint>> look_up_told(std::span<const std::uint32_t> rows, std::span<const text_result> told);
  task<std::optional<complaint>> take_told(std::uint32_t row, const text_result* told);
  task<std::optional<complaint>> judge(std::uint32_t row, const complaint& said);
  void judge_looked_up(std::uint32_t row, const complaint& said, bool is_there);
  bool may_be_there(unsigned code) const noexcept;
  // What a question about the last error was answered with. A cluster may end the transaction at any statement; that
  // the server has not kept the error (max_error_count) is no failure.
  std::optional<complaint> failure_to_tell() const;
  bool tells_row(const complaint& said) const;
  task<std::optional<complaint>> find_failed_row(const complaint& said, std::optional<std::size_t>& row);
  task<std::optional<complaint>> set_repeated_apart();
  task<std::optional<complaint>> insert_held();
  task<std::optional<complaint>> look_up_keys(std::span<const std::uint32_t> rows);
  task<std::optional<complaint>> look_up_each(std::span<const std::uint32_t> rows);

  task<bool> send(std::size_t answers);
  void undo_what_failed();
  task<bool> send_inserts(std::span<const std::uint32_t> rows, std::span<const std::size_t> ends);
  task<std::optional<complaint>> guard();
  bool lost_transaction();
  complaint what_failed() const;
  // Galera ends a transaction between two statements, for a conflict: of several in one text, those behind would be
  // committed as they come. And it sends on to other nodes what a statement wrote before it failed (MariaDB 10.11
  // without a binary log), unless that is undone to a savepoint. So each goes by itself, behind a savepoint; or, where
  // many would have to, in a compound statement, and does nothing without a transaction.
  bool is_guarded() const noexcept { return facts_->has_cluster; }
  task<std::optional<complaint>> send_ahead();
  task<std::optional<complaint>> open_with_savepoint();
  void undo_to_savepoint();
  void take_group(std::size_t most_rows);
  std::string insert_with_places(std::size_t rows = 1, std::string_view insert = "INSERT") const;
  void append_insert(std::span<const std::uint32_t> rows);
  void append_row(std::uint32_t row);
  void append_values(std::uint32_t row);
  bool tells_ids() const { return report_->wants_ids && !into_->id_column.empty(); }
  bool returns_ids() const;
  bool may_choose_ids() const { return has_triggers_ && tells_ids(); }
  // Of a statement for several rows, such a server tells one id alone.
  bool hides_chosen_ids() const { return names_id_ && may_choose_ids() && !returns_ids(); }
  void take_ids(std::span<const std::uint32_t> of, std::uint64_t first);
  void take_ids(std::span<const std::uint32_t> of, const text_result& told);
  void take_ids_of_insert(std::span<const std::uint32_t> of, const text_result& told);
  void refuse(std::uint32_t row, std::string_view code, std::string message, bool lacks_value = false);
  // False where a part of the key is null: such rows repeat nothing.
  bool write_key(std::uint32_t row, std::string& to) const;
  void write_keys_question(std::span<const std::uint32_t> rows);

  wire* wire_ = nullptr;
  statement_cache* statements_ = nullptr;
  const server_facts* facts_ = nullptr;
  insertion_turns* turns_ = nullptr;
  single_statement single_;
  const table_definition* into_ = nullptr;
  const row_batch* rows_ = nullptr;
  batch_report* report_ = nullptr;

  std::string ahead_;  // statements to be sent ahead of the next text: the opening, or what undoes rows
  std::size_t ahead_count_ = 0;
  bool ahead_has_run_ = false;
  bool undo_is_due_ = false;            // of a statement that failed, to the savepoint before it
  std::optional<complaint> lost_;       // that the transaction is not there any more
  std::size_t opening_statements_ = 0;  // while they are ahead
  std::uint64_t opening_changed_ = 0;
  text_result opening_answer_;
  std::vector<const text_limit*> limits_;  // of each column or null; only while a batch starts
  bool has_triggers_ = false;              // see known_table
  bool names_id_ = false;                  // a trigger does, or may beneath a view
  bool keys_may_change_ = false;           // a trigger may give a row another key than was sent
  std::vector<std::uint32_t> waiting_;     // rows that the database has to judge, in order
  std::size_t next_ = 0;                   // of them, the first that is in no group yet
  std::vector<std::uint32_t> group_;       // rows of one statement
  struct repeated {
    std::uint32_t row;
    std::uint32_t first;  // row with the same key, in the same group
  };
  std::vector<complaint> doubts_;  // refusals that may be no row's fault
  std::vector<repeated> held_;     // until the first of them has its outcome
  std::vector<std::uint32_t> refused_behind_held_;
  std::vector<std::uint32_t> wrong_otherwise_;  // of the rows that go in once more, those that met no key
  bool meets_later_row_ = false;                // one of these, now
  std::vector<std::size_t> key_columns_;        // of the unique key, by their places in a row
  std::vector<std::uint32_t> there_;            // see look_up_each
  bool many_refused_ = false;                   // of the last group, so that the next one goes one by one at once
  // Of the next batch for a table, by what the last one had; batches for several tables take turns in a session.
  struct expectations {
    bool repeats = false;          // keys are looked up before rows are sent
    bool refusals = false;         // arrays, which they undo, are not tried
    unsigned to_be_told = 0;       // so many arrays are sent with a question for their ids,
    unsigned told_after_gaps = 1;  // and so many more when ids have gaps the next time
  };
  std::map<std::string, expectations, std::less<>> expected_of_;
  expectations* expected_ = nullptr;
  std::string names_;  // ("a","b")
  std::string text_;
  std::vector<text_result> answers_;
  row_lines lines_;
  bool mixed_kinds_ = false;  // a column has values of several kinds, which no array holds
  column_arrays arrays_;
  std::array<column_arrays, 2> pairs_;  // the first rows of each pair, and the second
  std::array<std::vector<std::uint32_t>, 2> halves_;
  std::vector<MYSQL_BIND> pair_binds_;
  std::vector<std::int64_t> told_ids_;
};

}  // namespace penstock::db::mariadb

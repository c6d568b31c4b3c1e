#pragma once

// The MariaDB and MySQL driver's connection. Invariants: one call at a time is under way; after a call that was left by
// a cancellation the session takes nothing but `rollback`, `reset` and `close`, and is dirty after a reset that was, or
// failed, until the next one has ended; what a call points to is kept here, and outlives it.

#include "batch_insertion.h"
#include "binding.h"
#include "examination.h"
#include "opening.h"
#include "penstock/db/connection.h"
#include "server_context.h"
#include "statement_cache.h"
#include "wire.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::db::mariadb {

class session final : public connection {
 public:
  session(std::shared_ptr<server_context> home, server_address at, std::unique_ptr<wire> w, server_facts facts);
  ~session() override { close(); }

  task<result> query(std::string sql, parameters values) override;
  task<std::uint64_t> query_each(std::string sql, parameters values, row_consumer take, std::size_t max_rows) override;
  task<std::uint64_t> execute(std::string sql, parameters values) override;
  task<void> insert_rows(const table_definition& into, const row_batch& rows, batch_report& report) override;
  task<void> begin_batch(opening_statement& first, const table_definition& into, const row_batch& rows,
                         batch_report& report) override;
  task<void> begin() override;
  task<void> commit() override;
  task<void> rollback() override;
  task<void> limit_lock_waits(duration most) override;
  task<void> prepare_table(const table_definition& definition) override;
  std::vector<std::string> creation_faults(const table_definition& definition) const override;
  task<void> reset() override;
  task<void> ping() override;
  task<std::vector<finding>> examine(const expected_load& load) override {
    return examine_server(*this, &load, &home_->url);
  }
  session_state state() const noexcept override;
  bool altered() const noexcept override { return altered_; }
  void close() noexcept override;

 private:
  // One use of the session. When it is left before the server's answer has been read, the session is cut short.
  class operation {
   public:
    enum class purpose : std::uint8_t { use, recovery };
    explicit operation(session& s, purpose what_for = purpose::use) : session_(s) {
      what_for == purpose::use ? s.require_usable() : s.require_quiet();
      s.cut_short_ = true;
    }
    operation(const operation&) = delete;
    operation& operator=(const operation&) = delete;
    ~operation() { session_.cut_short_ = !session_.wire_->quiet(); }

   private:
    session& session_;
  };

  // While it lives, a server that is silent for too long counts as lost.
  class silence_limit {
   public:
    explicit silence_limit(session& s) : session_(s) { s.wire_->limit_silence(s.home_->url.silence_timeout); }
    silence_limit(const silence_limit&) = delete;
    silence_limit& operator=(const silence_limit&) = delete;
    ~silence_limit() { session_.wire_->limit_silence(duration::zero()); }

   private:
    session& session_;
  };

  // While it lives, a statement that lasts for too long is ended, where the server has no such limit for locks itself.
  class lock_wait_limit {
   public:
    explicit lock_wait_limit(session& s) : session_(s) {
      if (!s.begun_) s.was_ended_ = false;
      if (s.end_waits_after_ != duration::zero())
        s.wire_->step_in_after(s.end_waits_after_, [&s] { return s.end_lock_wait(); });
    }
    lock_wait_limit(const lock_wait_limit&) = delete;
    lock_wait_limit& operator=(const lock_wait_limit&) = delete;
    ~lock_wait_limit() {
      session_.wire_->step_in_after(duration::zero(), nullptr);
      duration& limit = session_.home_->statement_limit;
      bool was_in_time = session_.end_waits_after_ != duration::zero() && !session_.was_ended_;
      if (was_in_time) limit = std::max(shortest_statement_limit, limit * 2 / 3);
    }

   private:
    session& session_;
  };

  void require_quiet() const;
  void require_usable() const;
  void require_no_transaction() const;
  void require_whole_transaction(const std::string& doing) const;
  bool asks_for_read_only() const noexcept;
  void require_writable(const std::string& doing, const text_result& answer);
  task<void> end_what_was_begun();
  void note_end() noexcept;
  task<void> store(const table_definition& into, const row_batch& rows, batch_report& report, batch_opening opening);
  task<void> look_at_table(const table_definition& into);
  bool should_look_again(const table_definition& into) const;
  task<void> look_again(const table_definition& into);
  task<void> compare_again(const table_definition& into);
  bool should_ask_for_key(const table_definition& into) const;
  task<void> require_key(const table_definition& into);
  task<std::optional<std::vector<std::string>>> find_differences(const table_definition& wanted);
  // Gives the statement, executed, or null where only a text will do; its answer is in `answers_` then.
  task<MYSQL_STMT*> run(std::string sql, parameters values);
  void require_fitting(const std::string& sql) const;
  void note_traces();
  void note_settings();
  void note_setting(std::string_view name, const std::string& value);
  task<void> look_at_settings();
  void require_known_characters(const std::string& doing) const;
  void require_settings_of_batches(const std::string& doing) const;
  task<void> bind(MYSQL_STMT* statement);
  void open_reader(MYSQL_STMT* statement);
  bool goes_in_pieces() const noexcept;
  task<void> send_in_pieces(MYSQL_STMT* statement);
  // False at the end of the rows.
  task<bool> fetch(MYSQL_STMT* statement);
  task<std::uint64_t> count_rows(MYSQL_STMT* statement);
  task<void> finish(MYSQL_STMT* statement);
  task<std::optional<complaint>> run_single(std::string sql, parameters values);
  task<std::uint64_t> read_each(MYSQL_STMT* statement, const row_consumer* take, std::size_t max_rows);
  task<void> run_text(std::string text, std::string doing);
  task<void> finish_commit();
  task<bool> is_member_since(time_point begun);
  task<void> settle();
  task<void> leave_early();
  task<void> settle_and_roll_back();
  task<void> end_what_runs();
  task<void> end_lock_wait();
  task<bool> has_forgotten();
  task<bool> drained_within(duration limit);
  [[noreturn]] void fail(const std::string& doing, const complaint& said);
  [[noreturn]] void fail_statement(MYSQL_STMT* statement);

  std::shared_ptr<server_context> home_;
  server_address at_;
  server_facts facts_;
  time_point opened_ = scheduler::current().now();
  bool cut_short_ = false;                // an answer is still to be read
  bool half_reset_ = false;               // what `open_session` has set may be gone
  bool begun_ = false;                    // a transaction, and the server has not said that it was told to end it
  std::optional<complaint> rolled_back_;  // why the server has rolled back what was begun, and will not say so again
  bool altered_ = false;
  std::map<std::string, std::string> other_characters_;    // by settings that name others than those of our texts
  std::map<std::string, std::string> faults_for_batches_;  // by settings, what is wrong with them
  bool settings_may_differ_ = false;                       // from what is known of them
  bool set_without_word_ = false;                          // one of them, maybe
  bool rights_may_be_old_ = false;
  std::optional<std::int64_t> lock_wait_;        // seconds at most, where that was said
  duration end_waits_after_ = duration::zero();  // where the server can't; 0: it does
  bool was_ended_ = false;                       // a statement of this transaction, by us
  std::string text_;
  std::vector<text_result> answers_;
  bound_parameters bound_;
  row_reader reader_;
  batch_insertion inserting_;
  statement_cache statements_;
  std::unique_ptr<wire> wire_;  // goes before what its calls point to
};

}  // namespace penstock::db::mariadb

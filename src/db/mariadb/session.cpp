#include "session.h"

#include "../definition_faults.h"
#include "../piece.h"
#include "../statement_effects.h"
#include "penstock/async/cancel.h"
#include "penstock/core/units.h"
#include "penstock/db/error.h"
#include "sql.h"

#include <algorithm>
#include <exception>
#include <utility>

#include <errmsg.h>
#include <mysqld_error.h>

// Statements. See session_transactions.cpp for how they belong together, session_recovery.cpp for what follows one that
// was cut short, and session_table.cpp for tables.

namespace penstock::db::mariadb {
namespace {

// A parameter that is longer goes ahead of its statement, so that a statement with several is no packet too large.
constexpr std::size_t piece_size = std::size_t{1} << 20;
// What a packet takes beside the values.
constexpr std::size_t packet_margin = 4'096;

bool may_go_in_pieces(const MYSQL_BIND& b) noexcept {
  return b.buffer_type == MYSQL_TYPE_STRING || b.buffer_type == MYSQL_TYPE_LONG_BLOB;
}

value text_value(std::optional<std::string>& text) { return text ? value(std::move(*text)) : value(std::monostate()); }

result result_of(text_result&& given) {
  result r;
  r.columns = std::move(given.columns);
  for (auto& row : given.rows) {
    auto& taken = r.rows.emplace_back();
    for (auto& cell : row) taken.push_back(text_value(cell));
  }
  return r;
}

}  // namespace

session::session(std::shared_ptr<server_context> home, server_address at, std::unique_ptr<wire> w, server_facts facts)
    : home_(std::move(home)), at_(std::move(at)), facts_(std::move(facts)), wire_(std::move(w)) {
  wire_->ask_about_promises([this] { return has_forgotten(); });
}

void session::require_quiet() const {
  if (wire_->closed()) throw database_error(db_errc::connection_lost, at_.to_string() + ": the connection was closed");
  if (cut_short_)
    throw database_error(
        db_errc::other,
        at_.to_string() + ": the session runs something else, or a statement was cut short: roll back or reset first");
}

void session::require_usable() const {
  require_quiet();
  if (half_reset_)
    throw database_error(db_errc::other, at_.to_string() + ": a reset did not come to its end: reset again first");
}

void session::fail(const std::string& doing, const complaint& said) {
  if (begun_ && !rolled_back_ && rolls_transaction_back(said, facts_.rolls_back_on_timeout)) rolled_back_ = said;
  rights_may_be_old_ = rights_may_be_old_ || classify(said) == db_errc::auth;
  altered_ = altered_ || rights_may_be_old_;  // whoever is next may have them
  if (ends_session(said)) close();
  if (was_ended_ && said.code == ER_QUERY_INTERRUPTED)
    throw database_error(db_errc::lock_timeout,
                         at_.to_string() + ", " + doing + ": the statement was ended after " +
                             format_duration(end_waits_after_) + ", as one that waits for another session's lock",
                         static_cast<int>(said.code), said.sqlstate);
  throw failure(at_, doing, said);
}

void session::fail_statement(MYSQL_STMT* statement) { fail("run a statement", complaint_of_statement(statement)); }

task<MYSQL_STMT*> session::run(std::string sql, parameters values) {
  require_whole_transaction("run a statement");
  require_fitting(sql);
  if (set_without_word_) {
    task<void> looking = look_at_settings();
    co_await std::move(looking);
  }
  if (!only_sets(sql)) require_known_characters("run a statement");
  bound_.hold(std::move(values));
  text_ = std::move(sql);
  note_traces();
  const std::string kinds = facts_.is_mariadb ? std::string() : bound_.kinds();
  for (bool again = false;; again = true) {
    task<MYSQL_STMT*> preparing = statements_.prepare(*wire_, text_, kinds);
    MYSQL_STMT* statement = co_await std::move(preparing);
    if (statement == nullptr && statements_.refused().code == ER_UNSUPPORTED_PS && bound_.binds().empty()) {
      task<void> running = run_text(std::move(text_), "run a statement");
      co_await std::move(running);
      note_settings();
      co_return nullptr;
    }
    if (statement == nullptr) fail("prepare a statement", statements_.refused());
    task<void> binding = bind(statement);
    co_await std::move(binding);
    // One that is cut short, and may have met columns that are new, is not to be executed again.
    statements_.keep_last(false);
    wire_->count_round_trip();
    wire_->start<mysql_stmt_execute_start, mysql_stmt_execute_cont>(statement);
    if (wire_->under_way()) co_await wire_->done();
    bool ran = wire_->number() == 0;
    complaint said;
    if (!ran) said = complaint_of_statement(statement);
    // The library takes no row with more or fewer columns than there were before, though the statement has run: what
    // does more than ask is prepared anew each time.
    bool is_stale = said.code == CR_NEW_STMT_METADATA;
    bool may_have_pieces = !ran && goes_in_pieces();
    if (!is_stale && !may_have_pieces)
      statements_.keep_last(mysql_stmt_field_count(statement) == 0 || only_asks(text_));
    if (ran) {
      note_settings();
      co_return statement;
    }
    if (!is_stale) fail("run a statement", said);
    task<void> finishing = finish(statement);
    co_await std::move(finishing);
    if (again || !only_asks(text_)) fail("run a statement", said);
  }
}

// The server would end the session: what is as long as a packet may be is too long for it.
void session::require_fitting(const std::string& sql) const {
  constexpr std::size_t command = 1;  // ahead of the text
  if (sql.size() + command >= facts_.max_packet)
    throw database_error(db_errc::data, at_.to_string() + ": a statement of " + std::to_string(sql.size()) +
                                            " bytes does not fit into the server's max_allowed_packet of " +
                                            std::to_string(facts_.max_packet));
}

task<void> session::bind(MYSQL_STMT* statement) {
  std::size_t given = bound_.binds().size();
  std::size_t wanted = mysql_stmt_param_count(statement);
  if (wanted != given)
    throw database_error(db_errc::syntax, "the statement has " + std::to_string(wanted) +
                                              " parameters, but was given " + std::to_string(given));
  if (given > 0 && mysql_stmt_bind_param(statement, bound_.binds().data()) != 0) fail_statement(statement);
  if (goes_in_pieces()) {
    task<void> sending = send_in_pieces(statement);
    co_await std::move(sending);
  }
  unsigned no_array = 0;  // the statement may have served a batch
  mysql_stmt_attr_set(statement, STMT_ATTR_ARRAY_SIZE, &no_array);
}

// Its columns' names are those of now; the next execution would have the old ones again.
void session::open_reader(MYSQL_STMT* statement) {
  reader_.open(statement);
  if (reader_.renamed()) statements_.keep_last(false);
}

task<void> session::run_text(std::string text, std::string doing) {
  text_ = std::move(text);
  task<bool> running = wire_->run(text_, answers_);
  bool ran = co_await std::move(running);
  if (!ran) fail(doing, wire_->complaint_of_session());
}

bool session::goes_in_pieces() const noexcept { return bound_.bytes() + packet_margin > facts_.max_packet; }

// The server keeps pieces until the statement is executed, for whoever executes it.
task<void> session::send_in_pieces(MYSQL_STMT* statement) {
  for (const MYSQL_BIND& b : bound_.binds())
    if (may_go_in_pieces(b) && b.buffer_length + packet_margin > facts_.max_packet)
      throw database_error(db_errc::data, "a value of " + std::to_string(b.buffer_length) +
                                              " bytes does not fit into the server's max_allowed_packet of " +
                                              std::to_string(facts_.max_packet));
  statements_.keep_last(false);
  for (std::size_t i = 0; i < bound_.binds().size(); ++i) {
    const MYSQL_BIND& b = bound_.binds()[i];
    if (!may_go_in_pieces(b)) continue;
    std::size_t size = b.buffer_length;
    const char* data = static_cast<const char*>(b.buffer);
    for (std::size_t sent = 0; sent == 0 || sent < size; sent += piece_size) {
      std::size_t now = std::min(piece_size, size - sent);
      wire_->start<mysql_stmt_send_long_data_start, mysql_stmt_send_long_data_cont>(
          statement, static_cast<unsigned>(i), data + sent, static_cast<unsigned long>(now));
      if (wire_->under_way()) co_await wire_->done();
      if (wire_->failed()) fail_statement(statement);
    }
  }
}

task<bool> session::fetch(MYSQL_STMT* statement) {
  wire_->start<mysql_stmt_fetch_start, mysql_stmt_fetch_cont>(statement);
  if (wire_->under_way()) co_await wire_->done();
  if (wire_->number() == MYSQL_NO_DATA) co_return false;
  if (wire_->number() != 0 && wire_->number() != MYSQL_DATA_TRUNCATED) fail_statement(statement);
  co_return true;
}

// Rows that nobody wants are fetched all the same: an error may follow any of them, and mysql_stmt_free_result would
// pass over it.
task<std::uint64_t> session::count_rows(MYSQL_STMT* statement) {
  std::uint64_t count = 0;
  if (mysql_stmt_field_count(statement) == 0) co_return count;
  open_reader(statement);
  for (;;) {
    task<bool> fetching = fetch(statement);
    bool more = co_await std::move(fetching);
    if (!more) co_return count;
    ++count;
  }
}

// Reads what the statement still has to give when its first result has been read, such as the further results of a
// CALL.
task<void> session::finish(MYSQL_STMT* statement) {
  for (;;) {
    wire_->start<mysql_stmt_free_result_start, mysql_stmt_free_result_cont>(statement);
    if (wire_->under_way()) co_await wire_->done();
    if (mysql_stmt_more_results(statement) == 0) co_return note_settings();
    wire_->start<mysql_stmt_next_result_start, mysql_stmt_next_result_cont>(statement);
    if (wire_->under_way()) co_await wire_->done();
    if (wire_->number() > 0) fail_statement(statement);
    task<std::uint64_t> passing = count_rows(statement);
    co_await std::move(passing);
  }
}

task<result> session::query(std::string sql, parameters values) {
  operation here(*this);
  lock_wait_limit limit(*this);
  task<MYSQL_STMT*> running = run(std::move(sql), std::move(values));
  MYSQL_STMT* statement = co_await std::move(running);
  if (statement == nullptr) co_return result_of(std::move(answers_.front()));
  result all;
  if (mysql_stmt_field_count(statement) == 0) co_return all;
  open_reader(statement);
  all.columns = reader_.columns();
  while (true) {
    task<bool> fetching = fetch(statement);
    bool more = co_await std::move(fetching);
    if (!more) break;
    all.rows.push_back(reader_.row());
  }
  task<void> finishing = finish(statement);
  co_await std::move(finishing);
  co_return all;
}

task<std::uint64_t> session::execute(std::string sql, parameters values) {
  operation here(*this);
  lock_wait_limit limit(*this);
  task<MYSQL_STMT*> running = run(std::move(sql), std::move(values));
  MYSQL_STMT* statement = co_await std::move(running);
  if (statement == nullptr) co_return answers_.front().changed;
  std::uint64_t changed = 0;
  if (mysql_stmt_field_count(statement) == 0) {
    changed = mysql_stmt_affected_rows(statement);
  } else {
    task<std::uint64_t> counting = count_rows(statement);
    std::uint64_t given = co_await std::move(counting);
    if (changes_rows(text_)) changed = given;  // the server does not tell how many it changed
  }
  task<void> finishing = finish(statement);
  co_await std::move(finishing);
  co_return changed;
}

task<std::uint64_t> session::query_each(std::string sql, parameters values, row_consumer take, std::size_t max_rows) {
  max_rows = std::max<std::size_t>(max_rows, 1);
  std::exception_ptr failed;
  {
    operation here(*this);
    lock_wait_limit limit(*this);
    try {
      task<MYSQL_STMT*> running = run(std::move(sql), std::move(values));
      MYSQL_STMT* statement = co_await std::move(running);
      task<std::uint64_t> reading = read_each(statement, &take, max_rows);
      co_return co_await std::move(reading);
    } catch (const operation_cancelled&) {
      throw;
    } catch (...) {
      failed = std::current_exception();
    }
  }
  // The consumer wants no more of it: the server is to stop, so that the session can be used at once.
  if (cut_short_) {
    task<void> leaving = shield(leave_early());
    co_await std::move(leaving);
  }
  std::rethrow_exception(failed);
}

task<std::uint64_t> session::read_each(MYSQL_STMT* statement, const row_consumer* take, std::size_t max_rows) {
  if (statement == nullptr) {
    result all = result_of(std::move(answers_.front()));
    task<void> taking = (*take)(all);
    if (!all.rows.empty()) co_await std::move(taking);
    co_return all.rows.size();
  }
  std::uint64_t count = 0;
  bool more = mysql_stmt_field_count(statement) > 0;
  if (more) open_reader(statement);
  while (more) {
    result some;
    some.columns = reader_.columns();
    std::size_t bytes = 0;
    while (more && some.rows.size() < max_rows && bytes < most_piece_bytes) {
      task<bool> fetching = fetch(statement);
      more = co_await std::move(fetching);
      if (!more) break;
      some.rows.push_back(reader_.row());
      bytes += bytes_of(some.rows.back());
    }
    if (some.rows.empty()) break;
    count += some.rows.size();
    task<void> taking = (*take)(some);
    co_await std::move(taking);
  }
  task<void> finishing = finish(statement);
  co_await std::move(finishing);
  co_return count;
}

task<std::optional<complaint>> session::run_single(std::string sql, parameters values) {
  try {
    task<MYSQL_STMT*> running = run(std::move(sql), std::move(values));
    MYSQL_STMT* statement = co_await std::move(running);
    task<std::uint64_t> passing = count_rows(statement);
    co_await std::move(passing);
    task<void> finishing = finish(statement);
    co_await std::move(finishing);
  } catch (const database_error& e) {
    if (e.server_code() == 0) throw;
    co_return complaint{static_cast<unsigned>(e.server_code()), e.sqlstate(), e.message()};
  }
  co_return std::nullopt;
}

task<void> session::insert_rows(const table_definition& into, const row_batch& rows, batch_report& report) {
  operation here(*this);
  if (!wire_->in_transaction())
    throw database_error(db_errc::other, "insert_rows needs a transaction: begin one first");
  task<void> storing = store(into, rows, report, {});
  co_await std::move(storing);
}

task<void> session::store(const table_definition& into, const row_batch& rows, batch_report& report,
                          batch_opening opening) {
  lock_wait_limit limit(*this);
  require_width(into, rows);
  require_whole_transaction("insert into " + into.name);
  if (wire_->takes_backslashes_as_they_are())
    throw database_error(db_errc::other, at_.to_string() + ", insert into " + into.name +
                                             ": batches can't go in while the session's sql_mode has "
                                             "NO_BACKSLASH_ESCAPES: reset the session");
  std::size_t round_trips_before = wire_->round_trips();
  if (settings_may_differ_) {
    task<void> looking = look_at_settings();
    co_await std::move(looking);
  }
  require_settings_of_batches("insert into " + into.name);
  task<void> looking = look_at_table(into);
  co_await std::move(looking);
  std::size_t round_trips_to_look = wire_->round_trips() - round_trips_before;
  auto single = [this](std::string sql, parameters values) { return run_single(std::move(sql), std::move(values)); };
  task<std::optional<complaint>> inserting =
      inserting_.run(*wire_, statements_, facts_, home_->url.bulk_allowed, home_->turns, home_->tables, single, into,
                     rows, report, std::move(opening));
  std::optional<complaint> said = co_await std::move(inserting);
  report.round_trips += round_trips_to_look;
  require_writable("insert into " + into.name, inserting_.opening_answer());
  if (said) fail("insert into " + into.name, *said);
}

task<void> session::ping() {
  operation here(*this);
  wire_->count_round_trip();
  wire_->start<mysql_ping_start, mysql_ping_cont>(wire_->handle());
  if (wire_->under_way()) co_await wire_->done();
  if (wire_->number() != 0) fail("ping", wire_->complaint_of_session());
}

}  // namespace penstock::db::mariadb

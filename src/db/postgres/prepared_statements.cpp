#include "failure.h"
#include "penstock/db/error.h"
#include "placeholders.h"
#include "session.h"

#include <utility>

// The statements that the server keeps for a session: how they get there, and how they are let go of.

namespace penstock::db::postgres {
namespace {

constexpr std::size_t most_kept_for_transaction = 128;  // statements that are not used any more
// libpq loses track of a session whose server describes more (pqParseInput3 in src/interfaces/libpq/fe-protocol3.c: a
// message of that kind has 30,000 bytes at most).
constexpr std::size_t most_parameters = 7'498;

// Nothing that only prepares a statement begins a transaction.
database_error begun_by_another() {
  return {db_errc::other,
          "PostgreSQL: what lies between, such as pgpool-II in raw mode, begins transactions by itself, and what is "
          "stored would be undone: use its streaming_replication mode, or go to the server itself"};
}

}  // namespace

// Apart from what follows: a server that has lost a statement itself, as after DISCARD ALL, refuses to let go of it.
// Gives how many commands this takes. DEALLOCATE is not undone with a transaction, but takes the transaction's
// snapshot: there it waits until there are many.
std::size_t session::send_evictions(wire& w) {
  PGTransactionStatusType status = PQtransactionStatus(w.handle());
  if (status == PQTRANS_INERROR) return 0;
  bool inside = status != PQTRANS_IDLE;
  if (statements_.evicted() < (inside ? most_kept_for_transaction : 1)) return 0;
  std::vector<std::string> evicted = statements_.take_evicted();
  if (inside) w.execute("SAVEPOINT penstock_evict");
  std::size_t last = 0;
  for (const std::string& name : evicted) {
    w.sync();
    last = w.execute("DEALLOCATE " + quote_identifier(name));
  }
  w.sync();
  if (inside) {
    w.execute("ROLLBACK TO SAVEPOINT penstock_evict");
    w.execute("RELEASE SAVEPOINT penstock_evict");
  }
  return last + 1;
}

task<statement*> session::prepared(const std::string& sql) {
  if (statement* known = statements_.find(sql)) co_return known;
  if (sql.find('\0') != std::string::npos) throw database_error(db_errc::syntax, "the statement has a zero byte");
  statement s;
  s.sql = sql;
  s.name = statements_.new_name();
  numbered_sql numbered = number_placeholders(sql);
  if (numbered.parameters > most_parameters)
    throw database_error(db_errc::syntax, "the statement has " + std::to_string(numbered.parameters) +
                                              " parameters; on PostgreSQL one takes at most " +
                                              std::to_string(most_parameters) + ", but arrays have no bound");
  // Where PgBouncer keeps statements it takes one text for one statement, also when the table is another by now. It
  // prepares them anew in other sessions of the server, without a word: what the parameters are is said then.
  std::vector<Oid> types;
  if (is_pooled_ && numbered.parameters > 0) {
    statement unnamed;
    task<void> finding_types = prepare_on_server(unnamed, numbered.text, types);
    co_await std::move(finding_types);
    types = std::move(unnamed.parameters);
  }
  if (is_pooled_) numbered.text += "\n/* " + s.name + " */";
  task<void> preparing = prepare_on_server(s, numbered.text, types);
  co_await std::move(preparing);
  co_return statements_.add(std::move(s));
}

// And has it described.
task<void> session::prepare_on_server(statement& s, const std::string& text, const std::vector<Oid>& types) {
  wire& w = open_wire();
  std::size_t evictions = send_evictions(w);
  bool is_alone = !in_transaction();
  send_begin(w);
  std::size_t preparing = w.prepare(s.name, text, types);
  std::size_t describing = w.describe(s.name);
  w.sync();
  std::optional<database_error> failed;
  result_taker take = [&](std::size_t command, const PGresult* r) {
    if (is_failure(r) && command >= evictions && !failed)
      failed = failure_of(r, command == preparing ? "prepare" : "describe");
    if (command != describing || failed || PQresultStatus(r) != PGRES_COMMAND_OK) return;
    for (int i = 0; i < PQnparams(r); ++i) s.parameters.push_back(PQparamtype(r, i));
    s.columns = column_names(r);
    s.binary = true;
    for (int i = 0; i < PQnfields(r); ++i) s.binary = s.binary && is_readable_in_binary(PQftype(r, i));
  };
  task<void> asking = w.finish(take);
  co_await std::move(asking);
  if (is_alone && in_transaction()) {
    close();
    throw begun_by_another();
  }
  if (failed) throw *std::move(failed);
}

// As after DEALLOCATE ALL, or with another server behind the same proxy. A text of a user's may EXECUTE one of its own.
bool session::forgets_lost_statements(const PGresult* failed) {
  std::string said = said_by(failed);
  bool is_ours =
      said.find(statement_cache::start_of_names) != std::string::npos ||
      (is_pooled_ && said.find("PGBOUNCER_") != std::string::npos);  // from 1.21 on it gives names of its own
  if (sqlstate_of(failed) != "26000" || !is_ours) return false;
  statements_.forget_all();
  ++lost_statements_;
  return true;
}

bool session::forgets_stale_plan(const statement* s, const PGresult* failed) {
  if (forgets_lost_statements(failed)) return true;
  const char* routine = PQresultErrorField(failed, PG_DIAG_SOURCE_FUNCTION);
  bool is_revalidation = routine != nullptr && std::string_view(routine) == "RevalidateCachedQuery";
  if (sqlstate_of(failed) != "0A000" || !is_revalidation) return false;
  statements_.forget(s);
  return true;
}

}  // namespace penstock::db::postgres

#include "batch_insert.h"

#include "failure.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <utility>

namespace penstock::db::postgres {
namespace {

// Rows of a part, trip by trip. The first bounds what one bad row makes go again, the others keep that cheap.
constexpr std::array<std::size_t, 4> part_rows{256, 32, 4, 1};
// Trips that end at the first part that fails, before they go on behind those.
constexpr int most_failures_one_by_one = 8;
constexpr std::size_t few_rows = 16;  // tried before all, where all may fail
constexpr std::size_t part_bytes = std::size_t{1} << 20;
// Of one statement for all, where rows may need one another.
constexpr std::size_t rows_at_once = 65'536, bytes_at_once = std::size_t{16} << 20;
// How long a trip goes on behind failures: short waits for locks go well, and a thousand rows of which each fails take
// few trips.
constexpr std::chrono::milliseconds shortest_going_on(20), longest_going_on(500);
const std::string still_going_on =
    "SELECT CASE WHEN extract(epoch FROM clock_timestamp())::numeric < "
    "current_setting('penstock.goes_on_until')::numeric THEN 0 "
    "ELSE ('a batch takes another trip, at ' || clock_timestamp())::integer END";

std::size_t smaller_than(std::size_t rows) {
  return *std::find_if(part_rows.begin(), part_rows.end(), [&](std::size_t next) { return next < rows; });
}

std::size_t bytes_of(std::span<const cell> row) {
  std::size_t bytes = row.size() * sizeof(cell);
  for (const cell& c : row) bytes += c.type == cell::kind::text || c.type == cell::kind::blob ? c.size : 0;
  return bytes;
}

}  // namespace

batch_insert::batch_insert(session& s, const insert_plan& plan, const row_batch& rows, batch_report& report)
    : session_(s), plan_(plan), rows_(rows), report_(report) {}

std::vector<batch_insert::part> batch_insert::cut_least(const part& whole) const {
  return cut(whole, rows_at_once, bytes_at_once);
}

std::vector<batch_insert::part> batch_insert::cut(const part& whole, std::size_t most_rows,
                                                  std::size_t most_bytes) const {
  std::vector<part> parts;
  std::size_t end = whole.first + whole.count;
  std::size_t bytes = 0;
  for (std::size_t row = whole.first; row < end; ++row) {
    bytes += bytes_of(rows_.row(row));
    if (parts.empty() || parts.back().count >= most_rows || bytes > most_bytes) {
      parts.push_back({.first = row});
      bytes = bytes_of(rows_.row(row));
    }
    ++parts.back().count;
  }
  return parts;
}

task<void> batch_insert::run() {
  task<statement*> preparing_one = session_.prepared(plan_.one_row);
  one_ = co_await std::move(preparing_one);
  if (!plan_.many_rows.empty() && rows_.rows() > 1) {
    task<statement*> preparing_many = session_.prepared(plan_.many_rows);
    many_ = co_await std::move(preparing_many);
  }
  task<statement*> preparing_version = session_.prepared(version_sql);
  ask_version_ = co_await std::move(preparing_version);
  if (session_.opening_ != nullptr) {
    task<statement*> preparing_opening = session_.prepared(session_.opening_->sql);
    opening_ = co_await std::move(preparing_opening);
    std::string misfit = fill(session_.opening_values_, *opening_, session_.opening_->values);
    if (!misfit.empty()) throw database_error(db_errc::data, misfit);
    opening_is_due_ = true;
  }
  if (report_.method.empty()) report_.method = many_ != nullptr ? "unnest" : "statement";
  auto first_to_do = std::find(session_.to_do_.begin(), session_.to_do_.end(), 1);
  auto first = static_cast<std::size_t>(first_to_do - session_.to_do_.begin());
  any_in_ = report_.method == "copy";
  hold_back_repeats(first);
  task<void> inserting = insert_all_to_do(first);
  co_await std::move(inserting);
  if (held_.empty() && refused_early_.empty()) co_return;
  decide_held();
  task<void> inserting_rest = try_refused_again();
  co_await std::move(inserting_rest);
  if (maybe_of_table_ && !any_in_) throw *std::move(maybe_of_table_);
}

task<void> batch_insert::insert_all_to_do(std::size_t first) {
  const part whole{.first = first, .count = rows_.rows() - first};
  bool at_once = plan_.rows_may_depend && many_ != nullptr;
  std::vector<part> due = at_once ? cut_least(whole) : cut(whole, part_rows[0], part_bytes);
  std::size_t suspects = 0;  // the pieces of one that failed, at the front
  int trips_that_failed = 0;
  for (bool first_trip = true; !due.empty(); first_trip = false) {
    bool goes_on = trips_that_failed >= most_failures_one_by_one;
    auto end_of_trip = goes_on || suspects == 0 ? due.end() : due.begin() + static_cast<std::ptrdiff_t>(suspects);
    std::vector<part> parts(std::move_iterator(due.begin()), std::move_iterator(end_of_trip));
    due.erase(due.begin(), end_of_trip);
    task<void> trip = goes_on ? go_on_to_end(parts) : make_trip(parts, first_trip && parts.size() == 1, false);
    co_await std::move(trip);
    if (first_trip && maybe_of_table_ && !any_in_ && rows_.rows() > few_rows) {
      task<void> trying = try_few(parts);
      co_await std::move(trying);
    }
    suspects = 0;
    std::vector<part> again;
    for (part& p : parts) {
      if (p.count == 1 && !is_to_do(p.first)) continue;  // it is among the few, and in by now
      if (p.was_skipped) again.push_back(p);
      if (!p.failed) continue;
      ++trips_that_failed;
      if (p.count == 1) {
        refuse(p.first, p.errc, std::move(p.said), p.lacks_value);
        if (plan_.rows_may_depend || p.may_be_table) refused_early_.push_back(p.first);
        if (plan_.rows_may_depend && p.may_lack_row) lacking_.push_back(p.first);
        continue;
      }
      if (plan_.rows_may_depend) trips_that_failed = most_failures_one_by_one;  // others fail for lack of its rows
      std::vector<part> pieces = cut(p, smaller_than(p.count), part_bytes);
      suspects = pieces.size();
      again.insert(again.end(), pieces.begin(), pieces.end());
    }
    due.insert(due.begin(), std::move_iterator(again.begin()), std::move_iterator(again.end()));
  }
  if (!begins_again_) co_return;
  std::vector<part> none;
  task<void> beginning_again = make_trip(none, false, false);
  co_await std::move(beginning_again);
}

task<void> batch_insert::try_few(const std::vector<part>& failed) {
  std::vector<part> few;
  std::size_t step = rows_.rows() / few_rows + 1;
  for (const part& p : failed)
    for (std::size_t row = p.first; row < p.first + p.count; row += step)
      if (is_to_do(row)) few.push_back({.first = row, .count = 1});
  task<void> trip = go_on_to_end(few);
  co_await std::move(trip);
  for (const part& p : few)
    if (!p.failed && report_.rows[p.first].what == row_outcome::status::stored) session_.to_do_[p.first] = 0;
  bool all_alike = std::all_of(few.begin(), few.end(), [](const part& p) { return p.may_be_table; });
  if (all_alike && !few.empty()) throw *std::move(maybe_of_table_);
}

task<void> batch_insert::insert_singly(bool from_end) {
  std::vector<part> parts;
  for (std::size_t row = 0; row < rows_.rows(); ++row)
    if (is_to_do(row)) parts.push_back({.first = row, .count = 1});
  if (parts.empty()) co_return;
  if (from_end) std::reverse(parts.begin(), parts.end());
  task<void> trip = go_on_to_end(parts);
  co_await std::move(trip);
  for (part& p : parts) {
    bool is_duplicate = keys_are_new_ && p.repeats_key;
    bool was_refused = report_.rows[p.first].what == row_outcome::status::refused;  // what it meets now was behind it
    if (p.failed && !is_duplicate && !was_refused) refuse(p.first, p.errc, std::move(p.said), p.lacks_value);
    if (report_.rows[p.first].what != row_outcome::status::duplicate) session_.to_do_[p.first] = 0;
  }
}

task<void> batch_insert::go_on_to_end(std::vector<part>& parts) {
  std::vector<part> done;
  for (std::vector<part> due = std::move(parts); !due.empty();) {
    task<void> trip = make_trip(due, false, true);
    co_await std::move(trip);
    std::vector<part> skipped;
    for (part& p : due) (p.was_skipped ? skipped : done).push_back(std::move(p));
    due = std::move(skipped);
  }
  parts = std::move(done);
}

task<void> batch_insert::make_trip(std::vector<part>& parts, bool only_one, bool goes_on) {
  wire& w = *session_.wire_;
  commands_.clear();
  one_failed_ = false;
  if (std::exchange(begins_again_, false)) {
    send_plain("ROLLBACK");
    session_.begin_is_due_ = true;
    opening_is_due_ = opening_ != nullptr;
    check_is_due_ = true;
  }
  // A transaction in which nothing was done yet needs no savepoint for its only part: it can begin again.
  bool fresh = only_one && session_.begin_is_due_;
  commands_.resize(commands_.size() + session_.send_begin(w));
  if (std::exchange(opening_is_due_, false)) send_opening();
  if (std::exchange(check_is_due_, false) && !plan_.check_at_once.empty()) send_plain(plan_.check_at_once);
  if (goes_on) send_end_of_going_on();
  if (!fresh) send_plain("SAVEPOINT penstock");
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0 && goes_on) {
      send_plain("ROLLBACK TO SAVEPOINT penstock");
      w.execute(still_going_on);
      commands_.push_back({i, command::going_on});
    }
    send_part(parts[i], i);
    if (!fresh) {
      send_plain("RELEASE SAVEPOINT penstock");
      send_plain("SAVEPOINT penstock");
    } else if (version_.empty()) {
      send_version();
    }
    w.sync();
    task<void> flushing = w.flush();
    co_await std::move(flushing);
  }
  if (!fresh) {
    send_plain("ROLLBACK TO SAVEPOINT penstock");
    send_plain("RELEASE SAVEPOINT penstock");
    if (version_.empty()) send_version();
    w.sync();
  }
  task<void> asking = w.finish([&](std::size_t at, const PGresult* r) { take(parts, at, r); });
  co_await std::move(asking);
  if (fatal_) throw *std::move(fatal_);
  begins_again_ = fresh && parts[0].failed;
}

void batch_insert::send_plain(const std::string& sql) {
  session_.wire_->execute(sql);
  commands_.emplace_back();
}

// That is sooner than a lock has been waited for in vain.
void batch_insert::send_end_of_going_on() {
  std::int64_t longest = longest_going_on.count();
  std::int64_t milliseconds =
      std::clamp<std::int64_t>(session_.lock_wait_.value_or(2 * longest) / 2, shortest_going_on.count(), longest);
  send_plain("SELECT set_config('penstock.goes_on_until', (extract(epoch FROM clock_timestamp()) + " +
             std::to_string(milliseconds) + " / 1000.0)::text, true)");
}

void batch_insert::send_opening() {
  session_.wire_->execute(opening_->name, session_.opening_values_.bound(), opening_->binary);
  commands_.push_back({command::opening, command::none});
}

void batch_insert::send_version() {
  arguments& values = session_.arguments_;
  std::string table = quote_table(plan_.into.name);
  std::string misfit = fill(values, *ask_version_, parameters_of(table));
  if (!misfit.empty()) throw database_error(db_errc::data, misfit);
  session_.wire_->execute(ask_version_->name, values.bound(), ask_version_->binary);
  commands_.push_back({command::version, command::none});
}

void batch_insert::send_part(part& p, std::size_t index) {
  p.failed = p.was_skipped = p.may_be_table = false;
  p.sent = 0;
  if (many_ == nullptr || p.count == 1)
    send_rows(p, index);
  else
    send_arrays(p, index);
}

void batch_insert::send_rows(part& p, std::size_t index) {
  arguments& values = session_.arguments_;
  for (std::size_t row = p.first; row < p.first + p.count; ++row) {
    if (!is_to_do(row)) continue;
    values.clear();
    std::string misfit = plan_.cuts(rows_.row(row));
    for (std::size_t i = 0; i < plan_.types.size() && misfit.empty(); ++i) {
      std::string why = values.add(rows_.row(row)[i], plan_.types[i], text_reader::driver);
      if (!why.empty()) misfit = "column '" + plan_.into.columns[i].name + "': " + why;
    }
    if (!misfit.empty()) {
      refuse(row, db_errc::data, std::move(misfit));
      continue;
    }
    session_.wire_->execute(one_->name, values.bound(), one_->binary);
    commands_.push_back({index, row});
    ++p.sent;
  }
}

void batch_insert::send_arrays(part& p, std::size_t index) {
  row_arrays& arrays = session_.arrays_;
  arrays.start(plan_);
  for (std::size_t row = p.first; row < p.first + p.count; ++row) {
    if (!is_to_do(row)) continue;
    std::string misfit = arrays.add(plan_, rows_.row(row));
    if (!misfit.empty()) refuse(row, db_errc::data, std::move(misfit));
  }
  p.sent = arrays.rows();
  if (p.sent == 0) return;
  session_.wire_->execute(many_->name, arrays.bound(), many_->binary);
  commands_.push_back({index, command::none});
}

void batch_insert::take(std::vector<part>& parts, std::size_t at, const PGresult* r) {
  const command& c = commands_[at];
  bool opens = c.part == command::opening;
  bool tells_version = c.part == command::version;
  part* p = opens || tells_version || c.part == command::none ? nullptr : &parts[c.part];
  ExecStatusType status = PQresultStatus(r);
  if (status == PGRES_PIPELINE_ABORTED || fatal_) return;
  if (c.row == command::going_on) {
    p->was_skipped = status == PGRES_FATAL_ERROR;
    return;
  }
  if (status == PGRES_FATAL_ERROR && sqlstate_of(r) == "25P02" && one_failed_) {
    if (p != nullptr) p->was_skipped = true;
    return;
  }
  if (status == PGRES_FATAL_ERROR && opens && session_.forgets_stale_plan(opening_, r))
    fatal_ = database_error(db_errc::serialization, said_by(r), 0, std::string(sqlstate_of(r)));
  else if (status == PGRES_FATAL_ERROR)
    take_failure(p, r);
  else if (opens)
    session_.opening_->changed = affected_rows(r);
  else if (tells_version)
    version_ = PQntuples(r) == 1 ? PQgetvalue(r, 0, 0) : "";
  else if (p != nullptr && c.row != command::none)
    take_one(c.row, r);
  else if (p != nullptr)
    take_many(*p, r);
}

void batch_insert::take_failure(part* of, const PGresult* r) {
  std::optional<db_errc> refusal = refusal_of_row(r);
  bool may_be_table = of != nullptr && !refusal && may_be_of_row(r);
  if (!may_be_table && (of == nullptr || !refusal)) {
    fatal_ = failure_of_rows(r, "insert into " + plan_.into.name);
    return;
  }
  of->may_be_table = may_be_table;
  if (may_be_table && !maybe_of_table_) maybe_of_table_ = failure_of_rows(r, "insert into " + plan_.into.name);
  if (of->count == 1) session_.note_doubt(r);
  of->failed = one_failed_ = true;
  of->errc = refusal.value_or(db_errc::constraint);
  of->said = said_by(r);
  of->lacks_value = lacks_value(r);
  of->repeats_key = sqlstate_of(r) == "23505";
  of->may_lack_row = may_lack_row(r);
}

void batch_insert::take_one(std::size_t row, const PGresult* r) {
  if (affected_rows(r) == 1)
    is_in(row, {.id = PQntuples(r) == 1 ? binary_integer(r, 0, 0) : 0});
  else if (keys_are_new_)
    refuse(row, db_errc::constraint, "the row was accepted but not stored: a trigger or rule drops it");
  else if (is_refused(row) && later_one_is_in(row))
    return;  // it is no duplicate of what came behind it
  else if (plan_.into.unique_key.empty())
    fatal_ = not_all_stored(plan_.into);
  else
    is_in(row, {.what = row_outcome::status::duplicate});
}

// The rows of a part are stored in their order, and so are their ids given.
void batch_insert::take_many(const part& p, const PGresult* r) {
  int given = PQntuples(r);
  if (plan_.many_give_row) {
    for (std::size_t row = p.first; row < p.first + p.count; ++row)
      if (is_to_do(row)) is_in(row, {.what = row_outcome::status::duplicate});
    sent_rows_.clear();
    for (std::size_t row = p.first; row < p.first + p.count; ++row)
      if (is_to_do(row)) sent_rows_.push_back(row);
    for (int i = 0; i < given; ++i) {
      if (PQgetisnull(r, i, 0) != 0) {
        fatal_ = altered_meanwhile(plan_.into);
        return;
      }
      is_in(sent_rows_.at(static_cast<std::size_t>(binary_integer(r, i, 0)) - 1), {.id = binary_integer(r, i, 1)});
    }
    return;
  }
  if (affected_rows(r) != p.sent) {
    fatal_ = not_all_stored(plan_.into);
    return;
  }
  int next = 0;
  for (std::size_t row = p.first; row < p.first + p.count; ++row)
    if (is_to_do(row)) is_in(row, {.id = given == 0 ? 0 : binary_integer(r, next++, 0)});
}

void batch_insert::is_in(std::size_t row, row_outcome how) {
  any_in_ = any_in_ || how.what == row_outcome::status::stored;
  report_.rows[row] = how;
}

void batch_insert::refuse(std::size_t row, db_errc errc, std::string why, bool lacks_value) {
  session_.to_do_[row] = 0;
  report_.rows[row].what = row_outcome::status::refused;
  report_.rows[row].refusal = static_cast<std::int32_t>(report_.refusals.size());
  report_.refusals.push_back({code_name(errc), std::move(why), lacks_value});
}

}  // namespace penstock::db::postgres

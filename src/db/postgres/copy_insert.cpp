#include "copy_insert.h"

#include "failure.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <utility>

namespace penstock::db::postgres {
namespace {

constexpr std::size_t fewest_rows = 256;  // of a segment: one bad row makes at most as many go again
constexpr std::size_t most_rows = 65'536;
// The server reads all statements of a message before it runs the first: those behind the next refusal are in vain.
constexpr std::size_t most_segments = 64;
constexpr std::size_t segments_after_failure = 5;
constexpr std::size_t few_rows = 32;  // refusals that stand so close are better found by INSERTs
constexpr std::size_t flushed_bytes = std::size_t{128} << 10;

// The format's signature, flags and extension (PostgreSQL manual, COPY, Binary Format).
constexpr std::string_view copy_head("PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19);
constexpr std::string_view copy_end("\377\377", 2);

// As the type of the id's column; COPY casts nothing.
void append_id(std::string& to, std::int64_t id) {
  append_int32(to, sizeof id);
  append_int32(to, static_cast<std::int32_t>(id >> 32));
  append_int32(to, static_cast<std::int32_t>(id));
}

// Whether a context's last line, which may hold more than one, is "COPY t, line 5", perhaps with ", column v" behind
// it: the line, 0 when it is not. Names may be anything, ", line 7" too.
std::size_t line_in(std::string_view last, std::string_view start, const table_definition& into) {
  if (!last.starts_with(start)) return 0;
  std::size_t line = 0;
  const char* end = last.data() + last.size();
  auto [at, failed] = std::from_chars(last.data() + start.size(), end, line);
  if (failed != std::errc()) return 0;
  std::string_view rest(at, static_cast<std::size_t>(end - at));
  constexpr std::string_view word = ", column ";
  if (rest.empty()) return line;
  if (!rest.starts_with(word)) return 0;
  rest.remove_prefix(word.size());
  bool is_known =
      rest == into.id_column || std::any_of(into.columns.begin(), into.columns.end(),
                                            [&](const table_column& column) { return column.name == rest; });
  return is_known ? line : 0;
}

// Which line of the rows for the table was refused, 0 when that is not told, as in another language. What runs within
// the COPY, such as a trigger, has its lines of the context before that of the COPY. A row that is too long for the
// table is found when some hundred are written together, and the line is that of the last one then (table_multi_insert
// in src/backend/commands/copyfrom.c).
std::size_t line_of(const PGresult* r, const table_definition& into) {
  if (sqlstate_of(r).starts_with("54")) return 0;
  const char* field = PQresultErrorField(r, PG_DIAG_CONTEXT);
  std::string_view context = field == nullptr ? "" : field;
  const std::string start = "COPY " + into.name.substr(into.name.find('.') + 1) + ", line ";  // npos + 1 is 0
  for (;;) {
    if (std::size_t line = line_in(context, start, into); line > 0) return line;
    std::size_t next = context.find('\n');
    if (next == std::string_view::npos) return 0;
    context.remove_prefix(next + 1);
  }
}

// The other may be of the same COPY, which is undone, and be refused itself when it goes again.
bool meets_another_row(const PGresult* r) { return sqlstate_of(r) == "23505" || sqlstate_of(r) == "23P01"; }

}  // namespace

copy_insert::copy_insert(session& s, insert_plan& plan, std::string version_statement, const row_batch& rows,
                         batch_report& report)
    : session_(s),
      plan_(plan),
      version_statement_(std::move(version_statement)),
      rows_(rows),
      report_(report),
      history_(s.home_->copies.try_emplace(plan.into.name, copy_history{most_rows}).first->second),
      order_(s.copy_order_),
      segment_rows_(history_.segment_rows),
      most_segments_(segment_rows_ < most_rows ? segments_after_failure : most_segments),
      most_failures_(1 + rows.rows() / 500) {}

task<bool> copy_insert::run() {
  order_.resize(rows_.rows());
  std::iota(order_.begin(), order_.end(), std::size_t{0});
  end_ = suspects_from_ = order_.size();
  put_suspects_last();
  // Small segments are about as much waiting as work, and are better sent side by side.
  if (rows_.rows() >= insertion_turns::fewest_rows && segment_rows_ > fewest_rows) {
    task<void> taking = take_id_turn();
    co_await std::move(taking);
  }
  std::size_t failures = 0;
  while (next_ < end_) {
    task<ending> trip = make_trip();
    ending how = co_await std::move(trip);
    turn_ = semaphore::permit();
    id_turn_ = semaphore::permit();
    if (how == ending::stored) {
      most_segments_ *= 2;
      continue;
    }
    most_segments_ = segments_after_failure;
    if (how == ending::suspect_refused) continue;
    bool is_told = how == ending::row_refused && explains_refusal();
    segment_rows_ = history_.segment_rows = is_told ? most_rows : fewest_rows;
    if (how == ending::impossible) break;
    ++failures;
    if (failures > most_failures_ || early_failures_ == 2) leave_rest_to_inserts();
  }
  if (in_savepoint_) {
    task<void> undoing = session_.wire_->run_plain("ROLLBACK TO SAVEPOINT penstock; RELEASE SAVEPOINT penstock",
                                                   [](std::size_t, const PGresult*) {});
    co_await std::move(undoing);
  }
  bool all_done = next_ == order_.size() && left_.empty();
  if (all_done && failures == 0 && segment_rows_ == history_.segment_rows)
    history_.segment_rows = std::min(most_rows, segment_rows_ * 2);
  co_return all_done;
}

// Those that are too many are none: each costs a trip.
void copy_insert::put_suspects_last() {
  const refused_values& refused = history_.refused;
  if (!refused.suspects_any()) return;
  auto from = order_.begin() + static_cast<std::ptrdiff_t>(next_);
  auto to = order_.begin() + static_cast<std::ptrdiff_t>(suspects_from_);
  auto is_good = [&](std::size_t row) {
    return report_.rows[row].what == row_outcome::status::refused || is_left(row) || !refused.suspects(rows_.row(row));
  };
  std::vector<std::size_t> suspects;
  auto kept = from;
  for (auto at = from; at != to; ++at) {
    if (is_good(*at))
      *kept++ = *at;
    else
      suspects.push_back(*at);
  }
  std::copy(suspects.begin(), suspects.end(), kept);
  auto first = static_cast<std::size_t>(kept - order_.begin());
  if (end_ - first <= most_failures_)
    suspects_from_ = first;
  else
    std::sort(from, to);
}

// Whether the row that was refused last has a value by which others that would be are known.
bool copy_insert::explains_refusal() {
  history_.refused.add_refused(rows_.row(refused_row_));
  history_.refused.acquit_common(rows_, most_failures_);
  put_suspects_last();
  return history_.refused.suspects(rows_.row(refused_row_));
}

// Behind the suspects, whose ids may be lower than those of rows that are stored.
void copy_insert::leave_rest_to_inserts() {
  auto at = [&](std::size_t position) { return order_.begin() + static_cast<std::ptrdiff_t>(position); };
  std::rotate(at(next_), at(suspects_from_), order_.end());
  end_ = next_ + (order_.size() - suspects_from_);
  suspects_from_ = next_;
}

std::size_t copy_insert::rows_of_segment(std::size_t first) const {
  return first < suspects_from_ ? std::min(segment_rows_, suspects_from_ - first) : 1;
}

task<void> copy_insert::take_id_turn() {
  turn_is_due_ = true;
  task<semaphore::permit> taking = session_.home_->id_turns.take(plan_.into.name);
  id_turn_ = co_await std::move(taking);
}

task<void> copy_insert::take_turn() {
  turn_is_due_ = false;
  task<semaphore::permit> taking = session_.home_->turns.take(plan_.into.name);
  turn_ = co_await std::move(taking);
  id_turn_ = semaphore::permit();
}

std::string copy_insert::statements() {
  std::string all;
  if (session_.begin_is_due_) all.append(session_.begin_sql()).append("; ");
  if (std::exchange(check_is_due_, false) && !plan_.check_at_once.empty()) all += plan_.check_at_once + "; ";
  if (!has_ids_ && plan_.copy_gives_ids) all += reserve_ids_sql(plan_.sequence, rows_.rows()) + "; ";
  all += in_savepoint_ ? "ROLLBACK TO SAVEPOINT penstock; " : "SAVEPOINT penstock; ";
  std::size_t first = next_;
  for (std::size_t segments = 0; first < end_ && segments < most_segments_; first += rows_of_segment(first)) {
    if (segments++ > 0) all += "RELEASE SAVEPOINT penstock; SAVEPOINT penstock; ";
    all += plan_.copy + "; ";
    if (segments == 1 && !version_statement_.empty()) all += version_statement_ + "; ";
  }
  return all + "RELEASE SAVEPOINT penstock";
}

task<copy_insert::ending> copy_insert::make_trip() {
  wire& w = *session_.wire_;
  w.start_plain(statements());
  session_.begin_is_due_ = false;
  ending how = ending::stored;
  std::optional<database_error> fatal;
  for (;;) {
    task<result_handle> reading = w.next_plain();
    result_handle r = co_await std::move(reading);
    if (!r) break;
    switch (PQresultStatus(r.get())) {
      case PGRES_COPY_IN: {
        task<void> sending = send_segment();
        co_await std::move(sending);
        break;
      }
      case PGRES_TUPLES_OK:
        if (PQnfields(r.get()) == 1)
          take_version(r.get());
        else
          take_ids(r.get());
        break;
      case PGRES_COMMAND_OK:
        take_success(r.get(), fatal);
        break;
      default:
        how = take_failure(r.get(), fatal);
    }
  }
  if (fatal) throw *std::move(fatal);
  co_return how;
}

task<void> copy_insert::send_segment() {
  std::string& data = session_.copy_data_;
  data.assign(copy_head);
  sent_.clear();
  segment_end_ = next_ + rows_of_segment(next_);
  for (std::size_t position = next_; position < segment_end_; ++position) {
    std::size_t row = order_[position];
    if (report_.rows[row].what == row_outcome::status::refused || is_left(row)) continue;
    std::size_t before = data.size();
    std::string misfit = append_row(data, row);
    if (misfit.empty()) {
      sent_.push_back(row);
    } else {
      data.resize(before);
      refuse(row, db_errc::data, std::move(misfit));
    }
    if (data.size() < flushed_bytes) continue;
    if (turn_is_due_) {
      task<void> taking = take_turn();
      co_await std::move(taking);
    }
    task<void> sending = session_.wire_->copy(data);
    co_await std::move(sending);
    data.clear();
  }
  data += copy_end;
  if (turn_is_due_) {
    task<void> taking = take_turn();
    co_await std::move(taking);
  }
  task<void> sending = session_.wire_->end_copy(data);
  co_await std::move(sending);
}

std::string copy_insert::append_row(std::string& to, std::size_t row) const {
  std::span<const cell> cells = rows_.row(row);
  if (std::string why = plan_.cuts(cells); !why.empty()) return why;
  std::size_t fields = cells.size() + (has_ids_ ? 1 : 0);
  to += static_cast<char>(fields >> 8);
  to += static_cast<char>(fields);
  if (has_ids_) append_id(to, id_of(row));
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (cells[i].type == cell::kind::null) {
      append_int32(to, -1);
      continue;
    }
    std::size_t size_at = to.size();
    to.append(4, '\0');
    if (plan_.types[i] == jsonb_oid) to += '\1';  // the format's version
    std::string why = append_value(to, cells[i], plan_.as[i]);
    if (!why.empty()) return "column '" + plan_.into.columns[i].name + "': " + why;
    write_size(to, size_at, to.size() - size_at - 4);
  }
  return {};
}

void copy_insert::take_success(const PGresult* r, std::optional<database_error>& fatal) {
  std::string_view tag = PQcmdStatus(const_cast<PGresult*>(r));
  if (tag == "SAVEPOINT" || tag == "RELEASE") in_savepoint_ = tag == "SAVEPOINT";
  if (!tag.starts_with("COPY")) return;
  if (affected_rows(r) != sent_.size()) {
    fatal = not_all_stored(plan_.into);
    return;
  }
  if (!sent_.empty()) report_.method = "copy";
  for (std::size_t row : sent_) {
    report_.rows[row].id = has_ids_ ? id_of(row) : 0;
    session_.to_do_[row] = 0;
    if (history_.refused.has_any()) history_.refused.add_stored(rows_.row(row));
  }
  sent_.clear();
  next_ = segment_end_;
}

copy_insert::ending copy_insert::take_failure(const PGresult* r, std::optional<database_error>& fatal) {
  if (session_.forgets_lost_statements(r)) {
    fatal = database_error(db_errc::serialization, said_by(r), 0, std::string(sqlstate_of(r)));
    return ending::impossible;
  }
  std::optional<db_errc> refusal = refusal_of_row(r);
  std::size_t line = line_of(r, plan_.into);
  bool may_be = !refusal && (line > 0 || lacks_in_function(r)) && may_be_of_row(r);
  if (in_savepoint_ && (refusal || may_be)) {
    if (line == 0 || line > sent_.size()) return ending::impossible;
    refused_row_ = sent_[line - 1];
    if (may_be || meets_another_row(r) || plan_.rows_may_depend) {
      left_.insert(std::upper_bound(left_.begin(), left_.end(), refused_row_), refused_row_);
    } else {
      session_.note_doubt(r);
      refuse(refused_row_, *refusal, said_by(r), lacks_value(r));
    }
    if (next_ >= suspects_from_) {
      next_ = segment_end_;
      return ending::suspect_refused;
    }
    if (line <= few_rows) ++early_failures_;
    return ending::row_refused;
  }
  // Such as for a table with row-level security, or a view.
  bool unsupported = sqlstate_of(r) == "0A000" || sqlstate_of(r) == "42809";
  if (unsupported) plan_.copy.clear();
  if (!in_savepoint_ || !unsupported) fatal = failure_of_rows(r, "copy into " + plan_.into.name);
  return ending::impossible;
}

bool copy_insert::is_left(std::size_t row) const { return std::binary_search(left_.begin(), left_.end(), row); }

void copy_insert::take_version(const PGresult* r) {
  if (PQntuples(r) != 1) session_.wire_->give_up_on_answers();
  version_ = PQgetvalue(r, 0, 0);
  version_statement_.clear();
}

// A row of the first id, and null or a list: {3,4,9}.
void copy_insert::take_ids(const PGresult* r) {
  ids_.clear();
  has_ids_ = PQntuples(r) == 1 && PQnfields(r) == 2;
  if (!has_ids_) session_.wire_->give_up_on_answers();
  std::string_view first = PQgetvalue(r, 0, 0);
  std::from_chars(first.data(), first.data() + first.size(), first_id_);
  if (PQgetisnull(r, 0, 1) != 0) return;
  std::string_view list = PQgetvalue(r, 0, 1);
  const char* end = list.data() + list.size();
  for (const char* at = list.data(); *at == '{' || *at == ',';)
    at = std::from_chars(at + 1, end, ids_.emplace_back()).ptr;
  if (ids_.size() != rows_.rows()) session_.wire_->give_up_on_answers();
}

std::int64_t copy_insert::id_of(std::size_t row) const {
  return ids_.empty() ? first_id_ + static_cast<std::int64_t>(row) : ids_[row];
}

void copy_insert::refuse(std::size_t row, db_errc errc, std::string why, bool lacks_value) {
  session_.to_do_[row] = 0;
  report_.rows[row].what = row_outcome::status::refused;
  report_.rows[row].refusal = static_cast<std::int32_t>(report_.refusals.size());
  report_.refusals.push_back({code_name(errc), std::move(why), lacks_value});
}

}  // namespace penstock::db::postgres

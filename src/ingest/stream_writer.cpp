#include "stream_writer.h"

#include "batch_parts.h"
#include "penstock/async/gather.h"
#include "penstock/async/timeout.h"
#include "penstock/core/outcome.h"
#include "penstock/db/error.h"
#include "penstock/ingest/error.h"
#include "penstock/observe/log.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace penstock::ingest {
namespace {

// On a server, one commit waits for the disk while the others' rows are on their way. More than these contend for the
// end of the table and its indexes.
constexpr std::size_t commits_in_flight_on_a_server = 3;
// A database that is back is found within this time.
constexpr duration longest_reconnect_pause = std::chrono::milliseconds(500);
// How long a batch that failed keeps the service from being ready, after which traffic may try again; and how long one
// may take.
constexpr auto failing_is_told_for = std::chrono::seconds(5);
// The requests are told each failure; a log on the disk that is full, say, would make it worse.
constexpr auto failures_alike_are_logged_every = std::chrono::seconds(5);
constexpr auto gathering_of_what_waits = std::chrono::milliseconds(20);
// Beside the queue, results of requests may take a quarter of its memory, or those of two or three requests.
constexpr std::size_t least_result_room = std::size_t{4} << 20;

// The database was away; whether it is back does not depend on this stream. One that kept a batch waiting may be there:
// another may have locked the table, or a COMMIT waits for a standby.
bool is_outage(const std::exception_ptr& failure) {
  const auto* refused = detail::exception_as<error>(failure);
  if (refused == nullptr) return false;
  if (refused->is(db::db_errc::connection_lost)) return detail::exception_as<timed_out>(refused->cause()) == nullptr;
  if (refused->is(ingest_errc::outcome_unknown)) return is_outage(refused->cause());
  return refused->is(db::db_errc::pool_timeout);
}

// Of batches that were not tried: what kept the last one from being stored. That one may be in doubt, they are not.
std::exception_ptr of_those_not_tried(const std::exception_ptr& failure) {
  const auto* refused = detail::exception_as<error>(failure);
  bool in_doubt = refused != nullptr && refused->is(ingest_errc::outcome_unknown);
  return in_doubt && refused->cause() ? refused->cause() : failure;
}

// What the database says of one row each time that it comes, and of others where they come together with it.
bool may_be_said_of_one_item(const std::exception_ptr& why) {
  if (may_be_of_one_row(why)) return true;
  const auto* refused = detail::exception_as<db::database_error>(why);
  return refused != nullptr && (refused->is(db::db_errc::deadlock) || refused->is(db::db_errc::serialization));
}

bool is_group(const batch& b, const rows_set_apart& rows) {
  return std::any_of(b.groups.begin(), b.groups.end(), [&](const batch_group& g) { return g.first == rows.first; });
}

// What is stored by itself or not at all.
std::size_t rows_and_groups(const batch& b) {
  std::size_t in_groups = 0;
  for (const batch_group& g : b.groups) in_groups += g.count;
  return b.rows.rows() - in_groups + b.groups.size();
}

// What waits comes together there, and is tried together.
coalescer_options options_of_lane(coalescer_options options) {
  options.commits_in_flight = 1;
  options.linger = gathering_of_what_waits;
  return options;
}

}  // namespace

db::pool_options session_pool_options(std::string name, std::size_t size, metrics::registry& measure) {
  db::pool_options options;
  options.name = std::move(name);
  options.min_size = size;
  options.max_size = size;
  options.reconnect_max = longest_reconnect_pause;
  options.registry = &measure;
  return options;
}

coalescer_options fitting(coalescer_options options, const db::database& database) {
  if (options.commits_in_flight == 0)
    options.commits_in_flight = database.commits_can_be_ambiguous() ? commits_in_flight_on_a_server : 1;
  return options;
}

stream_writer::stream_writer(item_schema schema, const db::database& database, db::pool& writers,
                             const coalescer_options& options, metrics::registry& measure)
    : schema_(std::move(schema)),
      parser_(schema_),
      sessions_(writers),
      registry_(measure),
      upsetting_(schema_.definition().columns.empty() ? 1 : schema_.definition().columns.size()),
      queued_rows_(
          measure.gauge("penstock_queue_rows", "Rows that wait or are being committed.", {{"stream", name()}})),
      queued_bytes_(
          measure.gauge("penstock_queue_bytes", "Bytes that wait or are being committed.", {{"stream", name()}})),
      rows_apart_(measure.gauge("penstock_queue_rows_apart",
                                "Of the rows that wait, those that wait for a lock of another session.",
                                {{"stream", name()}})),
      results_{std::max(least_result_room, options.queue_bytes / 4)},
      committer_(name(), schema_.table(), writers, database.commits_can_be_ambiguous(), measure),
      lane_(
          schema_.table().columns.size(), [this](batch& b) { return commit(b, batch_committer::patience::full); },
          options_of_lane(options)),
      queue_(
          schema_.table().columns.size(),
          [this](batch& b) { return commit(b, batch_committer::patience::short_while_locks_are_held); }, options) {
  queue_.set_lane(lane_);
  auto items = [&](const char* result) {
    return measure.counter("penstock_items_total", "Items, by how they ended.",
                           {{"stream", name()}, {"result", result}});
  };
  const metrics::labels of_stream = {{"stream", name()}};
  stored_ = items("stored");
  duplicates_ = items("duplicate");
  rejected_ = items("rejected");
  failed_ = items("failed");
  commit_seconds_ = measure.histogram("penstock_commit_duration_seconds", "How long a batch took to be committed.",
                                      metrics::duration_buckets(), of_stream);
  batch_rows_ =
      measure.histogram("penstock_batch_rows", "Rows of a committed batch.", metrics::count_buckets(), of_stream);
  set_apart_ = measure.counter("penstock_rows_set_apart_total",
                               "Rows set apart from their batch since another session held a lock.", of_stream);
  gauge_hook_ = measure.add_hook([this] {
    coalescer_backlog now = queue_.backlog();
    queued_rows_.show(now.rows);
    queued_bytes_.show(now.bytes);
    rows_apart_.show(now.rows_apart);
  });
}

stream_writer::~stream_writer() { registry_.remove_hook(gauge_hook_); }

void stream_writer::count(const item_counts& ended) const noexcept {
  if (ended.stored > 0) stored_.add(ended.stored);
  if (ended.duplicates > 0) duplicates_.add(ended.duplicates);
  if (ended.rejected > 0) rejected_.add(ended.rejected);
  if (ended.failed > 0) failed_.add(ended.failed);
}

task<void> stream_writer::prepare(db::connection& session) {
  task<void> preparing = session.prepare_table(schema_.table());
  co_await std::move(preparing);
  task<void> more = committer_.prepare(session);
  co_await std::move(more);
}

task<void> stream_writer::run() {
  std::vector<task<void>> both;
  both.push_back(queue_.run());
  both.push_back(lane_.run());
  task<void> committing = gather(std::move(both));
  co_await std::move(committing);
  task<void> leaving = committer_.retire();
  co_await std::move(leaving);
}

task<void> stream_writer::commit(batch& b, batch_committer::patience how) {
  if (b.rows.empty()) co_return;
  const scheduler& clock = scheduler::current();
  time_point start = clock.now();
  bool in_lane = how == batch_committer::patience::full;  // where one may rightly take long
  bool is_one_item = rows_and_groups(b) == 1;
  auto begun = in_lane ? begun_.end() : begun_.insert(begun_.end(), {start, has_failed_lately()});
  std::exception_ptr failure;
  try {
    task<void> committing = committer_.commit(
        b, queue_.options(), how, !in_lane && is_one_item && !upsetting_.is_table() ? &begun->begun : nullptr);
    co_await std::move(committing);
  } catch (...) {
    failure = std::current_exception();
  }
  if (!in_lane) begun_.erase(begun);
  if (!failure) {
    committed(b, clock.now() - start, in_lane);
    co_return;
  }
  note_failure(failure, b, {0, b.rows.rows()}, is_one_item);
  bool waited_in_vain = takes_too_long(failure) && clock.now() - start >= queue_.options().attempt_timeout;
  if (waited_in_vain) failed_at_ = clock.now();  // the table may keep all waiting
  tell_failure(failure, b.rows.rows());
  if (!in_lane) fail_those_behind(failure, start);
  std::rethrow_exception(failure);
}

// While the database is away or locked, each batch would be tried for as long as this one. One whose session was lost
// may have been at fault itself.
void stream_writer::fail_those_behind(const std::exception_ptr& failure, time_point since) {
  const auto* refused = detail::exception_as<error>(failure);
  bool got_no_session = refused != nullptr && refused->is(db::db_errc::pool_timeout);
  bool is_of_all = sessions_.unreachable() || got_no_session || waits_for_lock(failure);
  bool was_tried_for_long = scheduler::current().now() - since >= queue_.options().commit_retry;
  bool others_went_in = committed_at_ > since;
  if (is_of_all && was_tried_for_long && !others_went_in) queue_.fail_waiting_since(since, of_those_not_tried(failure));
}

// One that fails for itself, with none beside it that goes in, says nothing of the table yet.
void stream_writer::note_failure(const std::exception_ptr& why, const batch& b, const rows_set_apart& failed,
                                 bool alone) noexcept {
  if (is_outage(why)) return;
  if (!alone) upsetting_.clear_all_of_them();
  bool may_be_one = upsetting_.may_be_one(b.rows, failed.first, failed.count);
  if (!may_be_one || !may_be_said_of_one_item(why)) failed_at_ = scheduler::current().now();
}

bool stream_writer::has_failed_lately() const noexcept {
  return failed_at_ && *failed_at_ > scheduler::current().now() - failing_is_told_for;
}

// What is tried after a failure tells whether that is over, however long it takes.
bool stream_writer::failing() const noexcept {
  time_point some_time_ago = scheduler::current().now() - failing_is_told_for;
  bool goes_on = failed_at_ && std::any_of(begun_.begin(), begun_.end(),
                                           [](const under_way& commit) { return commit.follows_failure; });
  bool is_locked = all_apart_since_ && *all_apart_since_ <= some_time_ago && *all_apart_at_ > some_time_ago;
  bool is_late = std::any_of(begun_.begin(), begun_.end(),
                             [&](const under_way& c) { return std::max(c.begun, committed_at_) <= some_time_ago; });
  return has_failed_lately() || goes_on || is_locked || is_late;
}

void stream_writer::committed(const batch& b, duration elapsed, bool in_lane) noexcept {
  std::size_t apart = count_apart(b);
  if (apart > 0) tell_apart(b, apart, in_lane);
  if (apart == b.rows.rows()) return;
  all_apart_since_.reset();
  commit_seconds_.observe(elapsed);
  batch_rows_.observe(static_cast<double>(b.rows.rows() - apart));
  if (b.report.method.empty()) return;  // all of it had been stored before, which says nothing of the table
  failed_at_.reset();
  upsetting_.forget();
  committed_at_ = scheduler::current().now();
  if (!std::exchange(failure_is_told_, false)) return;
  std::uint64_t untold = 0;
  for (auto& [code, told] : told_) untold += std::exchange(told.alike, 0);
  log::info("batches are committed again", {{"stream", name()}, {"failures_not_logged", untold}});
}

// Those that come again, in the lane, are told of once. There one may wait alone; that says nothing of the table.
void stream_writer::tell_apart(const batch& b, std::size_t rows, bool in_lane) noexcept {
  time_point now = scheduler::current().now();
  auto fails = [](const rows_set_apart& some) { return some.failure && !waits_for_lock(some.failure); };
  bool any_waits = std::any_of(b.apart.begin(), b.apart.end(),
                               [&](const rows_set_apart& some) { return some.tried && !fails(some); });
  bool is_one = std::count_if(b.apart.begin(), b.apart.end(), fails) == 1;
  for (const rows_set_apart& some : b.apart) {
    if (!some.failure) continue;
    if (fails(some)) {
      rows -= some.count;
      if (some.tried) note_failure(some.failure, b, some, is_one && (some.count == 1 || is_group(b, some)));
    }
    tell_failure(some.failure, some.count);
  }
  if (rows == 0 || !any_waits) return;
  if (rows == b.rows.rows() && (!in_lane || b.shares.size() > 1)) {
    if (!all_apart_since_ || now - *all_apart_at_ > failing_is_told_for) all_apart_since_ = now;
    all_apart_at_ = now;
  }
  if (in_lane) return;
  set_apart_.add(rows);
  if (told_apart_at_ && now - *told_apart_at_ < failures_alike_are_logged_every) return;
  told_apart_at_ = now;
  log::warn("items wait for a lock that another session of the database holds: they are tried again by themselves",
            {{"stream", name()}, {"items", rows}, {"of_batch", b.rows.rows()}});
}

void stream_writer::tell_failure(const std::exception_ptr& failure, std::size_t rows) noexcept {
  time_point now = scheduler::current().now();
  const auto* refused = detail::exception_as<error>(failure);
  told_failure& told = told_[std::string(refused == nullptr ? std::string_view() : refused->code())];
  if (told.at && now - *told.at < failures_alike_are_logged_every) {
    ++told.alike;
    return;
  }
  told.at = now;
  failure_is_told_ = true;
  log::exception(log::level::error, "batch was not committed", failure,
                 {{"stream", name()}, {"rows", rows}, {"alike_not_logged", std::exchange(told.alike, 0)}});
}

}  // namespace penstock::ingest

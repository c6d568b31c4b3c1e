#include "stream_writer.h"

#include "penstock/async/timeout.h"
#include "penstock/core/outcome.h"
#include "penstock/db/error.h"
#include "penstock/ingest/error.h"
#include "penstock/observe/log.h"

#include <algorithm>
#include <utility>

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
// Beside the queue, results of requests may take a quarter of its memory, or those of two or three requests.
constexpr std::size_t least_result_room = std::size_t{4} << 20;

// The database was away; whether it is back does not depend on this stream. One that kept a batch waiting may be there:
// another may have locked the table.
bool is_outage(const std::exception_ptr& failure) {
  const auto* refused = detail::exception_as<error>(failure);
  if (refused == nullptr) return false;
  if (refused->is(db::db_errc::connection_lost)) return detail::exception_as<timed_out>(refused->cause()) == nullptr;
  return refused->is(db::db_errc::pool_timeout) || refused->is(ingest_errc::outcome_unknown);
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
      results_{std::max(least_result_room, options.queue_bytes / 4)},
      committer_(name(), schema_.table(), writers, database.commits_can_be_ambiguous(), measure),
      queue_(
          schema_.table().columns.size(), [this](batch& b) { return commit(b); }, options) {
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
  queued_rows_ = measure.gauge("penstock_queue_rows", "Rows that wait or are being committed.", of_stream);
  queued_bytes_ = measure.gauge("penstock_queue_bytes", "Bytes that wait or are being committed.", of_stream);
  gauge_hook_ = measure.add_hook([this] {
    coalescer_stats now = queue_.stats();
    queued_rows_.set(static_cast<double>(now.queued_rows));
    queued_bytes_.set(static_cast<double>(now.queued_bytes));
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
  task<void> committing = queue_.run();
  co_await std::move(committing);
  task<void> leaving = committer_.retire();
  co_await std::move(leaving);
}

task<void> stream_writer::commit(batch& b) {
  if (b.rows.empty()) co_return;
  const scheduler& clock = scheduler::current();
  time_point start = clock.now();
  auto under_way = begun_.insert(start);
  std::exception_ptr failure;
  try {
    task<void> committing = committer_.commit(b, queue_.options().commit_retry, queue_.options().attempt_timeout);
    co_await std::move(committing);
  } catch (...) {
    failure = std::current_exception();
  }
  begun_.erase(under_way);
  if (!failure) {
    committed(b, clock.now() - start);
    co_return;
  }
  failed(failure, b.rows);
  std::rethrow_exception(failure);
}

bool stream_writer::failing() const noexcept {
  time_point some_time_ago = scheduler::current().now() - failing_is_told_for;
  bool failed_lately = failed_at_ && *failed_at_ > some_time_ago;
  return failed_lately || (!begun_.empty() && *begun_.begin() <= some_time_ago);
}

void stream_writer::committed(const batch& b, duration elapsed) noexcept {
  commit_seconds_.observe(elapsed);
  batch_rows_.observe(static_cast<double>(b.rows.rows()));
  if (b.report.method.empty()) return;  // all of it had been stored before, which says nothing of the table
  failed_at_.reset();
  if (!std::exchange(failure_is_told_, false)) return;
  std::uint64_t untold = 0;
  for (auto& [code, told] : told_) untold += std::exchange(told.alike, 0);
  log::info("batches are committed again", {{"stream", name()}, {"failures_not_logged", untold}});
}

void stream_writer::failed(const std::exception_ptr& failure, const db::row_batch& rows) noexcept {
  time_point now = scheduler::current().now();
  if (!is_outage(failure)) failed_at_ = now;
  const auto* refused = detail::exception_as<error>(failure);
  told_failure& told = told_[std::string(refused == nullptr ? std::string_view() : refused->code())];
  if (told.at && now - *told.at < failures_alike_are_logged_every) {
    ++told.alike;
    return;
  }
  told.at = now;
  failure_is_told_ = true;
  log::exception(log::level::error, "batch was not committed", failure,
                 {{"stream", name()}, {"rows", rows.rows()}, {"alike_not_logged", std::exchange(told.alike, 0)}});
}

}  // namespace penstock::ingest

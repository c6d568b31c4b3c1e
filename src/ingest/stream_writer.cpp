#include "stream_writer.h"

#include "penstock/async/timeout.h"
#include "penstock/core/outcome.h"
#include "penstock/db/error.h"
#include "penstock/observe/log.h"

#include <algorithm>

namespace penstock::ingest {
namespace {

constexpr auto first_backoff = std::chrono::milliseconds(10);
constexpr auto longest_backoff = std::chrono::seconds(1);

// What may succeed when it is simply tried again. Of an ambiguous commit that can't be said.
bool is_transient(const std::exception_ptr& failure) {
  const auto* refused = detail::exception_as<db::database_error>(failure);
  return refused != nullptr && refused->is_transient();
}

// Between half of the backoff and the whole of it, so that writers who failed together do not come back together.
duration jittered(duration backoff) {
  auto half = backoff / 2;
  return half + duration(static_cast<duration::rep>(scheduler::current().random() %
                                                    static_cast<std::uint64_t>(half.count() + 1)));
}

}  // namespace

db::pool_options session_pool_options(std::string name, std::size_t size, metrics::registry& measure) {
  db::pool_options options;
  options.name = std::move(name);
  options.min_size = 1;
  options.max_size = size;
  options.max_lifetime = duration::zero();
  options.registry = &measure;
  return options;
}

stream_writer::stream_writer(item_schema schema, db::pool& writers, const coalescer_options& options,
                             metrics::registry& measure)
    : schema_(std::move(schema)),
      parser_(schema_),
      writers_(writers),
      registry_(measure),
      queue_(
          schema_.table().columns.size(),
          [this](const db::row_batch& rows, db::batch_report& report) { return commit(rows, report); }, options) {
  auto items = [&](const char* result) {
    return measure.counter("penstock_items_total", "Items, by how they ended.",
                           {{"stream", name()}, {"result", result}});
  };
  const metrics::labels of_stream = {{"stream", name()}};
  stored_ = items("stored");
  duplicates_ = items("duplicate");
  rejected_ = items("rejected");
  failed_ = items("failed");
  retries_ =
      measure.counter("penstock_commit_retries_total", "Commits tried again after a transient failure.", of_stream);
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

task<void> stream_writer::commit(const db::row_batch& rows, db::batch_report& report) {
  if (rows.empty()) co_return;
  const scheduler& clock = scheduler::current();
  time_point start = clock.now();
  time_point give_up = start + queue_.options().commit_retry;
  duration backoff = first_backoff;
  for (;;) {
    std::exception_ptr failure;
    try {
      task<void> attempt = try_commit(rows, report);
      co_await std::move(attempt);
    } catch (...) {
      failure = std::current_exception();
    }
    if (!failure) break;
    if (!is_transient(failure) || clock.now() + backoff >= give_up) {
      failed(failure, rows);
      std::rethrow_exception(failure);
    }
    retries_.add();
    co_await sleep_for(jittered(backoff));
    backoff = std::min<duration>(backoff * 2, longest_backoff);
  }
  committed(rows, clock.now() - start);
}

task<void> stream_writer::try_commit(const db::row_batch& rows, db::batch_report& report) {
  auto acquiring = writers_.acquire();
  db::pool::lease session = co_await std::move(acquiring);
  task<void> inserting = session->insert_batch(schema_.table(), rows, report);
  co_await std::move(inserting);
}

void stream_writer::committed(const db::row_batch& rows, duration elapsed) noexcept {
  commit_seconds_.observe(elapsed);
  batch_rows_.observe(static_cast<double>(rows.rows()));
  if (failing_since_) log::info("batches are committed again", {{"stream", name()}});
  failing_since_.reset();
}

void stream_writer::failed(const std::exception_ptr& failure, const db::row_batch& rows) noexcept {
  failing_since_ = scheduler::current().now();
  log::exception(log::level::error, "batch was not committed", failure, {{"stream", name()}, {"rows", rows.rows()}});
}

}  // namespace penstock::ingest

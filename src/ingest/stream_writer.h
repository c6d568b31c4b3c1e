#pragma once

// One stream's way into its table: schema, parser, and the coalescer whose batches are committed over a pool.
// Transient failures of a commit are tried again, in this order of things: the batch stays whole and in its place, so
// nothing is lost and nothing is stored twice.

#include "penstock/db/pool.h"
#include "penstock/ingest/coalescer.h"
#include "penstock/ingest/item_parser.h"
#include "penstock/ingest/item_result.h"
#include "penstock/ingest/item_schema.h"
#include "penstock/observe/metrics.h"

#include <optional>
#include <string>

namespace penstock::ingest {

// Of a pool whose sessions commit and read for streams. They are kept for as long as they work: a database in memory
// lives no longer than its sessions.
db::pool_options session_pool_options(std::string name, std::size_t size, metrics::registry& measure);

class stream_writer {
 public:
  // The pool and the registry outlive the writer.
  stream_writer(item_schema schema, db::pool& writers, const coalescer_options& options, metrics::registry& measure);
  stream_writer(const stream_writer&) = delete;
  stream_writer& operator=(const stream_writer&) = delete;
  ~stream_writer();

  const item_schema& schema() const noexcept { return schema_; }
  const std::string& name() const noexcept { return schema_.definition().name; }
  item_parser& parser() noexcept { return parser_; }
  coalescer& queue() noexcept { return queue_; }
  // Counts how items ended.
  void count(const item_counts& ended) const noexcept;
  // When a batch last failed to be committed; nothing when the newest one was.
  std::optional<time_point> failing_since() const noexcept { return failing_since_; }

 private:
  task<void> commit(const db::row_batch& rows, db::batch_report& report);
  task<void> try_commit(const db::row_batch& rows, db::batch_report& report);
  void committed(const db::row_batch& rows, duration elapsed) noexcept;
  void failed(const std::exception_ptr& failure, const db::row_batch& rows) noexcept;

  item_schema schema_;
  item_parser parser_;
  db::pool& writers_;
  metrics::registry& registry_;
  std::optional<time_point> failing_since_;
  metrics::counter stored_, duplicates_, rejected_, failed_, retries_;
  metrics::histogram commit_seconds_, batch_rows_;
  metrics::gauge queued_rows_, queued_bytes_;
  std::uint64_t gauge_hook_ = 0;
  coalescer queue_;
};

}  // namespace penstock::ingest

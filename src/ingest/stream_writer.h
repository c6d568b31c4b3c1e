#pragma once

// One stream's way into its table: schema, parser, and the coalescer whose batches are committed over a pool.

#include "batch_committer.h"
#include "penstock/db/pool.h"
#include "penstock/ingest/coalescer.h"
#include "penstock/ingest/item_parser.h"
#include "penstock/ingest/item_result.h"
#include "penstock/ingest/item_schema.h"
#include "penstock/observe/detail/gauge_part.h"
#include "penstock/observe/metrics.h"
#include "result_room.h"
#include "suspect_rows.h"

#include <list>
#include <map>
#include <optional>
#include <string>

namespace penstock::ingest {

// Of a pool whose sessions commit and read for streams.
db::pool_options session_pool_options(std::string name, std::size_t size, metrics::registry& measure);

// The options with `commits_in_flight` as it fits the database, where it is left open.
coalescer_options fitting(coalescer_options options, const db::database& database);

class stream_writer {
 public:
  // `writers` has sessions of `database`; it and the registry outlive the writer.
  stream_writer(item_schema schema, const db::database& database, db::pool& writers, const coalescer_options& options,
                metrics::registry& measure);
  stream_writer(const stream_writer&) = delete;
  stream_writer& operator=(const stream_writer&) = delete;
  ~stream_writer();

  const item_schema& schema() const noexcept { return schema_; }
  const std::string& name() const noexcept { return schema_.definition().name; }
  item_parser& parser() noexcept { return parser_; }
  coalescer& queue() noexcept { return queue_; }
  keys_in_flight& keys() noexcept { return keys_; }
  // For the kept results of the requests to this stream.
  result_room& results() noexcept { return results_; }
  // Makes the tables that are missing and checks the others.
  task<void> prepare(db::connection& session);
  // Makes a session ready for batches; afterwards it is as it was.
  task<void> rehearse(db::connection& session) { return committer_.rehearse(session, queue_.options()); }
  // Commits batches until the queue is stopped, then what is left, and leaves the database tidy.
  task<void> run();
  // Counts how items ended.
  void count(const item_counts& ended) const noexcept;
  // True while the database can't be reached.
  bool unreachable() const noexcept { return sessions_.unreachable(); }
  // True when a batch lately failed to be committed though the database was there, or had when one began that is under
  // way, or one has been under way for long, and none was committed since; or when all items of some time have waited
  // for locks. One item, or one request with a key, that fails however often says nothing of the table.
  bool failing() const noexcept;
  // When a batch went in last.
  time_point committed_at() const noexcept { return committed_at_; }

 private:
  bool has_failed_lately() const noexcept;
  task<void> commit(batch& b, batch_committer::patience how);
  void committed(const batch& b, duration elapsed, bool in_lane) noexcept;
  void note_failure(const std::exception_ptr& why, const batch& b, const rows_set_apart& failed, bool alone) noexcept;
  void fail_those_behind(const std::exception_ptr& failure, time_point since);
  void tell_apart(const batch& b, std::size_t rows, bool in_lane) noexcept;
  void tell_failure(const std::exception_ptr& failure, std::size_t rows) noexcept;

  item_schema schema_;
  item_parser parser_;
  const db::pool& sessions_;
  metrics::registry& registry_;
  std::optional<time_point> failed_at_;  // though the database was there; nothing once one was committed
  suspect_rows upsetting_;               // since one was committed
  time_point committed_at_{};            // the last one
  struct under_way {
    time_point begun;  // later where the database had an item fail meanwhile
    bool follows_failure;
  };
  std::list<under_way> begun_;                                // the commits
  std::optional<time_point> all_apart_since_, all_apart_at_;  // the first of the batches that were, and the last
  struct told_failure {
    std::optional<time_point> at;
    std::uint64_t alike = 0;  // not logged since
  };
  std::optional<time_point> told_apart_at_;
  std::map<std::string, told_failure> told_;  // by code
  bool failure_is_told_ = false;              // and that it is over is not
  metrics::counter stored_, duplicates_, rejected_, failed_, set_apart_;
  metrics::histogram commit_seconds_, batch_rows_;
  metrics::detail::gauge_part queued_rows_, queued_bytes_, rows_apart_;
  std::uint64_t gauge_hook_ = 0;
  keys_in_flight keys_;
  result_room results_;
  batch_committer committer_;
  coalescer lane_;  // for what waits for locks; outlives the queue
  coalescer queue_;
};

}  // namespace penstock::ingest

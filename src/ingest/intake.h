#pragma once

// The items of one request or batch on their way through a stream: parsed into rows, submitted, and matched with what
// became of them. Invariants: every item that was taken ends exactly once, as one result; rows end in the order in
// which they were taken, so that the oldest item without an end is the one that the next outcome belongs to.

#include "penstock/ingest/item_result.h"
#include "stream_writer.h"

#include <cstddef>
#include <exception>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::ingest {

// Which results are kept beside the counts.
struct kept_results {
  bool stored = false;        // Also of the items that were stored or are duplicates; else only of the others.
  std::size_t most = 10'000;  // Of each of the two kinds.
};

class intake {
 public:
  // Throws `ingest_errc::overloaded` and `closed` as `submission` does.
  intake(stream_writer& into, kept_results keep);

  // Parses an item and submits its row, or ends it as rejected. `text` as `item_parser::add` takes it.
  void take(std::string_view text, std::uint64_t line);
  // Ends an item that never became a row.
  void reject(item_error why, std::uint64_t line);
  // True when `make_room` must be awaited before more is taken.
  bool should_wait() const noexcept { return rows_.should_wait(); }
  task<void> make_room();
  // Waits until every item has ended, and counts them.
  task<void> finish();

  const item_counts& counts() const noexcept { return counts_; }
  // The kept results, by index; after `finish`.
  const std::vector<item_result>& results() const noexcept { return results_; }
  std::vector<item_result> take_results() noexcept { return std::move(results_); }
  // True when there were more results than are kept.
  bool truncated() const noexcept { return truncated_; }
  // Why items failed: the first batch's failure; null when none did.
  const std::exception_ptr& failure() const noexcept { return failure_; }

 private:
  struct waiting_item {
    std::uint64_t index;
    std::uint64_t line;
  };
  void collect();
  void ended(const waiting_item& item, const db::row_outcome& outcome, const db::row_refusal* refusal,
             const std::exception_ptr* failure);
  bool keep(item_status status) noexcept;

  stream_writer& into_;
  kept_results kept_;
  submission rows_;
  db::timestamp taken_in_;
  std::uint64_t next_index_ = 0;
  std::vector<waiting_item> waiting_;  // items before `first_waiting_` have ended
  std::size_t first_waiting_ = 0;
  item_counts counts_;
  std::vector<item_result> results_;
  std::size_t kept_good_ = 0;
  std::size_t kept_bad_ = 0;
  bool truncated_ = false;
  std::exception_ptr failure_;
};

}  // namespace penstock::ingest

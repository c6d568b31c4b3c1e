#pragma once

// What became of the items of one request or batch. Invariants: every item ends exactly once, as one result; rows end
// in the order in which they were added, so that the oldest item that waits is the one that the next outcome belongs
// to. A copy goes on by itself: so an answer can be made before a commit that may yet fail.

#include "penstock/db/connection.h"
#include "penstock/ingest/item_result.h"
#include "result_room.h"

#include <cstddef>
#include <cstdint>
#include <exception>
#include <utility>
#include <vector>

namespace penstock::ingest {

// Which results are kept beside the counts.
struct kept_results {
  bool stored = false;                // Also of the items that were stored or are duplicates; else only of the others.
  std::size_t most = 10'000;          // Of each of the two kinds.
  std::size_t most_bytes = SIZE_MAX;  // In memory, of each of the two kinds.
  result_room* room = nullptr;        // What they are bounded by together with those of others.
  const memory_room* answers = nullptr;  // Of which there must be some left.
};

class item_ledger {
 public:
  // What bounds them outlives the ledger.
  explicit item_ledger(kept_results keep) noexcept : kept_(keep), share_(keep.room, keep.answers) {}

  // An item became a row, and waits for its outcome.
  void wait(std::uint64_t line) { waiting_.push_back({next_index_++, line}); }
  // An item that never became a row has ended.
  void reject(item_error why, std::uint64_t line);
  // The oldest item that waits has ended.
  void end(const db::row_outcome& outcome, const db::row_refusal* refusal, const std::exception_ptr* failure);
  // All that wait have ended: their rows are those of the report from `first` on.
  void end_all(const db::batch_report& report, std::size_t first);
  // All that wait have failed.
  void fail_all(const std::exception_ptr& failure);
  std::size_t waiting() const noexcept { return waiting_.size() - first_waiting_; }
  bool anything_waits() const noexcept { return waiting() > 0; }
  // Puts the results in order; when nothing waits any more.
  void close();

  const item_counts& counts() const noexcept { return counts_; }
  // The kept results; by index once closed.
  const std::vector<item_result>& results() const noexcept { return results_; }
  std::vector<item_result> take_results() noexcept { return std::move(results_); }
  // What the kept results take in memory, about; rendered, they take less.
  std::size_t result_bytes() const noexcept { return share_.bytes(); }
  // True when there were more results than are kept.
  bool truncated() const noexcept { return truncated_; }
  // By index, whether an item was rejected and has no result here; shorter than there are items. Of those behind the
  // first so many items it is not known.
  const std::vector<bool>& unnamed() const noexcept { return unnamed_; }
  // Why items failed: the first `ingest_errc::outcome_unknown` of their batches, or the first failure where there is
  // none; null when none failed.
  const std::exception_ptr& failure() const noexcept { return failure_; }
  // Of those that failed, how many may be stored nevertheless.
  std::uint64_t unknown() const noexcept { return unknown_; }

 private:
  struct waiting_item {
    std::uint64_t index;
    std::uint64_t line;
  };
  waiting_item take_oldest();
  void fail(const std::exception_ptr& failure);
  // Of each kind, what is kept are the first ones, and one in any case.
  struct kept_kind {
    std::size_t results = 0;
    std::size_t bytes = 0;
    bool is_full = false;
  };
  bool keep(item_status status, std::size_t text_bytes) noexcept;
  void note_unnamed(std::uint64_t index);

  kept_results kept_;
  std::uint64_t next_index_ = 0;
  std::vector<waiting_item> waiting_;  // items before `first_waiting_` have ended
  std::size_t first_waiting_ = 0;
  item_counts counts_;
  std::vector<item_result> results_;
  kept_kind kept_good_;
  kept_kind kept_bad_;
  result_share share_;
  bool truncated_ = false;
  std::vector<bool> unnamed_;  // a bit an item, so few that every request may have them, whatever the room is
  std::uint64_t unknown_ = 0;
  std::exception_ptr failure_;
  std::exception_ptr last_failure_;  // of the newest item that failed
  bool last_is_unknown_ = false;
};

}  // namespace penstock::ingest

#pragma once

// One batch on its way: the rows that several submissions put in, and what became of them.

#include "penstock/async/event.h"
#include "penstock/async/scheduler.h"
#include "penstock/db/connection.h"
#include "penstock/db/row_batch.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

namespace penstock::ingest {

class coalescer;
struct keyed_request;

struct batch;

/// Shares a batch.
class batch_ref {
 public:
  batch_ref() noexcept = default;
  explicit batch_ref(batch& b) noexcept;
  batch_ref(const batch_ref& other) noexcept;
  batch_ref(batch_ref&& other) noexcept : batch_(std::exchange(other.batch_, nullptr)) {}
  batch_ref& operator=(batch_ref other) noexcept {
    std::swap(batch_, other.batch_);
    return *this;
  }
  ~batch_ref();

  explicit operator bool() const noexcept { return batch_ != nullptr; }
  batch& operator*() const noexcept { return *batch_; }
  batch* operator->() const noexcept { return batch_; }
  bool operator==(const batch_ref&) const noexcept = default;

 private:
  batch* batch_ = nullptr;
};

/// Rows of a batch that belong to one request with an Idempotency-Key.
struct batch_group {
  std::size_t first;
  std::size_t count;
  std::shared_ptr<keyed_request> with;
};

/// Rows of one submission that lie together in a batch.
struct batch_share {
  std::size_t first;
  std::size_t count;
  std::uint64_t of;       ///< The submission's number; a batch may have several shares of one.
  bool last_try = false;  ///< What waits for a lock is given up, row by row: see `rows_set_apart`.
};

/// Rows of a batch of which the report says nothing: they were not stored while others were, since they wait for a
/// lock, say.
struct rows_set_apart {
  std::size_t first;
  std::size_t count;
  /// Why they are given up. Null: their submission tries them again, so they are all that it has in the batch, and
  /// their order is kept.
  std::exception_ptr failure = {};
  bool tried = true;     ///< Whether they were tried apart from other submissions' rows.
  bool follows = false;  ///< They wait for their submission's earlier rows, which were still under way: untried.
};

/// Rows that are committed together. Shared by the coalescer and the submissions with rows in it; when the last of
/// them lets go, the coalescer uses it again.
struct batch {
  batch(coalescer& owner, std::size_t columns) : home(owner), rows(columns) { report.wants_ids = false; }

  coalescer& home;
  db::row_batch rows;               ///< None once `done` is set, unless some are to be tried again.
  db::batch_report report;          ///< An outcome a row, once `done` is set and there is no failure.
  std::vector<batch_group> groups;  ///< In the order of their rows; empty when no request has a key.
  std::vector<batch_share> shares;  ///< All rows, in their order.
  /// In the order of their rows. Written by who commits the batch; those that are there before are left out.
  std::vector<rows_set_apart> apart;
  std::exception_ptr failure;     ///< Why nothing of the batch was committed.
  event done;                     ///< Set when the commit has ended.
  std::vector<batch_ref> after;   ///< Hold earlier rows of a submission that is in this one too: they go first.
  time_point opened{};            ///< When the first row came.
  std::size_t counted_bytes = 0;  ///< Of its rows, as far as the coalescer was told of them.
  std::size_t answer_bytes = 0;   ///< Of the answers that will be stored with the groups, about.
  std::size_t submissions = 0;    ///< How many wait for it.
  std::size_t unfinished = 0;     ///< Of these, how many have more rows at hand. While it is open.
  std::size_t owners = 0;
};

/// Has a batch wait for an earlier one.
inline void go_behind(batch& b, const batch_ref& earlier) {
  if (std::find(b.after.begin(), b.after.end(), earlier) == b.after.end()) b.after.push_back(earlier);
}

/// What a batch will write, about: rows and answers.
inline std::size_t written_bytes(const batch& b) noexcept { return b.rows.bytes() + b.answer_bytes; }

/// How many rows of a batch are set apart.
inline std::size_t count_apart(const batch& b) noexcept {
  std::size_t rows = 0;
  for (const rows_set_apart& some : b.apart) rows += some.count;
  return rows;
}

/// What sets rows from `first` to before `end` apart, or the first of them; null when nothing does.
inline const rows_set_apart* find_apart(const batch& b, std::size_t first, std::size_t end) noexcept {
  if (b.apart.empty()) return nullptr;
  auto next = std::partition_point(b.apart.begin(), b.apart.end(),
                                   [&](const rows_set_apart& some) { return some.first + some.count <= first; });
  return next == b.apart.end() || next->first >= end ? nullptr : &*next;
}

inline batch_ref::batch_ref(batch& b) noexcept : batch_(&b) { ++b.owners; }

inline batch_ref::batch_ref(const batch_ref& other) noexcept : batch_(other.batch_) {
  if (batch_ != nullptr) ++batch_->owners;
}

}  // namespace penstock::ingest

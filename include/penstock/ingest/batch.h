#pragma once

// One batch on its way: the rows that several submissions put in, and what became of them.

#include "penstock/async/event.h"
#include "penstock/async/scheduler.h"
#include "penstock/db/connection.h"
#include "penstock/db/row_batch.h"

#include <cstddef>
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

/// Rows that are committed together. Shared by the coalescer and the submissions with rows in it; when the last of
/// them lets go, the coalescer uses it again.
struct batch {
  batch(coalescer& owner, std::size_t columns) : home(owner), rows(columns) { report.wants_ids = false; }

  coalescer& home;
  db::row_batch rows;
  db::batch_report report;          ///< An outcome a row, once `done` is set and there is no failure.
  std::vector<batch_group> groups;  ///< In the order of their rows; empty when no request has a key.
  std::exception_ptr failure;       ///< Why nothing of the batch was committed.
  event done;                       ///< Set when the commit has ended.
  std::vector<batch_ref> after;     ///< Hold earlier rows of a submission that is in this one too: they go first.
  time_point opened{};              ///< When the first row came.
  std::size_t counted_bytes = 0;    ///< Of its rows, as far as the coalescer was told of them.
  std::size_t answer_bytes = 0;     ///< Of the answers that will be stored with the groups, about.
  std::size_t submissions = 0;      ///< How many wait for it.
  std::size_t unfinished = 0;       ///< Of these, how many have more rows at hand. While it is open.
  std::size_t owners = 0;
};

/// What a batch will write, about: rows and answers.
inline std::size_t written_bytes(const batch& b) noexcept { return b.rows.bytes() + b.answer_bytes; }

inline batch_ref::batch_ref(batch& b) noexcept : batch_(&b) { ++b.owners; }

inline batch_ref::batch_ref(const batch_ref& other) noexcept : batch_(other.batch_) {
  if (batch_ != nullptr) ++batch_->owners;
}

}  // namespace penstock::ingest

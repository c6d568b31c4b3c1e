#include "batch_pace.h"
#include "keyed_request.h"
#include "penstock/ingest/coalescer.h"
#include "penstock/ingest/error.h"

#include <algorithm>
#include <utility>

// A request's side of the coalescer: its rows on their way into batches, and the outcomes on their way back.

namespace penstock::ingest {

submission::submission(coalescer& home, bool wants_ids) : home_(home), wants_ids_(wants_ids) {
  if (home.stopping_) throw error(ingest_errc::closed, "stopping: no more items are taken");
  home.refuse_when_full();
}

submission::submission(coalescer& home, in_one_batch, bool wants_ids) : submission(home, wants_ids) {
  held_.emplace(home.spare_rows());
}

db::row_batch& submission::rows() {
  if (held_) {
    home_.refuse_when_full();
    return *held_;
  }
  if (home_.ended_) throw error(ingest_errc::closed, "stopped: no more items are taken");
  return home_.open_batch().rows;
}

void submission::row_added() {
  if (held_) return hold_row();
  batch& b = *home_.open_;
  std::size_t row = b.rows.rows() - 1;
  bool joins = segments_.empty() || &*segments_.back().in != &b;
  if (joins || segments_.back().first + segments_.back().count != row) {
    if (joins) follow(b);
    segments_.push_back({batch_ref(b), row, 0});
  }
  ++segments_.back().count;
  ++outstanding_;
  home_.row_added(b);
}

// Only the open batch waits for more; it is the newest of those that the rows are in, if it is one of them.
void submission::set_at_hand(bool more) noexcept {
  if (std::exchange(at_hand_, more) == more) return;
  if (segments_.empty() || !home_.open_ || &*segments_.back().in != &*home_.open_) return;
  std::size_t& unfinished = home_.open_->unfinished;
  unfinished = more ? unfinished + 1 : unfinished - 1;
  if (!more) home_.look_for_company();
}

void submission::enter(batch& b) noexcept {
  if (b.submissions++ == 0) b.opened = scheduler::current().now();
  ++entered_;
  if (at_hand_) ++b.unfinished;
  b.report.wants_ids = b.report.wants_ids || wants_ids_;
}

void submission::follow(batch& b) {
  enter(b);
  if (segments_.empty()) return;
  const batch_ref& earlier = segments_.back().in;
  if (std::find(b.after.begin(), b.after.end(), earlier) == b.after.end()) b.after.push_back(earlier);
}

void submission::hold_row() {
  home_.take_in_row(*held_, held_bytes_);
  const coalescer_options& most = home_.options_;
  // What fills the queue by itself would find it full however often it came again.
  std::size_t rows = std::min(most.max_rows, most.queue_rows - 1);
  std::size_t bytes = std::min(most.max_bytes, most.queue_bytes - 1);
  if (held_->rows() > rows || held_->bytes() > bytes)
    throw error(ingest_errc::keyed_request_too_large,
                "a request with an Idempotency-Key is stored in one transaction, which takes at most " +
                    std::to_string(rows) + " items and " + std::to_string(bytes) +
                    " bytes of rows: send fewer items a request");
  home_.refuse_when_full();
}

void submission::give_back_held() noexcept {
  home_.keep_spare(*std::move(held_));
  held_.reset();
}

void submission::let_go() noexcept {
  if (!held_) return;
  home_.queued_rows_ -= held_->rows();
  home_.queued_bytes_ -= held_bytes_;
  give_back_held();
  home_.make_room_known();
}

void submission::join(std::shared_ptr<keyed_request> with, std::size_t answer_bytes) {
  if (home_.ended_) throw error(ingest_errc::closed, "stopped: no more items are taken");
  std::size_t count = held_->rows();
  std::size_t bytes = held_->bytes() + answer_bytes;
  batch* b = &home_.open_batch();
  bool fits =
      b->rows.rows() + count <= home_.pace_->row_limit() && written_bytes(*b) + bytes <= home_.options_.max_bytes;
  if (!fits && !b->rows.empty()) {
    home_.close_open_batch();
    b = &home_.open_batch();
  }
  std::size_t first = b->rows.rows();
  if (first == 0)
    std::swap(b->rows, *held_);
  else
    b->rows.append(*held_, 0, count);
  give_back_held();
  b->counted_bytes += held_bytes_;
  b->answer_bytes += answer_bytes;
  b->groups.push_back({first, count, std::move(with)});
  segments_.push_back({batch_ref(*b), first, count});
  enter(*b);
  outstanding_ += count;
  home_.filled(*b);
}

bool submission::should_wait() const noexcept {
  if (held_) return false;
  return home_.full() || outstanding_ >= 2 * home_.options_.max_rows || entered_ > 2;
}

task<void> submission::wait_for_room() {
  bool at_hand = at_hand_;
  set_at_hand(false);
  if (segments_.empty()) {
    co_await home_.room_.wait();
  } else {
    batch_ref first = segments_.front().in;
    co_await first->done.wait();
  }
  set_at_hand(at_hand);
}

task<void> submission::committed() {
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    batch_ref b = segments_[i].in;
    co_await b->done.wait();
  }
}

}  // namespace penstock::ingest

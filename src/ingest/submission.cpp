#include "batch_pace.h"
#include "keyed_request.h"
#include "penstock/async/timeout.h"
#include "penstock/db/error.h"
#include "penstock/ingest/coalescer.h"
#include "penstock/ingest/error.h"

#include <algorithm>
#include <chrono>
#include <utility>

// A request's side of the coalescer: its rows on their way into batches, and the outcomes on their way back.

namespace penstock::ingest {
namespace {

// Of rows that were set apart.
constexpr auto first_pause = std::chrono::milliseconds(50);
constexpr auto longest_pause = std::chrono::milliseconds(500);

}  // namespace

submission::submission(coalescer& home, bool wants_ids) : home_(home), wants_ids_(wants_ids) {
  if (home.stopping_) throw error(ingest_errc::closed, "stopping: no more items are taken");
  home.refuse_when_full();
  number_ = begun_as_ = ++home.last_submission_;
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
  add_last_row(home_);
}

void submission::add_failed() {
  if (segments_.empty() || !(segments_.back().in == home_.in_vain_)) segments_.push_back({home_.in_vain_, 0, 0});
  ++segments_.back().count;
  ++outstanding_;
}

void submission::add_last_row(coalescer& to) {
  batch& b = *to.open_;
  std::size_t row = b.rows.rows() - 1;
  bool goes_on = !segments_.empty() && &*segments_.back().in == &b;
  if (!goes_on || segments_.back().first + segments_.back().count != row) {
    // Between its rows in a batch may be some that failed untried.
    auto is_in_it = [&](const segment& s) { return &*s.in == &b; };
    if (!goes_on && std::none_of(segments_.begin(), segments_.end(), is_in_it)) follow(b);
    segments_.push_back({batch_ref(b), row, 0});
    b.shares.push_back({row, 0, number_});
  }
  ++segments_.back().count;
  ++b.shares.back().count;
  ++outstanding_;
  to.row_added(b);
}

// Only the open batch waits for more; it is the newest of those that the rows are in, if it is one of them.
void submission::set_at_hand(bool more) noexcept {
  if (std::exchange(at_hand_, more) == more) return;
  const segment* last = last_undecided();
  if (last == nullptr || !(last->in == home_.open_)) return;
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

// Those behind it may have failed untried.
const submission::segment* submission::last_undecided() const noexcept {
  auto last = std::find_if_not(segments_.rbegin(), segments_.rend(), is_decided);
  return last == segments_.rend() ? nullptr : &*last;
}

void submission::follow(batch& b) {
  enter(b);
  if (const segment* last = last_undecided()) go_behind(b, last->in);
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
  if (std::exchange(holds_apart_, false)) home_.held_apart_ -= held_->rows();
  held_bytes_ = 0;
  give_back_held();
  home_.make_room_known();
}

void submission::join(std::shared_ptr<keyed_request> with, std::size_t answer_bytes) {
  if (home_.ended_) throw error(ingest_errc::closed, "stopped: no more items are taken");
  with_ = std::move(with);
  answer_bytes_ = answer_bytes;
  outstanding_ += held_->rows();
  home_.queued_rows_ -= held_->rows();
  home_.queued_bytes_ -= held_bytes_;
  held_bytes_ = 0;
  join_batch(home_);
}

// The rows that are held, and that are counted no more.
void submission::join_batch(coalescer& to) {
  std::size_t count = held_->rows();
  std::size_t bytes = held_->bytes();
  batch* b = &to.open_batch();
  bool fits = b->rows.rows() + count <= to.pace_->row_limit() &&
              written_bytes(*b) + bytes + answer_bytes_ <= to.options_.max_bytes;
  if (!fits && !b->rows.empty()) {
    to.close_open_batch();
    b = &to.open_batch();
  }
  std::size_t first = b->rows.rows();
  if (first == 0)
    std::swap(b->rows, *held_);
  else
    b->rows.append(*held_, 0, count);
  give_back_held();
  to.queued_rows_ += count;
  to.queued_bytes_ += bytes;
  b->counted_bytes += bytes;
  b->answer_bytes += answer_bytes_;
  b->groups.push_back({first, count, with_});
  b->shares.push_back({first, count, number_});
  segments_.push_back({batch_ref(*b), first, count});
  enter(*b);
  to.filled(*b);
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
    if (waits(segments_.front())) {
      task<void> settling = settle();
      co_await std::move(settling);
    }
  }
  set_at_hand(at_hand);
}

task<void> submission::committed() {
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    batch_ref b = segments_[i].in;
    co_await b->done.wait();
  }
  if (!holds_apart_ && std::none_of(segments_.begin(), segments_.end(), waits)) co_return;
  task<void> settling = settle();
  co_await std::move(settling);
}

task<void> submission::all_done() {
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    batch_ref b = segments_[i].in;
    co_await b->done.wait();
  }
}

// Tries what was set apart again and again, until it is decided or its time is over. One that was cancelled may be
// followed by another.
task<void> submission::settle() {
  const scheduler& clock = scheduler::current();
  const coalescer_options& most = home_.options_;
  duration pause = first_pause;
  std::optional<std::size_t> behind_last;  // how many segments lay behind those that were tried last
  for (bool was_last = false;;) {
    if (!holds_apart_) {
      task<void> ending = all_done();
      co_await std::move(ending);
      if (!take_back()) break;
      // Behind some that failed untried others may wait, which have a last try of their own.
      was_last = was_last && behind_.size() == behind_last;
      behind_last = behind_.size();
      if (was_last && give_up_at_) {
        give_up();
        continue;
      }
    }
    if (!give_up_at_) give_up_at_ = clock.now() + most.attempt_timeout + most.commit_retry;
    if (in_lane_ && !home_.tries_once_more_) {
      co_await sleep_for(pause);
      pause = std::min<duration>(pause * 2, longest_pause);
    }
    was_last = home_.tries_once_more_ || clock.now() >= *give_up_at_;
    if (!put_again(was_last)) give_up();
  }
  in_lane_ = false;
}

// Holds the rows that were set apart: what comes behind the first of them was set apart too, or failed. False when none
// was. Where all that went before them is decided and they were not tried, their time begins anew.
bool submission::take_back() {
  auto first = std::find_if(segments_.begin(), segments_.end(), waits);
  if (first == segments_.end()) return false;
  if (find_apart(*first->in, first->first, first->first + first->count)->follows) give_up_at_.reset();
  held_.emplace(home_.spare_rows());
  auto end = std::find_if_not(first, segments_.end(), waits);
  behind_.assign(end, segments_.end());
  for (auto s = first; s != end; ++s) {
    const rows_set_apart* apart = find_apart(*s->in, s->first, s->first + s->count);
    in_lane_ = in_lane_ || (apart != nullptr && apart->tried);
    held_->append(s->in->rows, s->first, s->count);
  }
  segments_.erase(first, segments_.end());
  count_entered();
  number_ = ++home_.last_submission_;  // the shares that were set apart are of nobody now
  holds_apart_ = true;
  held_bytes_ = held_->bytes();
  home_.queued_rows_ += held_->rows();
  home_.queued_bytes_ += held_bytes_;
  home_.held_apart_ += held_->rows();
  return true;
}

// False when nothing is taken any more.
bool submission::put_again(bool last_try) {
  coalescer& to = in_lane_ && home_.lane_ != nullptr ? *home_.lane_ : home_;
  if (to.ended_) return false;
  home_.queued_rows_ -= held_->rows();
  home_.queued_bytes_ -= held_bytes_;
  home_.held_apart_ -= held_->rows();
  held_bytes_ = 0;
  holds_apart_ = false;
  if (with_) {
    join_batch(to);
    segments_.back().in->shares.back().last_try = last_try;
    add_behind();
    return true;
  }
  db::row_batch rows = *std::move(held_);
  held_.reset();
  outstanding_ -= rows.rows();
  for (std::size_t r = 0; r < rows.rows(); ++r) {
    batch& b = to.open_batch();
    b.rows.append(rows, r, 1);
    add_last_row(to);
    segments_.back().in->shares.back().last_try = last_try;
  }
  home_.keep_spare(std::move(rows));
  add_behind();
  return true;
}

void submission::add_behind() {
  for (segment& s : std::exchange(behind_, {})) segments_.push_back(std::move(s));
}

// Of the rows that are held.
void submission::give_up() {
  batch_ref none = home_.new_batch();
  none->failure = std::make_exception_ptr(
      db::database_error(db::db_errc::lock_timeout, "it waited for another session of the database for too long"));
  none->done.set();
  segments_.push_back({none, 0, held_->rows()});
  add_behind();
  let_go();
}

void submission::count_entered() noexcept {
  entered_ = 0;
  for (std::size_t i = 0; i < segments_.size(); ++i)
    if (i == 0 || !(segments_[i].in == segments_[i - 1].in)) ++entered_;
}

}  // namespace penstock::ingest

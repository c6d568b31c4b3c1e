#include "penstock/ingest/coalescer.h"

#include "batch_pace.h"
#include "keyed_request.h"
#include "penstock/async/cancel.h"
#include "penstock/async/error.h"
#include "penstock/async/suspension.h"
#include "penstock/ingest/error.h"

#include <algorithm>
#include <utility>

// The form is LevelDB's group commit: who comes while a commit is under way joins the next one. A row joins the open
// batch; the loop takes a free commit slot first and the batch after that, so that the batch grows until the very
// moment it can go. Then a row waits for company, until the batch is full or
// - when nothing is being committed, as many submissions wait as the last commit answered (those clients are back) and
//   have no more rows at hand, or the linger is over;
// - while another commit is under way, its share of the time that a commit takes is over (batch_pace).
// It goes when the batches with earlier rows of the same submissions have ended: what a request holds is stored in
// order: where some of it is set apart, so is what has come behind it meanwhile. Where these take long and others wait
// too, it goes without the rows that have to wait: they are set apart until then. Where one commit runs at a time, the
// next one follows in `commit_one`, before anybody hears of the last.

namespace penstock::ingest {

// The loop's wait for company.
class coalescer::gathering final : public suspension {
 public:
  gathering(coalescer& home, time_point until, bool idle) noexcept
      : home_(home), until_(until), idle_(idle), timer_(*this) {}
  gathering(const gathering&) = delete;
  gathering& operator=(const gathering&) = delete;
  ~gathering() { home_.gathering_ = nullptr; }

  bool await_ready() noexcept { return check_cancelled() || satisfied() || until_ <= scheduler::current().now(); }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> task) {
    suspend(task.promise());
    home_.gathering_ = this;
    waiting_scheduler().add_timer(timer_, until_);
  }
  void await_resume() const { throw_if_cancelled(); }
  bool satisfied() const noexcept {
    const batch& b = *home_.open_;
    return home_.full_enough(b) || (idle_ && b.submissions - b.unfinished >= home_.last_submissions_);
  }
  bool idle() const noexcept { return idle_; }
  void enough() noexcept {
    home_.gathering_ = nullptr;
    timer_.cancel();
    wake();
  }
  std::string_view waiting_for() const noexcept override { return "more rows for a batch"; }

 private:
  struct linger_timer : timer {
    explicit linger_timer(gathering& g) noexcept : timer(&fire), owner(g) {}
    static void fire(timer& t) noexcept { static_cast<linger_timer&>(t).owner.enough(); }
    gathering& owner;
  };
  void cancel() noexcept override {
    home_.gathering_ = nullptr;
    timer_.cancel();
    wake_cancelled();
  }

  coalescer& home_;
  time_point until_;
  bool idle_;  // nothing was being committed when it began
  linger_timer timer_;
};

namespace {

// Beside those of the batches that are committed at a time: one for the open batch, the others for requests with a key,
// of which more than this seldom come at a time.
constexpr std::size_t most_spare_rows = 4;
// What a burst needed beyond these is given back.
constexpr std::size_t most_free_batches = 8;

std::size_t slots_of(const coalescer_options& options) { return std::max<std::size_t>(1, options.commits_in_flight); }

// A batch without rows would never be full, nor ever begun.
coalescer_options with_a_row(coalescer_options options) {
  options.max_rows = std::max<std::size_t>(1, options.max_rows);
  return options;
}

}  // namespace

coalescer::coalescer(std::size_t columns, commit_function commit, const coalescer_options& options)
    : columns_(columns),
      commit_(std::move(commit)),
      options_(with_a_row(options)),
      pace_(std::make_unique<batch_pace>(options_.max_rows, options.target_commit_time, options.commits_in_flight)),
      slots_(slots_of(options)) {
  spare_.reserve(most_spare_rows + slots_of(options_));
}

coalescer::~coalescer() {
  forget_earlier();
  if (lane_ == nullptr) return;
  lane_->forget_earlier();
  lane_->lane_of_ = nullptr;
}

void coalescer::forget_earlier() noexcept {
  std::vector<batch_ref> held;  // dropped afterwards, since that takes batches out of the list
  for (const std::unique_ptr<batch>& b : batches_)
    for (batch_ref& earlier : std::exchange(b->after, {})) held.push_back(std::move(earlier));
}

task<void> coalescer::run() {
  task_group commits;
  std::exception_ptr failure;
  try {
    for (;;) {
      co_await has_rows_.wait();
      if (!has_work() && !stopping_) continue;  // the rows followed a commit that has just ended
      if (!has_work()) {
        // Those that wait for the last commits may add more.
        semaphore::permit all_slots = co_await slots_.acquire(slots_of(options_));
        if (has_work()) continue;
        ended_ = true;
        break;
      }
      semaphore::permit slot = co_await slots_.acquire();
      if (!has_work()) continue;  // it followed the commit that had the slot
      if (sealed_.empty() && committing_ > 0) {
        gathering company(*this, last_start_ + pace_->interval(), false);
        co_await company;
      }
      if (open_ && sealed_.empty() && committing_ == 0) {
        gathering company(*this, open_->opened + options_.linger, true);
        co_await company;
      }
      task<void> waiting = wait_for_earlier();
      co_await std::move(waiting);
      if (!has_work()) continue;  // it failed meanwhile
      batch_ref next = take_next();
      begin();
      task<void> commit = commit_one(std::move(next), std::move(slot));
      commits.start(std::move(commit), "commit");
    }
  } catch (...) {
    failure = std::current_exception();
    stopping_ = true;
  }
  task<void> rest = shield(commits.join());
  co_await std::move(rest);
  ended_ = true;
  if (!failure) co_return;
  fail_waiting();
  std::rethrow_exception(failure);
}

void coalescer::stop() noexcept {
  stopping_ = true;
  stop_waiting_apart();
  has_rows_.set();
  if (gathering_ != nullptr) gathering_->enough();
  if (lane_ != nullptr) lane_->stop();
}

void coalescer::set_lane(coalescer& for_waiting) noexcept {
  lane_ = &for_waiting;
  for_waiting.lane_of_ = this;
}

void coalescer::stop_waiting_apart() noexcept { tries_once_more_ = true; }

coalescer_stats coalescer::stats() const noexcept {
  coalescer_stats now = stats_;
  coalescer_backlog waiting = backlog();
  now.queued_rows = waiting.rows;
  now.queued_bytes = waiting.bytes;
  now.rows_apart = waiting.rows_apart;
  return now;
}

coalescer_backlog coalescer::backlog() const noexcept {
  return {all_rows(), all_bytes(), held_apart_ + (lane_ == nullptr ? 0 : lane_->queued_rows_)};
}

batch& coalescer::open_batch() {
  if (!open_) {
    open_ = new_batch();
    open_->rows = spare_rows();
  }
  return *open_;
}

batch_ref coalescer::new_batch() {
  if (free_.empty()) {
    batches_.push_back(std::make_unique<batch>(*this, columns_));
    return batch_ref(*batches_.back());
  }
  batch_ref b(*free_.back());
  free_.pop_back();
  return b;
}

// A batch that an item opened which became no row is none yet.
bool coalescer::has_work() const noexcept { return !sealed_.empty() || (open_ && !open_->rows.empty()); }

void coalescer::row_added(batch& b) noexcept {
  take_in_row(b.rows, b.counted_bytes);
  filled(b);
}

void coalescer::take_in_row(const db::row_batch& rows, std::size_t& counted_bytes) noexcept {
  ++queued_rows_;
  queued_bytes_ += rows.bytes() - counted_bytes;
  counted_bytes = rows.bytes();
}

void coalescer::filled(const batch& b) noexcept {
  has_rows_.set();
  look_for_company();
  if (b.rows.rows() >= pace_->row_limit() || written_bytes(b) >= options_.max_bytes) seal();
}

void coalescer::look_for_company() noexcept {
  if (gathering_ != nullptr && gathering_->satisfied()) gathering_->enough();
}

bool coalescer::full_enough(const batch& b) const noexcept {
  return stopping_ || b.rows.rows() >= pace_->row_limit() || written_bytes(b) >= options_.max_bytes;
}

void coalescer::close_open_batch() noexcept {
  if (gathering_ != nullptr) gathering_->enough();
  seal();
}

void coalescer::seal() noexcept { sealed_.push_back(std::exchange(open_, {})); }

void coalescer::begin() noexcept {
  last_start_ = scheduler::current().now();
  ++committing_;
}

// Where one commit runs at a time, `run` waits for its slot meanwhile, or for rows.
bool coalescer::next_may_follow() const noexcept {
  if (stopping_ || is_cancelled() || !has_work() || slots_of(options_) > 1) return false;
  bool in_time = !sealed_.empty() || open_->opened + options_.linger <= scheduler::current().now();
  return in_time && !earlier_than_next();
}

// The slot is free again when this has ended. The next batch follows before anybody hears of this one: the database is
// not to wait while answers are written.
task<void> coalescer::commit_one(batch_ref b, [[maybe_unused]] semaphore::permit slot) {
  for (;;) {
    std::exception_ptr failure;
    try {
      const scheduler& clock = scheduler::current();
      time_point start = clock.now();
      bool is_whole = b->apart.empty();
      if (is_whole || count_apart(*b) < b->rows.rows()) {
        task<void> commit = commit_(*b);
        co_await std::move(commit);
      }
      if (is_whole && b->apart.empty()) pace_->committed(b->rows.rows(), clock.now() - start);
    } catch (...) {
      failure = std::current_exception();
    }
    finish(*b, failure);
    if (!next_may_follow()) co_return;
    b = take_next();
    begin();
  }
}

void coalescer::finish(batch& b, std::exception_ptr failure) noexcept {
  --committing_;
  queued_rows_ -= b.rows.rows();
  queued_bytes_ -= b.counted_bytes;
  last_submissions_ = b.submissions;
  if (gathering_ != nullptr && !gathering_->idle() && committing_ == 0) gathering_->enough();
  ++stats_.batches;
  if (failure) {
    ++stats_.failed_batches;
  } else if (std::size_t went_in = b.rows.rows() - count_apart(b); went_in > 0) {
    stats_.rows += went_in;
    in_vain_ = {};
  }
  // A client that is slow to send may hold the batch for long: its rows are not to be in memory for that.
  auto is_tried_again = [](const rows_set_apart& some) { return some.failure == nullptr; };
  if (std::none_of(b.apart.begin(), b.apart.end(), is_tried_again)) give_back_rows(b);
  b.failure = std::move(failure);
  b.groups.clear();
  b.done.set();
  make_room_known();
}

void coalescer::make_room_known() noexcept {
  room_.set();
  room_.clear();
  if (lane_of_ != nullptr) lane_of_->make_room_known();
}

void coalescer::refuse_when_full() const {
  if (full())
    throw error(ingest_errc::overloaded, "the queue is full: " + std::to_string(all_rows()) + " items and " +
                                             std::to_string(all_bytes()) + " bytes wait for the database");
}

void coalescer::recycle(batch& b) noexcept {
  give_back_rows(b);
  b.report.clear();
  b.report.wants_ids = false;
  b.shares.clear();
  b.apart.clear();
  b.failure = nullptr;
  b.done.clear();
  b.counted_bytes = 0;
  b.answer_bytes = 0;
  b.submissions = 0;
  b.unfinished = 0;
  if (free_.size() < most_free_batches) {
    free_.push_back(&b);
    return;
  }
  auto held = std::find_if(batches_.begin(), batches_.end(), [&](const auto& one) { return one.get() == &b; });
  std::unique_ptr<batch> dropped = std::move(*held);  // outlives its place: what it holds may recycle others
  batches_.erase(held);
}

db::row_batch coalescer::spare_rows() {
  if (spare_.empty()) return db::row_batch(columns_);
  db::row_batch rows = std::move(spare_.back());
  spare_.pop_back();
  return rows;
}

void coalescer::give_back_rows(batch& b) noexcept { keep_spare(std::exchange(b.rows, db::row_batch(columns_))); }

void coalescer::keep_spare(db::row_batch rows) noexcept {
  if (spare_.size() == spare_.capacity()) return;
  rows.clear();
  spare_.push_back(std::move(rows));
}

batch_ref::~batch_ref() {
  if (batch_ != nullptr && --batch_->owners == 0) batch_->home.recycle(*batch_);
}

}  // namespace penstock::ingest

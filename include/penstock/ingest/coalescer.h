#pragma once

// Shares the cost of a commit among all who wait for it. Rows of many submissions gather in one batch while the
// previous one commits; each submission learns what became of its rows after the commit.
//
//   coalescer c(columns, commit);            // commit: how a batch reaches the database
//   group.start(c.run());
//   submission s(c);
//   s.rows().add_text("…"); s.rows().commit_row(); s.row_added();
//   co_await s.committed();
//   s.collect([](const db::row_outcome& o, …) { … });

#include "penstock/async/event.h"
#include "penstock/async/scheduler.h"
#include "penstock/async/semaphore.h"
#include "penstock/async/task.h"
#include "penstock/async/task_group.h"
#include "penstock/db/connection.h"
#include "penstock/ingest/batch.h"
#include "penstock/observe/detail/owned_count.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace penstock::ingest {

class batch_pace;

/// Bounds of a coalescer.
struct coalescer_options {
  std::size_t max_rows = 10'000;                 ///< Of a batch, at most; see target_commit_time.
  std::size_t max_bytes = std::size_t{4} << 20;  ///< Of a batch, as `db::row_batch::bytes` counts.
  /// How long a commit should take. Batches hold more rows than fit into that only where a commit costs so much in
  /// itself that they are worth it. Shorter for latency under load, longer for throughput.
  duration target_commit_time = std::chrono::milliseconds(50);
  duration linger = std::chrono::milliseconds(1);    ///< At most, for as many submissions as the last batch.
  std::size_t queue_rows = 100'000;                  ///< Rows waiting or being committed; beyond: overloaded.
  std::size_t queue_bytes = std::size_t{256} << 20;  ///< Bytes waiting or being committed; beyond: overloaded.
  /// Batches committed at a time. 0: as the database takes them, 1 for SQLite and 3 for a server; a coalescer of one's
  /// own takes it for 1.
  std::size_t commits_in_flight = 0;
  /// How long a commit that fails for a passing reason (a lock, a lost connection) is tried again, by those who commit
  /// for a coalescer. Longer, and clients wait longer before they are told.
  duration commit_retry = std::chrono::seconds(10);
  /// How long one try may take before its connection is given up and the outcome looked up over another one, by those
  /// who commit for a coalescer. Longer than a database may take for a batch, waiting for locks included.
  duration attempt_timeout = std::chrono::seconds(30);
  /// How long a batch waits for a lock that another session of the server holds, by those who commit for a coalescer.
  /// Then it is stored without the submissions that need the lock; these are tried again by themselves until both times
  /// above are over. Longer, and an item whose row is locked delays its neighbours for longer.
  duration lock_timeout = std::chrono::seconds(1);
};

/// What a coalescer did so far.
struct coalescer_stats {
  std::uint64_t batches = 0;         ///< Committed, or failed.
  std::uint64_t failed_batches = 0;  ///< Of which nothing was stored.
  std::uint64_t rows = 0;            ///< Of the committed batches.
  std::size_t queued_rows = 0;       ///< Waiting or being committed now.
  std::size_t queued_bytes = 0;
  std::size_t rows_apart = 0;  ///< Of the queued rows, those that were set apart.
};

/// What waits in a coalescer or is being committed.
struct coalescer_backlog {
  std::size_t rows = 0;
  std::size_t bytes = 0;
  std::size_t rows_apart = 0;  ///< Of the rows, those that were set apart.
};

/// Gathers rows into batches and commits them. On one thread; outlives its submissions.
///
/// Invariants: at most one batch is open, and only it grows; commits begin in the order in which batches were sealed,
/// and that of a batch when those with earlier rows of the same submissions have ended, so that what a submission holds
/// is stored in order, also where a commit sets some of it apart; where that takes longer than a second and other
/// submissions wait too, the batch goes without the rows that have to wait, and these are added again later; every row
/// of a submission gets exactly one outcome, after the commit that decided it.
/// Where submissions wait for room before each row, the rows that wait or are being committed never exceed the queue's
/// bound, and the bytes do by no more than one row.
class coalescer {
 public:
  /// Commits a batch's rows and writes an outcome a row into its report, save for those that it sets apart, or throws
  /// when nothing was stored. Called on the coalescer's thread; the batch outlives the task.
  using commit_function = std::function<task<void>(batch& b)>;

  coalescer(std::size_t columns, commit_function commit, const coalescer_options& options = {});
  coalescer(const coalescer&) = delete;
  coalescer& operator=(const coalescer&) = delete;
  ~coalescer();

  /// Commits batches until `stop`, then what is left, then ends. Start it once, in a group. When it is cancelled,
  /// the rows that wait fail with `ingest_errc::closed`.
  task<void> run();
  /// Takes no new submissions; rows that were added are committed at once, without lingering, and so are those that
  /// submissions under way add before that is done.
  void stop() noexcept;

  /// Where submissions send what was set apart after it was tried by itself: another coalescer, whose commits may wait
  /// for longer. Without one they send it here again. It outlives this one, which stops it; its rows count as waiting
  /// here.
  void set_lane(coalescer& for_waiting) noexcept;
  /// What is set apart is tried once more from now on, and given up: for whoever waits for what is under way before
  /// `stop`, which says this too.
  void stop_waiting_apart() noexcept;

  /// Ends the batches that wait to be committed and were opened before then, with that failure, and what the
  /// submissions of now add within a second, unless one is committed before: for whoever tried a batch in vain for
  /// long, and would so try each of them in turn.
  void fail_waiting_since(time_point before, const std::exception_ptr& why);

  bool stopped() const noexcept { return stopping_; }
  /// True when a new submission would be refused.
  bool full() const noexcept { return all_rows() >= options_.queue_rows || all_bytes() >= options_.queue_bytes; }
  const coalescer_options& options() const noexcept { return options_; }
  coalescer_stats stats() const noexcept;
  /// What waits or is being committed now, as `stats` has it; from any thread, such as one that renders metrics.
  coalescer_backlog backlog() const noexcept;

 private:
  friend class submission;
  friend class batch_ref;
  class gathering;

  std::size_t all_rows() const noexcept { return queued_rows_ + (lane_ == nullptr ? 0 : lane_->queued_rows_); }
  std::size_t all_bytes() const noexcept { return queued_bytes_ + (lane_ == nullptr ? 0 : lane_->queued_bytes_); }
  batch& open_batch();
  batch_ref new_batch();
  void forget_earlier() noexcept;
  bool has_work() const noexcept;
  void row_added(batch& b) noexcept;
  void take_in_row(const db::row_batch& rows, std::size_t& counted_bytes) noexcept;
  void filled(const batch& b) noexcept;
  void seal() noexcept;
  void close_open_batch() noexcept;
  bool full_enough(const batch& b) const noexcept;
  void look_for_company() noexcept;
  batch_ref earlier_than_next() const noexcept;
  task<void> wait_for_earlier();
  bool others_wait() const;
  batch_ref take_next();
  static void set_followers_apart(batch& b);
  void begin() noexcept;
  bool next_may_follow() const noexcept;
  task<void> commit_one(batch_ref b, semaphore::permit slot);
  void finish(batch& b, std::exception_ptr failure) noexcept;
  void fail_waiting() noexcept;
  void make_room_known() noexcept;
  void refuse_when_full() const;
  void recycle(batch& b) noexcept;
  db::row_batch spare_rows();
  void give_back_rows(batch& b) noexcept;
  void keep_spare(db::row_batch rows) noexcept;

  std::size_t columns_;
  commit_function commit_;
  coalescer_options options_;
  bool stopping_ = false;
  bool ended_ = false;
  bool tries_once_more_ = false;  // what was set apart, at most
  coalescer* lane_ = nullptr;
  coalescer* lane_of_ = nullptr;
  std::uint64_t last_submission_ = 0;
  metrics::detail::owned_count held_apart_;  // rows that submissions hold until they are tried again
  metrics::detail::owned_count queued_rows_;
  metrics::detail::owned_count queued_bytes_;
  std::size_t committing_ = 0;
  std::size_t last_submissions_ = 1;
  coalescer_stats stats_;
  std::vector<std::unique_ptr<batch>> batches_;
  std::vector<batch*> free_;
  std::vector<db::row_batch> spare_;
  batch_ref open_;
  std::deque<batch_ref> sealed_;
  batch_ref in_vain_;  // what submissions up to this number add until then goes there, and has failed
  std::uint64_t last_in_vain_ = 0;
  time_point in_vain_until_{};
  std::unique_ptr<batch_pace> pace_;
  time_point last_start_{};
  gathering* gathering_ = nullptr;
  event has_rows_;
  event room_;
  semaphore slots_;
};

/// The rows of one request. Belongs to one task at a time; destroying it before the commit only means that nobody
/// learns the outcome: rows that were added are committed, save for those that are set apart then.
class submission {
 public:
  /// Tag of a submission whose rows go into one batch.
  struct in_one_batch {};

  /// While one lives, the submission has more rows at hand and adds them as fast as the loop lets it: an idle coalescer
  /// waits for them as it does for company, within the linger. Where the submission itself waits for room, it counts
  /// for nothing. One at a time; the submission outlives it.
  class more_at_hand {
   public:
    explicit more_at_hand(submission& of) noexcept : of_(of) { of_.set_at_hand(true); }
    more_at_hand(const more_at_hand&) = delete;
    more_at_hand& operator=(const more_at_hand&) = delete;
    ~more_at_hand() { of_.set_at_hand(false); }

   private:
    submission& of_;
  };

  /// Throws `ingest_errc::overloaded` when the queue is full, `closed` after `stop`. `wants_ids`: whether the outcomes
  /// are to have the ids of stored rows; a batch in which nobody wants them may be stored faster.
  explicit submission(coalescer& home, bool wants_ids = true);
  /// One that holds its rows until `join` puts them into one batch together. Adding a row beyond what a batch holds
  /// throws `ingest_errc::keyed_request_too_large`, or `overloaded` when the queue is full meanwhile: rows that are
  /// held count as waiting ones.
  submission(coalescer& home, in_one_batch together, bool wants_ids = true);
  submission(const submission&) = delete;
  submission& operator=(const submission&) = delete;
  ~submission() { let_go(); }

  /// The batch to write the next row into; ask again for each row, or each cell, and after every wait. Throws
  /// `ingest_errc::closed` when the coalescer has ended meanwhile: end the submissions first, then stop it; and
  /// `overloaded` where rows are held and the queue is full.
  db::row_batch& rows();
  /// Says that a row was added, with `commit_row`, to what `rows` gave last.
  void row_added();
  /// True while what it adds would wait for a database that was tried in vain: then `add_failed` in place of a row.
  bool is_in_vain() const noexcept {
    return home_.in_vain_ && !held_ && begun_as_ <= home_.last_in_vain_ &&
           scheduler::current().now() < home_.in_vain_until_;
  }
  /// Adds a row that has failed already.
  void add_failed();
  /// Puts the rows that were held into a batch, as a group. Once; `with` must not be null. `answer_bytes`: about how
  /// long the answer is that will be stored with them; a batch holds no more of rows and answers than `max_bytes`, but
  /// one group. Throws `closed` as `rows`.
  void join(std::shared_ptr<keyed_request> with, std::size_t answer_bytes = 0);
  /// True when the queue is full, or this submission fills two batches already: then `wait_for_room` before the next
  /// row, and ask again. Never where rows are held.
  bool should_wait() const noexcept;
  /// Waits until some of its rows are committed, or the queue has room.
  task<void> wait_for_room();
  /// Waits until all its rows are committed or refused. Cancellable; the rows are committed all the same, save for
  /// those that were set apart.
  task<void> committed();
  /// Gives, in order, the rows that were decided since the last call, up to the first that is not: `visit(outcome,
  /// refusal, failure)` with the outcome, why it was refused or null, and why its batch failed or null (the outcome
  /// says nothing then).
  template <class Visit>
  void collect(Visit visit) {
    std::size_t taken = 0;
    for (; taken < segments_.size() && is_decided(segments_[taken]); ++taken) {
      const segment& s = segments_[taken];
      for (std::size_t r = s.first; r < s.first + s.count; ++r) visit_row(*s.in, r, visit);
      outstanding_ -= s.count;
    }
    segments_.erase(segments_.begin(), segments_.begin() + static_cast<std::ptrdiff_t>(taken));
    count_entered();
  }
  /// Rows whose outcome was not collected yet.
  std::size_t outstanding() const noexcept { return outstanding_; }

 private:
  // Rows that follow one another in a batch. Others' rows may lie between those of one submission.
  struct segment {
    batch_ref in;
    std::size_t first;
    std::size_t count;
  };

  template <class Visit>
  static void visit_row(const batch& b, std::size_t row, Visit& visit) {
    static const db::row_outcome none{};
    if (b.failure) {
      visit(none, nullptr, &b.failure);
      return;
    }
    if (const rows_set_apart* apart = find_apart(b, row, row + 1)) {
      visit(none, nullptr, &apart->failure);
      return;
    }
    const db::row_outcome& outcome = b.report.rows[row];
    bool refused = outcome.refusal >= 0;
    visit(outcome, refused ? &b.report.refusals[static_cast<std::size_t>(outcome.refusal)] : nullptr, nullptr);
  }

  static bool waits(const segment& s) noexcept {
    const rows_set_apart* apart = find_apart(*s.in, s.first, s.first + s.count);
    return apart != nullptr && apart->failure == nullptr;
  }
  static bool is_decided(const segment& s) noexcept { return s.in->done.is_set() && !waits(s); }
  void count_entered() noexcept;
  void set_at_hand(bool more) noexcept;
  void enter(batch& b) noexcept;
  const segment* last_undecided() const noexcept;
  void follow(batch& b);
  void add_last_row(coalescer& to);
  void join_batch(coalescer& to);
  void hold_row();
  task<void> settle();
  task<void> all_done();
  bool take_back();
  bool put_again(bool last_try);
  void add_behind();
  void give_up();
  void let_go() noexcept;
  void give_back_held() noexcept;

  coalescer& home_;
  bool wants_ids_;
  bool at_hand_ = false;
  std::optional<db::row_batch> held_;
  std::vector<segment> segments_;
  std::size_t entered_ = 0;  // batches that the segments are in
  std::size_t outstanding_ = 0;
  std::size_t held_bytes_ = 0;  // that the coalescer counts
  std::shared_ptr<keyed_request> with_;
  std::size_t answer_bytes_ = 0;
  std::uint64_t number_ = 0;
  std::uint64_t begun_as_ = 0;  // its first number
  // Of the rows that are held since they were set apart.
  bool holds_apart_ = false;
  std::optional<time_point> give_up_at_;  // of all that is ever set apart
  std::vector<segment> behind_;
  bool in_lane_ = false;
};

}  // namespace penstock::ingest

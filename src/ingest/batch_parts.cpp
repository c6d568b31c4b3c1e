#include "batch_parts.h"

#include "penstock/core/outcome.h"
#include "penstock/db/error.h"
#include "penstock/ingest/error.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace penstock::ingest {
namespace {

// A part that goes well costs a commit, and one that waits a wait: 1,000 submissions are narrowed down to one by 5
// waits and 15 commits.
constexpr std::size_t parts_of_one = 4;
// The batches behind this one wait for its slot meanwhile. Where it is the last chance of some, which has all of the
// time, what is not tried then is given up too.
constexpr int share_of_a_division = 5;
// So many rows that fail, while none goes in, are taken for all: those of a submission for the rest of it, and those of
// so many submissions for all others.
constexpr std::size_t most_blamed_in_vain = 16;
constexpr std::size_t submissions_to_blame = 4;
// Before the rest of a submission is given up, so many of its rows are tried that lie further back.
constexpr std::size_t rows_further_back = 4;

// What is committed together or not at all, as long as nothing of it is given up: the rows of a submission, or a row of
// one that is on its last try.
struct unit {
  std::vector<batch_share> shares;
  bool last_try = false;
};

// Units from `first` to before `end`.
struct part {
  std::size_t first;
  std::size_t end;
  bool is_patient = false;  // it waits for a lock, or takes long, and all others were tried before
};

std::vector<unit> units_of(const batch& b) {
  std::vector<unit> units;
  std::map<std::uint64_t, std::size_t> places;
  for (const batch_share& s : b.shares) {
    if (find_apart(b, s.first, s.first + s.count) != nullptr) continue;
    auto [place, is_new] = places.try_emplace(s.of, units.size());
    if (is_new) units.emplace_back();
    unit& of = units[place->second];
    of.shares.push_back(s);
    of.last_try = s.last_try;
  }
  return units;
}

bool is_in_group(const batch& b, std::size_t row) {
  return std::any_of(b.groups.begin(), b.groups.end(),
                     [&](const batch_group& g) { return row >= g.first && row < g.first + g.count; });
}

class division {
 public:
  division(batch& whole, duration longest, const coalescer::commit_function& commit,
           const coalescer::commit_function& commit_row)
      : whole_(whole),
        longest_(longest),
        commit_(commit),
        commit_row_(commit_row),
        units_(units_of(whole)),
        piece_(whole.home, whole.rows.columns()) {
    whole_.report.clear();
    whole_.report.rows.resize(whole_.rows.rows());
  }

  task<void> run(bool at_once) {
    const scheduler& clock = scheduler::current();
    // Each in its turn the first: what waits may be more than there is time for, again and again.
    if (!units_.empty()) {
      auto first = static_cast<std::ptrdiff_t>(scheduler::current().random() % units_.size());
      std::rotate(units_.begin(), units_.begin() + first, units_.end());
    }
    bool is_last = std::any_of(units_.begin(), units_.end(), [](const unit& u) { return u.last_try; });
    last_end_ = clock.now() + longest_;
    end_ = is_last ? last_end_ : clock.now() + longest_ / share_of_a_division;
    if (at_once && !units_.empty())
      due_.push_back({0, units_.size()});
    else
      divide({0, units_.size()});
    while (!due_.empty() || take_those_that_wait()) {
      part now = due_.back();
      due_.pop_back();
      const time_point begun = clock.now();
      if (begun >= (now.is_patient ? end_ : end_ + patience_)) {
        leave(now);
        continue;
      }
      take(now);
      std::exception_ptr failure;
      try {
        task<void> committing = now.is_patient ? commit_row_(piece_) : commit_(piece_);
        co_await std::move(committing);
      } catch (...) {
        failure = std::current_exception();
      }
      if (now.is_patient) patience_ += clock.now() - begun;
      bool is_of_row = may_be_of_one_row(failure);
      bool is_slow = takes_too_long(failure);
      any_failed_ = any_failed_ || is_of_row;
      if (is_slow) end_ = last_end_;
      if (!failure)
        add_outcomes();
      else if (!is_of_row && !waits_for_lock(failure))
        set_apart(now, failure);
      else if (now.end - now.first > 1)
        divide(now);
      else if (is_slow && !now.is_patient && is_undivided(units_[now.first]))
        let_wait(now.first);
      else if (is_of_row)
        blame(now.first, failure);
      else
        end_unit(now, failure);
    }
    if (blamed_rows_ == whole_.rows.rows() && !any_untried_) std::rethrow_exception(whole_.apart.front().failure);
    std::sort(whole_.apart.begin(), whole_.apart.end(),
              [](const rows_set_apart& a, const rows_set_apart& b) { return a.first < b.first; });
  }

 private:
  void divide(part of) {
    std::size_t count = of.end - of.first;
    std::size_t end = of.end;
    for (std::size_t i = parts_of_one; i-- > 0;) {
      std::size_t first = of.first + count * i / parts_of_one;
      if (first < end) due_.push_back({first, end});
      end = first;
    }
  }

  // The rows go in the order that they have in the whole, as far as those of one submission are concerned.
  void take(part of) {
    piece_.rows.clear();
    piece_.groups.clear();
    piece_.report.wants_ids = whole_.report.wants_ids;
    shares_.clear();
    for (std::size_t u = of.first; u < of.end; ++u)
      shares_.insert(shares_.end(), units_[u].shares.begin(), units_[u].shares.end());
    std::sort(shares_.begin(), shares_.end(),
              [](const batch_share& a, const batch_share& b) { return a.first < b.first; });
    auto group = whole_.groups.begin();
    for (const batch_share& s : shares_) {
      while (group != whole_.groups.end() && group->first < s.first) ++group;
      bool is_group = group != whole_.groups.end() && group->first == s.first;
      if (is_group) piece_.groups.push_back({piece_.rows.rows(), group->count, group->with});
      piece_.rows.append(whole_.rows, s.first, s.count);
    }
  }

  void add_outcomes() {
    any_stored_ = true;
    db::batch_report& to = whole_.report;
    auto refusals_before = static_cast<std::int32_t>(to.refusals.size());
    std::size_t next = 0;
    for (const batch_share& s : shares_)
      for (std::size_t row = s.first; row < s.first + s.count; ++row) {
        to.rows[row] = piece_.report.rows[next++];
        if (to.rows[row].refusal >= 0) to.rows[row].refusal += refusals_before;
      }
    to.refusals.insert(to.refusals.end(), piece_.report.refusals.begin(), piece_.report.refusals.end());
    to.method = piece_.report.method;
  }

  void set_apart(part of, const std::exception_ptr& why, bool tried = true) {
    for (std::size_t u = of.first; u < of.end; ++u)
      for (const batch_share& s : units_[u].shares) whole_.apart.push_back({s.first, s.count, why, tried});
  }

  // A unit waits for a lock by itself.
  void end_unit(part one, const std::exception_ptr& why) {
    const unit of = units_[one.first];
    if (one.first >= rows_from_ && !one.is_patient) return let_wait(one.first);
    if (!of.last_try || is_undivided(of)) return set_apart(one, of.last_try ? why : nullptr);
    divide_into_rows(of);
  }

  // With the later rows of its submission, which are to be stored behind it, and which are next where it is a row.
  void let_wait(std::size_t which) {
    waiting_.push_back({which, which + 1, true});
    std::uint64_t submission = units_[which].shares.front().of;
    for (; !due_.empty() && is_only_of(due_.back(), submission); due_.pop_back()) waiting_.push_back(due_.back());
  }

  // A unit fails by itself.
  void blame(std::size_t which, const std::exception_ptr& failure) {
    const unit of = units_[which];
    if (!is_undivided(of)) {
      rows_from_ = std::min(rows_from_, units_.size());
      end_ = last_end_;
      return divide_into_rows(of);
    }
    give_up({which, which + 1}, failure);
    if (any_stored_) return;
    std::uint64_t submission = of.shares.front().of;
    std::size_t blamed = ++blamed_[submission];
    if (blamed == most_blamed_in_vain) look_further_back(submission);
    bool rest_of_it = blamed >= most_blamed_in_vain + rows_further_back;
    bool all = ++blamed_units_ >= most_blamed_in_vain && blamed_.size() >= submissions_to_blame;
    for (; !due_.empty() && (all || (rest_of_it && is_only_of(due_.back(), submission))); due_.pop_back()) {
      any_untried_ = true;
      give_up(due_.back(), not_tried(failure));
    }
  }

  // Once all others have been tried, what can't be divided and waits for a lock, or takes long, has the time that is
  // left. What waits behind it has as much as if it had not waited.
  bool take_those_that_wait() {
    due_.assign(waiting_.rbegin(), waiting_.rend());
    waiting_.clear();
    return !due_.empty();
  }

  void look_further_back(std::uint64_t submission) {
    std::vector<part> others, samples;
    for (part p : due_) {
      bool is_sampled = samples.size() < rows_further_back && p.end - p.first > 2 && is_only_of(p, submission);
      if (!is_sampled) {
        others.push_back(p);
        continue;
      }
      std::size_t middle = p.first + (p.end - p.first) / 2;
      others.insert(others.end(), {{middle + 1, p.end}, {p.first, middle}});
      samples.push_back({middle, middle + 1});
    }
    due_ = std::move(others);
    due_.insert(due_.end(), samples.begin(), samples.end());
  }

  bool is_only_of(part p, std::uint64_t submission) const {
    return std::all_of(units_.begin() + static_cast<std::ptrdiff_t>(p.first),
                       units_.begin() + static_cast<std::ptrdiff_t>(p.end),
                       [&](const unit& u) { return u.shares.front().of == submission; });
  }

  void give_up(part of, const std::exception_ptr& failure) {
    set_apart(of, failure);
    for (std::size_t u = of.first; u < of.end; ++u)
      for (const batch_share& s : units_[u].shares) blamed_rows_ += s.count;
  }

  // A row, or a group, which goes in whole or not at all.
  bool is_undivided(const unit& u) const {
    bool is_one_row = u.shares.size() == 1 && u.shares.front().count == 1;
    return is_one_row || is_in_group(whole_, u.shares.front().first);
  }

  // Each of which is on its last try: others of their submission may be stored by then.
  void divide_into_rows(const unit& of) {
    std::size_t begin = units_.size();
    for (const batch_share& s : of.shares)
      for (std::size_t row = s.first; row < s.first + s.count; ++row) units_.push_back({{{row, 1, s.of, true}}, true});
    divide({begin, units_.size()});
  }

  // There was no time to try these.
  void leave(part of) {
    for (std::size_t u = of.first; u < of.end; ++u)
      set_apart({u, u + 1}, units_[u].last_try ? out_of_time() : nullptr, false);
  }

  // By another code than those that were tried: such a row may go in when it comes again.
  static std::exception_ptr not_tried(const std::exception_ptr& failure_of_others) {
    const auto* told = detail::exception_as<error>(failure_of_others);
    return std::make_exception_ptr(
        error(ingest_errc::commit_failed,
              "others of its batch failed and none went in, so it was not tried: " + (told ? told->message() : ""),
              failure_of_others));
  }

  std::exception_ptr out_of_time() const {
    if (any_failed_)
      return std::make_exception_ptr(
          error(ingest_errc::commit_failed, "others of its batch failed, or took long, and left no time to try it"));
    return std::make_exception_ptr(db::database_error(
        db::db_errc::lock_timeout,
        "others of its batch waited for another session of the database, and left no time to try it"));
  }

  batch& whole_;
  duration longest_;
  const coalescer::commit_function& commit_;
  const coalescer::commit_function& commit_row_;
  std::vector<unit> units_;
  std::size_t rows_from_ = static_cast<std::size_t>(-1);  // of units, the first that is a row of a divided one
  std::vector<part> due_;                                 // the next one is the last
  std::vector<part> waiting_;  // units that wait for a lock, or take long, and what is to be stored behind them
  duration patience_{};        // that it took to try such units again
  time_point end_{};
  time_point last_end_{};
  batch piece_;
  std::vector<batch_share> shares_;  // of the piece
  bool any_stored_ = false;
  bool any_failed_ = false;                      // for what may be one row
  bool any_untried_ = false;                     // of those that were given up
  std::map<std::uint64_t, std::size_t> blamed_;  // units of each submission
  std::size_t blamed_units_ = 0;
  std::size_t blamed_rows_ = 0;
};

}  // namespace

bool waits_for_lock(const std::exception_ptr& failure) noexcept {
  const auto* refused = detail::exception_as<db::database_error>(failure);
  return refused != nullptr && refused->errc() == db::db_errc::lock_timeout;
}

bool takes_too_long(const std::exception_ptr& failure) noexcept {
  const auto* refused = detail::exception_as<db::database_error>(failure);
  return refused != nullptr && refused->errc() == db::db_errc::interrupted;
}

bool may_be_of_one_row(const std::exception_ptr& failure) noexcept {
  const auto* refused = detail::exception_as<db::database_error>(failure);
  if (refused == nullptr) return false;
  db::db_errc errc = refused->errc();
  return errc == db::db_errc::syntax || errc == db::db_errc::other || takes_too_long(failure);
}

task<void> commit_in_parts(batch& whole, bool at_once, duration longest, const coalescer::commit_function& commit,
                           const coalescer::commit_function& commit_row) {
  division parts(whole, longest, commit, commit_row);
  task<void> running = parts.run(at_once);
  co_await std::move(running);
}

}  // namespace penstock::ingest

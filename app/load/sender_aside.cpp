// What of a load waits for others to go in, since the database fails its request for what may be in an item: parts of
// such requests, and items that have failed alone.

#include "app/load/sender.h"

#include <algorithm>
#include <utility>

namespace penstock::app::load {
namespace {

// So many single items in a row that failed, or whole batches, are taken to have failed for the table: the next ones
// are sent again as in an outage. After half as many items others go first, which tell.
constexpr std::size_t most_upsetting_in_a_row = 32;
// What fails an item may pass, and come again: it is tried again, twice as much later each time.
constexpr std::size_t fewest_tries_between_others = 3;
constexpr auto between_tries = std::chrono::milliseconds(500);
constexpr auto longest_between_tries = std::chrono::seconds(4);
constexpr auto goes_on_failing = std::chrono::seconds(3);

}  // namespace

// Not where there are so many that it is the table's.
bool sender::may_be_items_fault(const batch& b, piece what) noexcept {
  if (what == piece::known_to_upset) return true;
  if (b.items.size() == 1) return ++upsetting_items_in_a_row_ <= most_upsetting_in_a_row;
  return what == piece::of_upsetting || ++upsetting_batches_in_a_row_ <= most_upsetting_in_a_row;
}

// Others may tell first whether the table is at fault.
bool sender::should_postpone() const noexcept {
  return upsetting_items_in_a_row_ >= most_upsetting_in_a_row / 2 && sending_ > 0;
}

void sender::set_part_aside(const batch& b) { parts_aside_.push_back({b, {}, {}, with_rows_stored_}); }

void sender::set_item_aside(const batch& b) {
  time_point now = scheduler::current().now();
  items_aside_.push_back({b, now, now, with_rows_stored_, 1});
}

task<void> sender::try_ripe() {
  while (upsetting_items_in_a_row_ < most_upsetting_in_a_row / 2 && !stopping_.is_set()) {
    std::optional<aside> ripe = take_ripe();
    if (!ripe) co_return;
    task<void> trying = try_again(*std::move(ripe));
    co_await std::move(trying);
  }
}

// The source may say nothing for long, as a pipe.
task<void> sender::try_while_idle() {
  for (;;) {
    task<bool> waiting = happens_within(input_ended_, between_tries);
    bool has_ended = co_await std::move(waiting);
    if (has_ended) co_return;
    if (sending_ > 0 || stopping_.is_set() || (parts_aside_.empty() && items_aside_.empty())) continue;
    task<void> trying = try_next_or_wait();
    co_await std::move(trying);
  }
}

task<void> sender::try_next_or_wait() {
  std::optional<aside> next = take_ripe();
  if (!next && sending_ == 0) next = take_due();
  if (next) {
    task<void> trying = try_again(*std::move(next));
    co_return co_await std::move(trying);
  }
  task<bool> waiting = happens_within(stopping_, between_tries);
  co_await std::move(waiting);
}

// What is being tried is in neither list.
class sender::holding {
 public:
  holding(sender& s, bool is_part) noexcept : sender_(s), is_part_(is_part) {
    ++s.in_hand_;
    if (is_part) ++s.parts_in_hand_;
  }
  holding(const holding&) = delete;
  holding& operator=(const holding&) = delete;
  ~holding() {
    --sender_.in_hand_;
    if (is_part_) --sender_.parts_in_hand_;
  }

 private:
  sender& sender_;
  bool is_part_;
};

task<void> sender::try_again(aside what) {
  const holding here(*this, what.tries == 0);
  if (what.tries == 0) {
    task<void> going_on = deliver(what.items, piece::of_upsetting);
    co_return co_await std::move(going_on);
  }
  bool others_went_in = with_rows_stored_ > what.stored_before;
  task<request_end> sending = deliver_whole(what.items, piece::known_to_upset);
  request_end end = co_await std::move(sending);
  if (!end.upsetting) co_return;
  what.last_failure = scheduler::current().now();
  what.stored_before = with_rows_stored_;
  ++what.tries;
  if (others_went_in) ++what.tries_between;
  if (is_to_blame(what)) {
    reject_only_item(what.items, end.code, end.why);
  } else if (is_given_up(what)) {
    result_.not_sent(what.items, end.why);
    stop(end.why);
  } else {
    items_aside_.push_back(std::move(what));
  }
}

bool sender::nothing_else_is_left() const noexcept {
  return input_ended_.is_set() && sending_ == 0 && parts_aside_.empty() && parts_in_hand_ == 0 &&
         upsetting_items_in_a_row_ <= most_upsetting_in_a_row;
}

bool sender::is_to_blame(const aside& item) const {
  if (item.last_failure - item.first_failure < goes_on_failing) return false;
  return item.tries_between >= fewest_tries_between_others || (nothing_else_is_left() && with_rows_stored_ > 0);
}

// The table is at fault, for all that is known. Where rows were stored before, what is to come tells more.
bool sender::is_given_up(const aside& item) const {
  if (sending_ > 0 || with_rows_stored_ > 0) return false;
  const retry_options& most = options_.retry;
  return item.last_failure - item.first_failure >= most.retry_for ||
         (most.max_retries && item.tries > *most.max_retries);
}

bool sender::is_due(const aside& what) {
  if (what.tries == 0) return true;
  constexpr std::size_t most_doublings = 8;
  duration wait = between_tries * (1 << std::min(what.tries - 1, most_doublings));
  return scheduler::current().now() - what.last_failure >= std::min<duration>(wait, longest_between_tries);
}

std::optional<sender::aside> sender::take_ripe() {
  for (std::deque<aside>* from : {&parts_aside_, &items_aside_})
    if (!from->empty() && with_rows_stored_ > from->front().stored_before && is_due(from->front()))
      return take_first(*from);
  return std::nullopt;
}

std::optional<sender::aside> sender::take_due() {
  std::deque<aside>& from = parts_aside_.empty() ? items_aside_ : parts_aside_;
  if (from.empty() || !is_due(from.front())) return std::nullopt;
  return take_first(from);
}

sender::aside sender::take_first(std::deque<aside>& from) {
  aside first = std::move(from.front());
  from.pop_front();
  return first;
}

}  // namespace penstock::app::load

// What of a load waits to be sent, since the database fails its request for what may be in an item. Every such state
// leads out of itself once the table is well: what is in doubt ends with the first row that goes in, and as long as it
// lasts something is tried that may go in, or sending ends.

#include "app/load/sender.h"

#include <algorithm>
#include <utility>

namespace penstock::app::load {
namespace {

// More single items in a row that fail put the table in doubt.
constexpr std::size_t most_failing_items = 32;
// What fails an item may pass, and come again: it is tried again, twice as much later each time.
constexpr std::size_t fewest_tries_between_others = 2;
constexpr auto between_tries = std::chrono::milliseconds(500);
constexpr auto longest_between_tries = std::chrono::seconds(4);
constexpr auto goes_on_failing = std::chrono::seconds(3);
// Before more is read it is tried, but for a doubt that nothing of it may end: that takes so many batches more at most.
constexpr std::size_t much_aside_bytes = std::size_t{16} << 20;
constexpr std::size_t most_batches_in_doubt = 16;
constexpr std::size_t probes_before_waiting = 8;
constexpr int service_unavailable = 503;

std::size_t bytes_of(const batch& b) noexcept {
  return sizeof(b) + b.body.size() + b.items.size() * sizeof(batch::item);
}

}  // namespace

// What is being tried is in neither list.
class sender::counted {
 public:
  explicit counted(std::size_t& count) noexcept : count_(count) { ++count_; }
  counted(const counted&) = delete;
  counted& operator=(const counted&) = delete;
  ~counted() { --count_; }

 private:
  std::size_t& count_;
};

bool sender::is_in_doubt() const noexcept {
  return failing_items_ > most_failing_items || (well_ == 0 && failing_items_ > 0 && only_items_are_left());
}

void sender::note_well() noexcept {
  ++well_;
  failing_items_ = 0;
  probe_items_ = 1;
  failed_probes_ = 0;
  doubt_.reset();
  doubt_ended_.set();
  if (!stopping_.is_set()) doubt_ended_.clear();
}

void sender::set_part_aside(batch b) { put(parts_aside_, {.items = std::move(b)}); }

void sender::set_item_aside(const batch& b) {
  ++failing_items_;
  time_point now = scheduler::current().now();
  put(items_aside_, {b, now, now, now, well_, 1, 0});
}

task<void> sender::try_before_reading_on() {
  while (!stopping_.is_set()) {
    bool waits = is_in_doubt() ? has_aside() || in_hand_ > 0 : bytes_aside_ > much_aside_bytes && !waits_for_others();
    if (waits) {
      task<void> trying = try_next_or_wait();
      co_await std::move(trying);
      continue;
    }
    std::optional<aside> ripe;
    if (!is_in_doubt()) ripe = take_ripe();
    if (!ripe) co_return;
    task<void> trying = try_again(*ripe);
    co_await std::move(trying);
  }
}

// The source may say nothing for long, as a pipe.
task<void> sender::try_while_idle() {
  for (;;) {
    task<bool> waiting = happens_within(input_ended_, between_tries);
    bool has_ended = co_await std::move(waiting);
    if (has_ended) co_return;
    if (sending_ > 0 || stopping_.is_set() || !has_aside()) continue;
    task<void> trying = try_next_or_wait();
    co_await std::move(trying);
  }
}

task<void> sender::try_next_or_wait() {
  std::optional<aside> next;
  if (is_in_doubt()) {
    if (probing_ == 0) {
      task<void> probing = probe();
      co_return co_await std::move(probing);
    }
  } else {
    next = take_ripe();
    if (!next && sending_ == 0) next = take_due();
  }
  if (next) {
    task<void> trying = try_again(*next);
    co_return co_await std::move(trying);
  }
  task<bool> waiting = happens_within(doubt_ended_, between_tries);
  co_await std::move(waiting);
}

task<void> sender::try_again(aside& what) {
  const counted here(in_hand_);
  if (what.tries == 0) {
    const counted part(parts_in_hand_);
    task<void> going_on = deliver(what.items);
    co_return co_await std::move(going_on);
  }
  task<bool> trying = try_item(what);
  co_await std::move(trying);
}

// False when the database failed it again.
task<bool> sender::try_item(aside& item) {
  bool others_went_in = well_ > item.well_before;
  task<request_end> sending = deliver_whole(item.items);
  request_end end = co_await std::move(sending);
  if (end.carried_out) note_well();
  if (!end.upsetting) co_return true;
  item.last_failure = scheduler::current().now();
  item.well_before = well_;
  ++item.tries;
  if (others_went_in) {
    item.failing_since = item.last_failure;
    ++item.tries_between;
  }
  if (is_to_blame(item))
    reject_only_item(
        item.items, end.code,
        "the database fails it each time that it is sent alone, and stores others; the server's log says why");
  else
    put(items_aside_, std::move(item));
  co_return false;
}

task<void> sender::probe() {
  const counted here(in_hand_);
  const counted probing(probing_);
  if (likely_aside_.empty()) take_new_batch();
  bool went_well = false;
  if (std::deque<aside>& parts = likely_aside_.empty() ? parts_aside_ : likely_aside_; !parts.empty()) {
    const counted part(parts_in_hand_);
    aside from = take_first(parts);
    task<bool> trying = probe_with_some_of(from.items);
    went_well = co_await std::move(trying);
  } else if (!items_aside_.empty()) {
    aside item = take_first(items_aside_);
    task<bool> trying = try_item(item);
    went_well = co_await std::move(trying);
  } else {
    task<bool> waiting = happens_within(doubt_ended_, between_tries);
    co_await std::move(waiting);
    co_return;  // others have all that was aside in hand
  }
  if (went_well || !is_in_doubt() || stopping_.is_set() || ++failed_probes_ % probes_before_waiting != 0) co_return;
  scheduler& clock = scheduler::current();
  if (!doubt_) doubt_.emplace(options_.retry);
  decision next = doubt_->after({.status = service_unavailable}, clock.now(), clock.random());
  if (next.what != decision::step::retry) co_return stop(last_failure_);
  task<bool> waiting = happens_within(doubt_ended_, next.wait);
  co_await std::move(waiting);
}

// From anywhere in it, since those that fail are often side by side. What is carried out and stores nothing, as
// duplicates, may be long, and is not tried item by item.
task<bool> sender::probe_with_some_of(const batch& part) {
  std::size_t items = part.items.size();
  std::size_t count = std::min({probe_items_, most_items_, items});
  std::size_t first = scheduler::current().random() % (items - count + 1);
  std::size_t behind = first + count;
  if (first > 0) put(likely_aside_, {.items = part.part(0, first)});
  if (behind < items) put(likely_aside_, {.items = part.part(behind, items - behind)});
  batch some = part.part(first, count);
  probe_items_ = 2 * count;
  task<bool> sending = deliver_now(some);
  bool went_well = co_await std::move(sending);
  if (went_well) co_return true;
  probe_items_ = 1;
  while (!likely_aside_.empty()) put(parts_aside_, take_first(likely_aside_));
  co_return false;
}

// Where many in a row are bad, only others can tell.
void sender::take_new_batch() {
  const bool has_enough = failed_probes_ >= most_batches_in_doubt * probes_before_waiting && !parts_aside_.empty();
  if (has_enough || failed_probes_ % probes_before_waiting != 0) return;
  std::optional<std::unique_ptr<batch>> b = ready_.try_receive();
  if (!b) return;
  result_.begun(**b);
  if ((*b)->items.empty()) return result_.carried_out(**b, {});
  put(likely_aside_, {.items = **b});
  spare_.push_back(*std::move(b));
}

bool sender::waits_for_others() const noexcept {
  return parts_aside_.empty() && likely_aside_.empty() &&
         (items_aside_.empty() || items_aside_.front().well_before == well_);
}

bool sender::only_items_are_left() const noexcept {
  return input_ended_.is_set() && sending_ == 0 && parts_aside_.empty() && likely_aside_.empty() && parts_in_hand_ == 0;
}

bool sender::is_to_blame(const aside& item) const {
  if (item.tries_between >= fewest_tries_between_others)
    return item.last_failure - item.first_failure >= goes_on_failing;
  return only_items_are_left() && !is_in_doubt() && item.last_failure - item.failing_since >= goes_on_failing;
}

std::optional<sender::aside> sender::take_ripe() {
  if (!items_aside_.empty() && items_aside_.front().well_before < well_)
    if (std::optional<aside> item = take_due()) return item;
  if (!parts_aside_.empty()) return take_first(parts_aside_);
  // Another doubt may come of a part in hand.
  if (!likely_aside_.empty() && parts_in_hand_ == 0) return take_first(likely_aside_);
  return std::nullopt;
}

std::optional<sender::aside> sender::take_due() {
  if (items_aside_.empty()) return std::nullopt;
  const aside& first = items_aside_.front();
  constexpr std::size_t most_doublings = 8;
  duration wait = between_tries * (1 << std::min(first.tries - 1, most_doublings));
  bool is_due = scheduler::current().now() - first.last_failure >= std::min<duration>(wait, longest_between_tries);
  return is_due ? std::optional(take_first(items_aside_)) : std::nullopt;
}

void sender::put(std::deque<aside>& into, aside what) {
  bytes_aside_ += bytes_of(what.items);
  into.push_back(std::move(what));
}

sender::aside sender::take_first(std::deque<aside>& from) {
  aside first = std::move(from.front());
  from.pop_front();
  bytes_aside_ -= bytes_of(first.items);
  return first;
}

}  // namespace penstock::app::load

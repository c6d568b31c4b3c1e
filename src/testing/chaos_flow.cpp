#include "chaos_flow.h"

#include "penstock/async/error.h"
#include "penstock/async/gather.h"
#include "penstock/async/scheduler.h"
#include "penstock/async/yield.h"

#include <algorithm>
#include <array>
#include <utility>

// Invariant: bytes leave in the order in which they came, and none that came before a cut, an end or a lost answer is
// missing, save where a toxic says so.

namespace penstock::testing {
namespace {

constexpr std::size_t read_bytes = 16 * 1024;
constexpr std::uint64_t writes_per_second = 50;  // at least, where the bandwidth is bounded

struct waking_timer final : timer {
  explicit waking_timer(event& e) noexcept : timer(&fire_timer), wakes(e) {}
  static void fire_timer(timer& t) noexcept {
    event& e = static_cast<waking_timer&>(t).wakes;
    e.set();
    e.clear();
  }
  event& wakes;
};

}  // namespace

chaos_flow::chaos_flow(chaos_shared& shared, std::uint64_t& passed_on_by_all, std::string_view name, const toxics& what,
                       std::function<void(chaos_ending)> end)
    : shared_(shared),
      passed_on_by_all_(passed_on_by_all),
      random_(shared.options.seed, name),
      toxics_(what),
      end_(std::move(end)) {}

// A side that fails takes the other one with it, as it would without a proxy.
task<void> chaos_flow::pass(net::stream& from, net::stream& to, chaos_flow& answers) {
  bool failed = false;
  try {
    auto both = gather(read_all(from), write_all(to, answers));
    co_await std::move(both);
  } catch (const operation_cancelled&) {
    throw;
  } catch (const error&) {
    failed = true;
  }
  if (failed) end_(chaos_ending::reset);
}

task<void> chaos_flow::read_all(net::stream& from) {
  std::array<std::byte, read_bytes> buffer;
  while (!is_cut()) {
    task<void> moving = until_moving();
    co_await std::move(moving);
    task<std::size_t> reading = from.read_some(buffer);
    std::size_t n = co_await std::move(reading);
    task<void> still_moving = until_moving();
    co_await std::move(still_moving);
    if (n == 0) {
      queue({.what = piece::kind::end});
      co_return;
    }
    take(std::span(buffer).first(n));
  }
  queue_cut();
}

void chaos_flow::take(std::span<const std::byte> bytes) {
  if (is_cut()) return;
  if (loses_next_ || toxics_.drop) {
    read_ += bytes.size();
    shared_.counters.dropped_bytes += bytes.size();
    if (!std::exchange(loses_next_, false)) return;
    ++shared_.counters.cut_connections;
    ++shared_.counters.lost_answers;
    end_(chaos_ending::lost_answer);
    return;
  }
  std::vector<std::byte> taken(bytes.begin(), bytes.end());
  if (toxics_.cut_after_bytes && read_ + taken.size() > *toxics_.cut_after_bytes)
    taken.resize(static_cast<std::size_t>(*toxics_.cut_after_bytes - read_));
  read_ += taken.size();
  std::size_t asked = end_of_text(taken);
  corrupt(taken);
  if (asked > 0) queue_bytes(std::span(taken).first(asked), true);
  queue_bytes(std::span(taken).subspan(asked), false);
}

// Where the text ends whose answer is to be lost; 0 when it is not there, or not its turn.
std::size_t chaos_flow::end_of_text(std::span<const std::byte> bytes) {
  const std::string& text = toxics_.lose_answer_to;
  if (text.empty()) return 0;
  std::size_t old = tail_.size();
  tail_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::size_t end = 0;
  for (std::size_t at = tail_.find(text); at != std::string::npos; at = tail_.find(text, at + text.size()))
    if (++shared_.texts_seen % toxics_.lose_answer_every == 0 && end == 0) end = at + text.size() - old;
  std::size_t last = tail_.rfind(text);
  std::size_t kept_from = last == std::string::npos ? 0 : last + text.size();
  if (tail_.size() - kept_from >= text.size()) kept_from = tail_.size() - (text.size() - 1);
  tail_.erase(0, kept_from);
  return end;
}

void chaos_flow::corrupt(std::span<std::byte> bytes) {
  if (toxics_.corrupt <= 0) return;
  for (std::byte& b : bytes) {
    if (!random_.chance(toxics_.corrupt)) continue;
    b ^= static_cast<std::byte>(1 + random_.below(255));
    ++shared_.counters.corrupted_bytes;
  }
}

void chaos_flow::queue_bytes(std::span<const std::byte> bytes, bool asks_in_vain) {
  if (bytes.empty()) return;
  held_bytes_ += bytes.size();
  queue({.bytes = {bytes.begin(), bytes.end()}, .asks_in_vain = asks_in_vain});
}

void chaos_flow::queue(piece p) {
  p.came = scheduler::current().now();
  if (toxics_.jitter > duration::zero()) p.jitter = static_cast<double>(random_.below(1001)) / 1000;
  queue_.push_back(std::move(p));
  notify();
}

task<void> chaos_flow::write_all(net::stream& to, chaos_flow& answers) {
  for (;;) {
    while (queue_.empty()) co_await changed_.wait();
    const piece& first = queue_.front();
    task<void> due = until_due(first);
    co_await std::move(due);
    if (first.what == piece::kind::cut) {
      ++shared_.counters.cut_connections;
      end_(toxics_.cut_by_reset ? chaos_ending::reset : chaos_ending::closed);
      co_return;
    }
    if (first.what == piece::kind::end) {
      to.shutdown_send();
      co_return;
    }
    if (first.asks_in_vain) answers.lose_next();
    task<void> writing = write_piece(to, first);
    co_await std::move(writing);
    held_bytes_ -= first.bytes.size();
    queue_.pop_front();
    notify();
  }
}

task<void> chaos_flow::write_piece(net::stream& to, const piece& p) {
  for (std::span<const std::byte> rest = p.bytes; !rest.empty();) {
    task<void> due = until_due(p);
    co_await std::move(due);
    std::span<const std::byte> slice = rest.first(std::min(rest.size(), most_at_once()));
    rest = rest.subspan(slice.size());
    task<void> writing = to.write(slice);
    co_await std::move(writing);
    passed_on_ += slice.size();
    passed_on_by_all_ += slice.size();
    if (toxics_.bytes_per_second > 0)
      free_at_ = std::max(free_at_, scheduler::current().now()) +
                 std::chrono::nanoseconds(std::uint64_t{1'000'000'000} * slice.size() / toxics_.bytes_per_second);
    if (!rest.empty()) co_await yield();
  }
}

std::size_t chaos_flow::most_at_once() const noexcept {
  std::size_t most = toxics_.slice_bytes > 0 ? toxics_.slice_bytes : read_bytes;
  if (toxics_.bytes_per_second == 0) return most;
  return std::min<std::uint64_t>(most, std::max<std::uint64_t>(1, toxics_.bytes_per_second / writes_per_second));
}

// Until the reader may go on: nothing is stopped, and there is room.
task<void> chaos_flow::until_moving() {
  while (toxics_.stop || held_bytes_ >= shared_.options.held_bytes) co_await changed_.wait();
}

// Until a piece may leave. The toxics that count are those of the moment, so that a proxy that is cleared lets go at
// once of what it held.
task<void> chaos_flow::until_due(const piece& p) {
  for (;;) {
    auto late = std::chrono::duration_cast<duration>(toxics_.jitter * p.jitter);
    time_point due = p.came + toxics_.latency + late;
    if (toxics_.bytes_per_second > 0) due = std::max(due, free_at_);
    bool waits_for_time = scheduler::current().now() < due;
    if (!toxics_.stop && !waits_for_time) co_return;
    task<void> waiting = wait_for_change(toxics_.stop ? std::nullopt : std::optional(due));
    co_await std::move(waiting);
  }
}

task<void> chaos_flow::wait_for_change(std::optional<time_point> at_latest) {
  waking_timer alarm(changed_);
  if (at_latest) scheduler::current().add_timer(alarm, *at_latest);
  co_await changed_.wait();
}

void chaos_flow::set(const toxics& what) {
  if (what.lose_answer_to != toxics_.lose_answer_to) tail_.clear();
  toxics_ = what;
  if (is_cut()) queue_cut();  // the reader may wait for bytes that never come
  notify();
}

void chaos_flow::queue_cut() {
  if (!std::exchange(cut_queued_, true)) queue({.what = piece::kind::cut});
}

void chaos_flow::notify() noexcept {
  changed_.set();
  changed_.clear();
}

}  // namespace penstock::testing

#include "pool_state.h"

#include <algorithm>
#include <utility>

// Free sessions are lent last in, first out, so that those not needed grow old and can be closed. After a failed
// connect only one is tried at a time, after a pause that grows: a database that is down or full is not stormed.

namespace penstock::db {
namespace {

// Up to half is taken off at random.
duration jittered_pause(const pool_options& options, unsigned failures, std::uint64_t random) {
  duration pause = options.reconnect_min;
  for (unsigned i = 1; i < failures && pause < options.reconnect_max; ++i) pause *= 2;
  pause = std::min(pause, options.reconnect_max);
  auto half = static_cast<std::uint64_t>(pause.count() / 2);
  return pause - duration(static_cast<duration::rep>(random % (half + 1)));
}

bool due(time_point since, duration after, time_point now) { return after > duration::zero() && now - since >= after; }

time_point earlier_due(time_point until, time_point since, duration after) {
  return after > duration::zero() ? std::min(until, since + after) : until;
}

}  // namespace

pool_state::pool_state(const pool_options& options)
    : options_(options), slots_(options.max_size), empty_(options.max_size) {
  idle_.reserve(options.max_size);
  retired_.reserve(options.max_size);
}

std::optional<pool_grant> pool_state::admit(time_point now) {
  if (waiting_ > 0) return std::nullopt;
  return grant(now);
}

std::optional<pool_grant> pool_state::readmit(time_point now) { return grant(now); }

std::optional<pool_grant> pool_state::grant(time_point now) {
  while (!idle_.empty()) {
    std::size_t slot = idle_.back();
    const slot_state& s = slots_[slot];
    if (expired(s, now)) {
      retire(idle_.size() - 1);
      continue;
    }
    pool_step step = pool_step::use;
    if (s.dirty)
      step = pool_step::reset;
    else if (s.suspect || now - s.alive_at >= options_.validate_after_idle)
      step = pool_step::ping;
    return grant_check(idle_.size() - 1, step);
  }
  return upkeep_connects_ ? std::nullopt : grant_connect(now);
}

std::optional<pool_grant> pool_state::grant_connect(time_point now) {
  if (!may_connect(now)) return std::nullopt;
  auto found = std::find_if(slots_.begin(), slots_.end(), [](const slot_state& s) { return s.now == phase::empty; });
  auto slot = static_cast<std::size_t>(found - slots_.begin());
  set_phase(slot, phase::connecting);
  return pool_grant{slot, pool_step::connect};
}

pool_grant pool_state::grant_check(std::size_t index_in_idle, pool_step step) {
  std::size_t slot = idle_[index_in_idle];
  idle_.erase(idle_.begin() + static_cast<std::ptrdiff_t>(index_in_idle));
  set_phase(slot, phase::checking);
  return {slot, step};
}

bool pool_state::may_connect(time_point now) const noexcept {
  if (empty_ == 0) return false;
  return failures_ == 0 || (connecting_ == 0 && now >= pause_until_);
}

void pool_state::enqueue(pool_ticket& ticket) noexcept {
  std::size_t later = 0;
  if (ticket.number < newest_) {
    // It was granted a slot before and comes again: to its old place, in front of those who came later.
    queue_.for_each([&](const pool_ticket& other) { later += other.number > ticket.number ? 1U : 0U; });
    for (std::size_t i = later; i < waiting_; ++i) queue_.push_back(queue_.pop_front());
  }
  newest_ = std::max(newest_, ticket.number);
  queue_.push_back(ticket);
  ++waiting_;
  for (std::size_t i = 0; i < later; ++i) queue_.push_back(queue_.pop_front());
}

void pool_state::withdraw(pool_ticket& ticket) noexcept {
  ticket.unlink();
  --waiting_;
}

pool_state::handover pool_state::hand_over(time_point now) {
  if (waiting_ == 0 || closed_) return {nullptr, {}};
  std::optional<pool_grant> given = grant(now);
  if (!given) return {nullptr, {}};
  return {take_waiting(), *given};
}

pool_ticket* pool_state::take_waiting() noexcept {
  if (waiting_ == 0) return nullptr;
  --waiting_;
  return &queue_.pop_front();
}

std::optional<time_point> pool_state::pause_ends(time_point now) const noexcept {
  if (upkeep_connects_ || waiting_ == 0 || empty_ == 0 || failures_ == 0 || connecting_ > 0) return std::nullopt;
  return std::max(pause_until_, now);
}

void pool_state::connected(std::size_t slot, time_point now, std::uint64_t random) {
  slot_state& s = slots_[slot];
  set_phase(slot, phase::checking);
  failures_ = 0;
  s.dirty = s.suspect = false;
  s.alive_at = s.idle_since = now;
  s.expires_at = time_point::max();
  if (options_.max_lifetime > duration::zero()) {
    auto tenth = static_cast<std::uint64_t>(options_.max_lifetime.count() / 10);
    s.expires_at = now + options_.max_lifetime - duration(static_cast<duration::rep>(random % (tenth + 1)));
  }
}

void pool_state::connect_failed(std::size_t slot, time_point now, std::uint64_t random) {
  dropped(slot);
  // Of several that tried at the same time, the first one counts.
  if (failures_ > 0 && now < pause_until_) return;
  failures_ = std::min(failures_ + 1, 64U);
  pause_until_ = now + jittered_pause(options_, failures_, random);
}

void pool_state::lent(std::size_t slot, time_point now) {
  slot_state& s = slots_[slot];
  set_phase(slot, phase::leased);
  s.leased_at = now;
  s.reported = false;
}

bool pool_state::returned(std::size_t slot, session_state state, time_point now) {
  slot_state& s = slots_[slot];
  if (closed_ || state == session_state::dead || expired(s, now)) {
    dropped(slot);
    if (state == session_state::dead) suspect_idle();
    return false;
  }
  s.dirty = state == session_state::dirty;
  s.suspect = false;
  s.alive_at = now;
  // A check is no use: the session goes on ageing.
  if (s.now == phase::leased) s.idle_since = now;
  set_phase(slot, phase::idle);
  add_idle(slot);
  return true;
}

void pool_state::dropped(std::size_t slot) { set_phase(slot, phase::empty); }

void pool_state::suspect_idle() noexcept {
  for (std::size_t slot : idle_) slots_[slot].suspect = true;
}

void pool_state::retire_as_old_as(std::size_t slot) {
  for (std::size_t i = idle_.size(); i-- > 0;)
    if (slots_[idle_[i]].alive_at <= slots_[slot].alive_at) retire(i);
}

std::vector<std::size_t> pool_state::take_retired() {
  std::vector<std::size_t> taken;
  if (!retired_.empty()) {
    taken = retired_;
    retired_.clear();
  }
  return taken;
}

pool_state::upkeep pool_state::next_check(time_point now) {
  retire_aged(now);
  for (std::size_t i = 0; i < idle_.size(); ++i) {
    const slot_state& s = slots_[idle_[i]];
    if (s.dirty) return {grant_check(i, pool_step::reset), now};
    if (s.suspect || due(s.alive_at, options_.keepalive, now)) return {grant_check(i, pool_step::ping), now};
  }
  // A session that is opened or returned after this was worked out becomes due no earlier than this.
  time_point until = earlier_due(time_point::max(), now, options_.keepalive);
  until = earlier_due(until, now, options_.idle_timeout);
  until = earlier_due(until, now, options_.max_lifetime - options_.max_lifetime / 10);
  for (const slot_state& s : slots_)
    if (s.now != phase::empty && s.expires_at > now) until = std::min(until, s.expires_at);
  bool shrinks = options_.max_size - empty_ > options_.min_size;
  for (std::size_t slot : idle_) {
    until = earlier_due(until, slots_[slot].alive_at, options_.keepalive);
    if (shrinks) until = earlier_due(until, slots_[slot].idle_since, options_.idle_timeout);
  }
  return {std::nullopt, until};
}

pool_state::upkeep pool_state::next_connect(time_point now) {
  if (!wants_connect()) return {std::nullopt, time_point::max()};
  if (std::optional<pool_grant> connect = grant_connect(now)) {
    slots_[connect->slot].connected_by_upkeep = true;
    ++upkeep_connecting_;
    return {connect, now};
  }
  return {std::nullopt, connecting_ == 0 ? pause_until_ : time_point::max()};
}

void pool_state::retire_aged(time_point now) {
  for (std::size_t i = 0; i < idle_.size();) {
    const slot_state& s = slots_[idle_[i]];
    bool surplus = options_.max_size - empty_ > options_.min_size;
    if (expired(s, now) || (surplus && due(s.idle_since, options_.idle_timeout, now)))
      retire(i);
    else
      ++i;
  }
}

std::vector<std::size_t> pool_state::take_overdue(time_point now) {
  std::vector<std::size_t> overdue;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    slot_state& s = slots_[i];
    if (s.now != phase::leased || s.reported || !due(s.leased_at, options_.leak_after, now)) continue;
    s.reported = true;
    overdue.push_back(i);
  }
  return overdue;
}

std::optional<time_point> pool_state::next_overdue() const {
  if (options_.leak_after <= duration::zero()) return std::nullopt;
  std::optional<time_point> next;
  for (const slot_state& s : slots_)
    if (s.now == phase::leased && !s.reported)
      next = std::min(next.value_or(time_point::max()), s.leased_at + options_.leak_after);
  return next;
}

void pool_state::close() {
  closed_ = true;
  while (!idle_.empty()) retire(idle_.size() - 1);
}

std::size_t pool_state::count(phase p) const noexcept {
  return static_cast<std::size_t>(
      std::count_if(slots_.begin(), slots_.end(), [p](const slot_state& s) { return s.now == p; }));
}

bool pool_state::wants_connect() const noexcept {
  if (empty_ == 0) return false;
  bool below_min = options_.max_size - empty_ < options_.min_size;
  return upkeep_connecting_ < waiting_ || (below_min && connecting_ == 0);
}

std::size_t pool_state::on_the_way(time_point now) const noexcept {
  if (!upkeep_connects_) return 0;
  std::size_t more = failures_ == 0 ? empty_ : 1;
  return upkeep_connecting_ + (may_connect(now) ? more : 0);
}

// In a pause too: it is then to be at its end that the keeper looks again.
bool pool_state::needs_connect() const noexcept { return wants_connect() && (failures_ == 0 || connecting_ == 0); }

bool pool_state::needs_check() const noexcept {
  return std::any_of(idle_.begin(), idle_.end(),
                     [this](std::size_t slot) { return slots_[slot].dirty || slots_[slot].suspect; });
}

void pool_state::add_idle(std::size_t slot) {
  auto place = idle_.end();
  while (place != idle_.begin() && slots_[*(place - 1)].idle_since > slots_[slot].idle_since) --place;
  idle_.insert(place, slot);
}

void pool_state::retire(std::size_t index_in_idle) {
  std::size_t slot = idle_[index_in_idle];
  idle_.erase(idle_.begin() + static_cast<std::ptrdiff_t>(index_in_idle));
  retired_.push_back(slot);
  dropped(slot);
}

void pool_state::set_phase(std::size_t slot, phase p) noexcept {
  phase& now = slots_[slot].now;
  if (now == phase::empty) --empty_;
  if (now == phase::connecting) {
    --connecting_;
    if (std::exchange(slots_[slot].connected_by_upkeep, false)) --upkeep_connecting_;
  }
  now = p;
  if (now == phase::empty) ++empty_;
  if (now == phase::connecting) ++connecting_;
}

}  // namespace penstock::db

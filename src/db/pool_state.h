#pragma once

// The decisions of the pool, without any I/O: who gets which session, when one is opened, checked or closed. The
// coroutines in pool.cpp do what it says and tell it what came of it. Time and randomness are handed in.
//
// Invariants: a slot is in one phase; `idle_` lists the slots of phase idle, longest idle first; while anyone waits, no
// slot is idle, and none is empty unless connecting has to pause or the upkeep, whose turn it is, has yet to run; once
// closed, no slot is idle.

#include "penstock/async/detail/list.h"
#include "penstock/async/scheduler.h"
#include "penstock/db/connection.h"
#include "penstock/db/pool_options.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace penstock::db {

// What whoever was given a slot has to do before its session can be used.
enum class pool_step : std::uint8_t { use, reset, ping, connect };

struct pool_grant {
  std::size_t slot;
  pool_step step;
};

// An acquirer's place in the queue.
struct pool_ticket : penstock::detail::list_hook {
  explicit pool_ticket(std::uint64_t n) noexcept : number(n) {}
  std::uint64_t number;  // the order of coming
};

class pool_state {
 public:
  enum class phase : std::uint8_t { empty, connecting, idle, checking, leased };

  explicit pool_state(const pool_options& options);

  // A slot for an acquirer who has just come; none: it must wait.
  std::optional<pool_grant> admit(time_point now);
  // A slot for one whose session was lost after it had been granted: it comes before all who wait.
  std::optional<pool_grant> readmit(time_point now);
  bool queue_full(time_point now) const noexcept { return waiting_ >= options_.max_waiters + on_the_way(now); }
  // Into the queue, by number.
  void enqueue(pool_ticket& ticket) noexcept;
  void withdraw(pool_ticket& ticket) noexcept;
  // The first who waits, taken off the queue, with the slot that is now free for it; null when there is none.
  struct handover {
    pool_ticket* to;
    pool_grant grant;
  };
  handover hand_over(time_point now);
  // Whoever waits first, taken off the queue for nothing; null when nobody does.
  pool_ticket* take_waiting() noexcept;
  // Whether the pool's upkeep connects for those who wait; otherwise they are given slots to connect for themselves.
  void upkeep_connects(bool does) noexcept { upkeep_connects_ = does; }
  // When connecting may go on, if someone waits to do that.
  std::optional<time_point> pause_ends(time_point now) const noexcept;

  // A connect has ended. The slot stays with whoever connected; after a failure it is empty.
  void connected(std::size_t slot, time_point now, std::uint64_t random);
  void connect_failed(std::size_t slot, time_point now, std::uint64_t random);
  // A user has it now.
  void lent(std::size_t slot, time_point now);
  // Comes back, from a user or a check. False: its session is to be closed, and the slot is empty.
  bool returned(std::size_t slot, session_state state, time_point now);
  // Its session is gone, or was never opened.
  void dropped(std::size_t slot);
  // A session was found dead: those that are idle may be, too.
  void suspect_idle() noexcept;
  // The session of the slot was given up, since it said nothing: something on the way has cut it off, and with it all
  // that have been silent for as long. To ask each would take them a timeout one after another.
  void retire_as_old_as(std::size_t slot);
  // Idle slots whose sessions are to be closed now; they are empty already.
  std::vector<std::size_t> take_retired();

  // The next thing to do for the pool's health, or nothing until `until`.
  struct upkeep {
    std::optional<pool_grant> grant;
    time_point until;
  };
  upkeep next_check(time_point now);
  upkeep next_connect(time_point now);
  // True when those would grant something, or may be due earlier than was said.
  bool needs_check() const noexcept;
  bool needs_connect() const noexcept;

  // Leases that became overdue, each given once.
  std::vector<std::size_t> take_overdue(time_point now);
  std::optional<time_point> next_overdue() const;

  // From now on, nobody is admitted and what comes back is closed.
  void close();
  bool closed() const noexcept { return closed_; }

  phase phase_of(std::size_t slot) const noexcept { return slots_[slot].now; }
  std::size_t count(phase p) const noexcept;
  std::size_t idle() const noexcept { return idle_.size(); }
  std::size_t waiting() const noexcept { return waiting_; }
  // No session is there, and none could be opened.
  bool unreachable() const noexcept { return failures_ > 0 && empty_ + connecting_ == options_.max_size; }
  bool all_empty() const noexcept { return empty_ == options_.max_size; }
  time_point leased_at(std::size_t slot) const noexcept { return slots_[slot].leased_at; }

 private:
  struct slot_state {
    phase now = phase::empty;
    bool dirty = false;
    bool suspect = false;  // perhaps dead: another one was
    bool reported = false;
    bool connected_by_upkeep = false;  // while it is being connected: not for whoever was granted it
    time_point expires_at = time_point::max();
    time_point idle_since{};
    time_point alive_at{};
    time_point leased_at{};
  };

  std::optional<pool_grant> grant(time_point now);
  std::optional<pool_grant> grant_connect(time_point now);
  pool_grant grant_check(std::size_t index_in_idle, pool_step step);
  bool may_connect(time_point now) const noexcept;
  bool expired(const slot_state& s, time_point now) const noexcept { return s.expires_at <= now; }
  // One for each who waits; up to min_size one after the other.
  bool wants_connect() const noexcept;
  // Slots that upkeep connects, or would at once: who waits for one of them is not too many.
  std::size_t on_the_way(time_point now) const noexcept;
  void add_idle(std::size_t slot);
  void retire(std::size_t index_in_idle);
  void retire_aged(time_point now);
  void set_phase(std::size_t slot, phase p) noexcept;

  const pool_options& options_;
  std::vector<slot_state> slots_;
  std::vector<std::size_t> idle_;
  std::vector<std::size_t> retired_;
  penstock::detail::list<pool_ticket> queue_;
  std::uint64_t newest_ = 0;  // number ever queued
  std::size_t waiting_ = 0;
  std::size_t empty_;
  std::size_t connecting_ = 0;
  std::size_t upkeep_connecting_ = 0;  // of those
  bool upkeep_connects_ = false;
  unsigned failures_ = 0;  // connects that failed in a row
  time_point pause_until_{};
  bool closed_ = false;
};

}  // namespace penstock::db

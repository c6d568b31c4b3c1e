#pragma once

#include "penstock/async/event.h"
#include "penstock/async/scheduler_observer.h"
#include "penstock/async/suspension.h"
#include "penstock/db/pool.h"
#include "penstock/observe/detail/gauge_part.h"
#include "penstock/observe/metrics.h"
#include "pool_state.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace penstock::db {

// What is behind a pool; shared with its leases and acquirers, so that they may outlive it.
struct pool::implementation : std::enable_shared_from_this<implementation> {
  implementation(database to, pool_options o);
  ~implementation();

  // A slot with what is to be done before its session can be used. While it is held, the slot is taken.
  class offer {
   public:
    offer() noexcept = default;
    offer(lease taken, pool_step what) noexcept : slot(std::move(taken)), step(what) {}
    explicit operator bool() const noexcept { return slot.home_ != nullptr; }

    lease slot;
    pool_step step = pool_step::use;
  };

  // Sessions wait for their server on the loop that opened them: under another one, nobody would hear of an answer.
  void stay_at_home();

  // Acquiring.
  task<lease> obtain(offer first, std::uint64_t number);
  task<bool> make_usable(offer& o);
  static bool worth_retrying(const std::exception_ptr& failure);
  // Also for those who wait for a session.
  bool worth_waiting(const std::exception_ptr& failure) const;
  lease lend(lease slot, std::source_location where, time_point since);
  [[noreturn]] void throw_closed() const;
  [[noreturn]] void throw_full();
  [[noreturn]] void throw_timed_out();
  // I/O on a slot, the same for acquirers and upkeep. `connect` throws and lets go of the slot when it fails; `check`
  // gives false and keeps the slot, without its session.
  task<void> connect(lease& slot);
  task<bool> check(lease& slot, pool_step step);
  template <class T>
  task<T> cut_short_by_close(duration limit, task<T> io);

  // Slots.
  offer take(const pool_grant& g);
  // Lets go of a slot without a session, and gives the holder another in its place, if there is one.
  offer replace(lease& slot);
  void give_back(std::size_t slot, std::unique_ptr<connection> c) noexcept;
  // True when there were any.
  bool close_retired() noexcept;
  // After every event: serves who waits, and sets the timers.
  void settle() noexcept;

  // `self` is held until it ends: the pool may be gone before its first step.
  static task<void> keep(std::shared_ptr<implementation> self);
  task<void> keep_checked();
  task<void> keep_connected();
  task<void> tend(offer o);
  void begin_close() noexcept;
  task<void> wait_drained();
  void wake_keepers() noexcept;
  // Tells those who wait why no session can be opened, unless one is there, or under way, which they may get.
  void refuse_waiting(const std::exception_ptr& failure);
  pool_stats stats() const noexcept;
  void publish() noexcept;
  void report_unreturned() const;
  void report_leaks() noexcept;
  void report_connect_failure(const std::exception_ptr& failure, time_point now);

  class waiter;
  class nap;
  struct io_in_flight : penstock::detail::list_hook {
    cancel_scope scope;
  };
  struct settle_timer : timer {
    explicit settle_timer(implementation& p) noexcept : timer(&fire), home(p) {}
    static void fire(timer& t) noexcept { static_cast<settle_timer&>(t).home.settle(); }
    implementation& home;
  };
  struct leak_timer : timer {
    explicit leak_timer(implementation& p) noexcept : timer(&fire), home(p) {}
    static void fire(timer& t) noexcept { static_cast<leak_timer&>(t).home.report_leaks(); }
    implementation& home;
  };
  struct seat {
    std::unique_ptr<connection> idle;  // the session of a slot that is idle
    tracked lent{"lease of a pool"};   // since it was leased, by whom
  };
  struct instruments {
    instruments(metrics::registry* where, const std::string& pool_name);
    metrics::detail::gauge_part in_use;
    metrics::detail::gauge_part idle;
    metrics::detail::gauge_part waiting;
    metrics::histogram acquire_seconds;
    metrics::counter connects;
    metrics::counter connect_failures;
    metrics::counter timeouts;
    metrics::counter leaks;
  };

  std::optional<std::uint64_t> home;  // the number of its scheduler
  database source;
  pool_options options;
  pool_state state;
  std::vector<seat> seats;
  std::uint64_t next_number = 1;
  std::exception_ptr last_connect_failure;  // null once a connect succeeded
  time_point failing_since{};               // while there is one
  time_point failure_logged_at{};
  pool_stats totals;  // the counters only
  instruments shown;
  nap* until_check = nullptr;    // the keeper of checks waits
  nap* until_connect = nullptr;  // the keeper of connects does
  penstock::detail::list<io_in_flight> in_flight;
  event drained;
  settle_timer pause_timer{*this};
  leak_timer overdue_timer{*this};
};

}  // namespace penstock::db

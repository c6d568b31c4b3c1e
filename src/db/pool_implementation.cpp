#include "pool_implementation.h"

#include "penstock/async/error.h"
#include "penstock/async/timeout.h"
#include "penstock/core/traceback.h"
#include "penstock/core/units.h"
#include "penstock/db/error.h"
#include "penstock/observe/log.h"

#include <utility>

// Everything that changes the state ends in settle(), which serves the queue: a wake-up can't be lost. While `run`
// runs, it connects for those who wait, and what it opens goes to whoever is first then: it is not cut short by one
// who gives up. Without it acquirers connect for themselves; those whose connect failed for now go back into the queue,
// to their old place, and are woken by a session that comes back, or when the pause after the failure is over.

namespace penstock::db {
namespace {

// While a database is away, connects fail often.
constexpr auto failures_are_logged_every = std::chrono::seconds(5);

metrics::gauge gauge_of(metrics::registry* where, const char* name, const char* help, const std::string& pool_name) {
  return where == nullptr ? metrics::gauge() : where->gauge(name, help, {{"pool", pool_name}});
}

std::string place(const std::source_location& site) {
  return std::string(site.file_name()) + ":" + std::to_string(site.line());
}

}  // namespace

// An acquirer's wait for its turn.
class pool::implementation::waiter final : public suspension, public pool_ticket {
 public:
  waiter(implementation& home, std::uint64_t number) noexcept : pool_ticket(number), home_(home) {}
  waiter(const waiter&) = delete;
  waiter& operator=(const waiter&) = delete;
  ~waiter() {
    if (pool_ticket::linked()) home_.state.withdraw(*this);
  }

  bool await_ready() noexcept { return check_cancelled(); }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> task) noexcept {
    suspend(task.promise());
    home_.state.enqueue(*this);
    home_.settle();
  }
  offer await_resume() {
    throw_if_cancelled();
    if (refusal_) std::rethrow_exception(refusal_);
    if (!offered_) home_.throw_closed();
    return std::move(offered_);
  }
  std::string_view waiting_for() const noexcept override { return "a pooled connection"; }

  void serve(offer o) noexcept {
    offered_ = std::move(o);
    wake();
  }
  void turn_away(std::exception_ptr why = {}) noexcept {
    refusal_ = std::move(why);
    wake();
  }

 private:
  void cancel() noexcept override {
    home_.state.withdraw(*this);
    home_.publish();
    wake_cancelled();
  }

  implementation& home_;
  offer offered_;
  std::exception_ptr refusal_;
};

pool::implementation::implementation(database to, pool_options o)
    : source(std::move(to)),
      options(std::move(o)),
      state(options),
      seats(options.max_size),
      shown(options.registry, options.name) {}

pool::implementation::~implementation() = default;

task<pool::lease> pool::implementation::obtain(offer first, std::uint64_t number) {
  offer current = std::move(first);
  for (;;) {
    if (!current) {
      waiter turn(*this, number);
      current = co_await turn;
    }
    if (state.closed()) throw_closed();
    if (current.step == pool_step::use) co_return std::move(current.slot);
    task<bool> making = make_usable(current);
    bool usable = co_await std::move(making);
    if (state.closed()) throw_closed();
    if (usable) co_return std::move(current.slot);
  }
}

// Gives false when the offer was exchanged for another, or for none.
task<bool> pool::implementation::make_usable(offer& o) {
  if (o.step != pool_step::connect) {
    task<bool> checking = check(o.slot, o.step);
    bool sound = co_await std::move(checking);
    if (!sound) o = replace(o.slot);
    co_return sound;
  }
  std::exception_ptr failure;
  try {
    task<void> connecting = connect(o.slot);
    co_await std::move(connecting);
    co_return true;
  } catch (const operation_cancelled&) {
    throw;
  } catch (...) {
    failure = std::current_exception();
  }
  if (!worth_waiting(failure)) {
    if (worth_retrying(failure)) refuse_waiting(failure);
    std::rethrow_exception(failure);
  }
  o = offer();
  co_return false;
}

bool pool::implementation::worth_waiting(const std::exception_ptr& failure) const {
  return worth_retrying(failure) && !(options.refuse_when_unreachable && state.unreachable());
}

bool pool::implementation::worth_retrying(const std::exception_ptr& failure) {
  auto* e = penstock::detail::exception_as<database_error>(failure);
  return e != nullptr && e->is_transient();
}

pool::lease pool::implementation::lend(lease slot, std::source_location where, time_point since) {
  time_point now = scheduler::current().now();
  state.lent(slot.slot_, now);
  seats[slot.slot_].lent.enter(where);
  shown.acquire_seconds.observe(now - since);
  publish();
  if (options.leak_after > duration::zero() && !overdue_timer.pending())
    scheduler::current().add_timer(overdue_timer, now + options.leak_after);
  return slot;
}

task<void> pool::implementation::connect(lease& slot) {
  std::exception_ptr failure;
  std::unique_ptr<connection> opened;
  try {
    task<std::unique_ptr<connection>> connecting = cut_short_by_close(options.connect_timeout, source.connect());
    opened = co_await std::move(connecting);
  } catch (const operation_cancelled&) {
    throw;
  } catch (const timed_out&) {
    std::string limit = format_duration(options.connect_timeout);
    failure = std::make_exception_ptr(
        database_error(db_errc::connection_lost,
                       source.name() + ": no session was open within " + limit + ", the pool's connect_timeout", 0, {},
                       std::current_exception()));
  } catch (...) {
    failure = std::current_exception();
  }
  scheduler& s = scheduler::current();
  if (last_connect_failure && !failure)
    log::info("connected to the database again", {{"pool", options.name}, {"after", s.now() - failing_since}});
  bool first_failure = !last_connect_failure;
  last_connect_failure = failure;
  if (!failure) {
    ++totals.connects;
    shown.connects.add();
    state.connected(slot.slot_, s.now(), s.random());
    slot.connection_ = std::move(opened);
    settle();
    co_return;
  }
  ++totals.connect_failures;
  shown.connect_failures.add();
  if (first_failure) failing_since = s.now();
  if (first_failure || s.now() - failure_logged_at >= failures_are_logged_every)
    report_connect_failure(failure, s.now());
  slot.home_.reset();
  state.connect_failed(slot.slot_, s.now(), s.random());
  settle();
  std::rethrow_exception(failure);
}

task<bool> pool::implementation::check(lease& slot, pool_step step) {
  std::exception_ptr failure;
  bool is_silent = false;
  try {
    task<void> asking = step == pool_step::reset ? slot->reset() : slot->ping();
    task<void> limited = cut_short_by_close(options.validation_timeout, std::move(asking));
    co_await std::move(limited);
    if (slot->state() == session_state::clean) co_return true;
  } catch (const operation_cancelled&) {
    // Cut short in the middle: nobody knows in what state it is.
    slot.discard();
    throw;
  } catch (const timed_out&) {
    failure = std::current_exception();
    is_silent = true;
  } catch (...) {
    failure = std::current_exception();
  }
  log::write_exception(log::level::debug, "closed a pooled connection that failed its check", failure,
                       std::initializer_list<log::field>{{"pool", options.name}});
  slot.connection_.reset();
  if (is_silent && step == pool_step::ping) state.retire_as_old_as(slot.slot_);
  state.suspect_idle();
  co_return false;
}

template <class T>
task<T> pool::implementation::cut_short_by_close(duration limit, task<T> io) {
  io_in_flight here;
  in_flight.push_back(here);
  task<T> limited = with_timeout(limit, std::move(io));
  task<T> scoped = here.scope.run(std::move(limited));
  co_return co_await std::move(scoped);
}

pool::implementation::offer pool::implementation::take(const pool_grant& g) {
  return {lease(shared_from_this(), g.slot, std::move(seats[g.slot].idle)), g.step};
}

pool::implementation::offer pool::implementation::replace(lease& slot) {
  slot.home_.reset();
  state.dropped(slot.slot_);
  std::optional<pool_grant> granted = state.readmit(scheduler::current().now());
  close_retired();
  offer other = granted ? take(*granted) : offer();
  settle();
  return other;
}

void pool::implementation::give_back(std::size_t slot, std::unique_ptr<connection> c) noexcept {
  seats[slot].lent.leave();
  scheduler* s = scheduler::current_or_null();
  session_state left = c ? c->state() : session_state::dead;
  if (left == session_state::clean && c->altered()) left = session_state::dirty;
  if (c && s != nullptr && state.returned(slot, left, s->now()))
    seats[slot].idle = std::move(c);
  else if (state.phase_of(slot) != pool_state::phase::empty)
    state.dropped(slot);
  c.reset();
  settle();
}

bool pool::implementation::close_retired() noexcept {
  std::vector<std::size_t> retired = state.take_retired();
  for (std::size_t slot : retired) seats[slot].idle.reset();
  return !retired.empty();
}

void pool::implementation::settle() noexcept {
  if (state.closed() && state.all_empty()) overdue_timer.cancel();  // a closed pool may be kept, and is to hold nothing
  scheduler* s = scheduler::current_or_null();
  if (s == nullptr) return publish();  // outside a loop nobody can wait
  time_point now = s->now();
  for (;;) {
    pool_state::handover next = state.hand_over(now);
    close_retired();
    if (next.to == nullptr) break;
    static_cast<waiter*>(next.to)->serve(take(next.grant));
  }
  pause_timer.cancel();
  if (std::optional<time_point> when = state.pause_ends(now)) s->add_timer(pause_timer, *when);
  wake_keepers();
  if (state.closed() && state.all_empty()) drained.set();
  publish();
}

void pool::implementation::begin_close() noexcept {
  if (state.closed()) return;
  state.close();
  close_retired();
  while (pool_ticket* waiting = state.take_waiting()) static_cast<waiter*>(waiting)->turn_away();
  in_flight.for_each([](io_in_flight& io) { io.scope.cancel("the pool is closed"); });
  if (state.all_empty()) drained.set();
  settle();
}

void pool::implementation::refuse_waiting(const std::exception_ptr& failure) {
  if (!state.all_empty()) return;
  auto* said = penstock::detail::exception_as<database_error>(failure);
  while (pool_ticket* waiting = state.take_waiting()) {
    // Each its own: they travel different ways, and what is noted of these is kept by exception.
    static_cast<waiter*>(waiting)->turn_away(said != nullptr ? std::make_exception_ptr(*said) : failure);
  }
  publish();
}

task<void> pool::implementation::wait_drained() { co_await drained.wait(); }

void pool::implementation::stay_at_home() {
  std::uint64_t here = scheduler::current().number();
  if (home.value_or(here) != here)
    throw error(async_errc::wrong_scheduler, "pool '" + options.name +
                                                 "' is used under another scheduler than before: each loop needs a "
                                                 "pool of its own, and a pool does not outlive its loop");
  home = here;
}

void pool::implementation::throw_closed() const {
  throw database_error(db_errc::pool_closed, "pool '" + options.name + "' is closed");
}

void pool::implementation::throw_full() {
  ++totals.refused;
  throw database_error(db_errc::pool_full, "pool '" + options.name + "': " + std::to_string(state.waiting()) +
                                               " wait for a connection already, and max_waiters is " +
                                               std::to_string(options.max_waiters));
}

void pool::implementation::throw_timed_out() {
  ++totals.timeouts;
  shown.timeouts.add();
  std::string message = "pool '" + options.name + "': no connection within " + format_duration(options.acquire_timeout);
  std::size_t leased = state.count(pool_state::phase::leased);
  if (last_connect_failure)
    message += ": the database can't be reached";
  else if (leased < options.max_size)
    message += ": " + std::to_string(leased) + " of " + std::to_string(options.max_size) +
               " are in use, and no other was open in time";
  else
    message += ": " + std::to_string(leased) + " of " + std::to_string(options.max_size) + " are in use and " +
               std::to_string(state.waiting()) + " more acquirers wait; hold leases for less time, or raise max_size";
  throw database_error(db_errc::pool_timeout, message, 0, {}, last_connect_failure);
}

void pool::implementation::report_connect_failure(const std::exception_ptr& failure, time_point now) {
  failure_logged_at = now;
  log::warn("could not connect to the database",
            {{"pool", options.name}, {"reason", describe(failure)}, {"for", now - failing_since}});
}

void pool::implementation::report_unreturned() const {
  time_point now = scheduler::current().now();
  for (std::size_t slot = 0; slot < seats.size(); ++slot)
    if (state.phase_of(slot) == pool_state::phase::leased)
      log::warn("a lease outlived its pool", {{"pool", options.name},
                                              {"acquired_at", place(seats[slot].lent.made_at())},
                                              {"held", now - state.leased_at(slot)}});
}

void pool::implementation::report_leaks() noexcept {
  scheduler& s = scheduler::current();
  for (std::size_t slot : state.take_overdue(s.now())) {
    ++totals.leaks;
    shown.leaks.add();
    log::warn("a pooled connection has been held for long: is its lease leaked?",
              {{"pool", options.name},
               {"acquired_at", place(seats[slot].lent.made_at())},
               {"in", short_function_name(seats[slot].lent.made_at().function_name())},
               {"held", s.now() - state.leased_at(slot)}});
  }
  if (std::optional<time_point> next = state.next_overdue()) s.add_timer(overdue_timer, *next);
}

pool_stats pool::implementation::stats() const noexcept {
  pool_stats now = totals;
  now.in_use = state.count(pool_state::phase::leased);
  now.idle = state.idle();
  now.pending = state.count(pool_state::phase::connecting) + state.count(pool_state::phase::checking);
  now.waiting = state.waiting();
  return now;
}

void pool::implementation::publish() noexcept {
  shown.in_use.show(state.count(pool_state::phase::leased));
  shown.idle.show(state.idle());
  shown.waiting.show(state.waiting());
}

pool::implementation::instruments::instruments(metrics::registry* where, const std::string& pool_name)
    : in_use(gauge_of(where, "penstock_pool_in_use", "Connections that are leased.", pool_name)),
      idle(gauge_of(where, "penstock_pool_idle", "Connections that are free.", pool_name)),
      waiting(gauge_of(where, "penstock_pool_waiting", "Acquirers that wait for a connection.", pool_name)) {
  if (where == nullptr) return;
  metrics::labels by_pool{{"pool", pool_name}};
  acquire_seconds = where->histogram("penstock_pool_acquire_seconds", "How long it took to acquire a connection.",
                                     metrics::duration_buckets(), by_pool);
  connects = where->counter("penstock_pool_connects_total", "Connections opened.", by_pool);
  connect_failures =
      where->counter("penstock_pool_connect_failures_total", "Attempts to connect that failed.", by_pool);
  timeouts = where->counter("penstock_pool_timeouts_total", "Acquirers that waited in vain.", by_pool);
  leaks = where->counter("penstock_pool_leaks_total", "Leases reported as held too long.", by_pool);
}

}  // namespace penstock::db

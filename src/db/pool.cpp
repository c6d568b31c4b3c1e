#include "penstock/db/pool.h"

#include "penstock/async/error.h"
#include "penstock/async/timeout.h"
#include "penstock/core/units.h"
#include "penstock/db/error.h"
#include "penstock/observe/log.h"
#include "pool_implementation.h"

// pool_state decides, this does. Whoever holds a slot holds a lease on it, from the moment it is granted: so however
// a task ends, the slot comes back, and give_back hands it to whoever waits first. Sessions of idle slots are in
// `seats`; those of all others are in their lease.

namespace penstock::db {

namespace {

constexpr std::size_t most_sessions = 65'536;
// What is counted from a point in time is to stay within the clock's range.
constexpr duration as_good_as_never = std::chrono::hours(24 * 365 * 10);
// Shorter ones are a storm for a server that comes back.
constexpr duration shortest_pause = std::chrono::milliseconds(10);

}  // namespace

pool::pool(database to, pool_options options) {
  if (options.max_size == 0 || options.min_size > options.max_size)
    throw database_error(db_errc::bad_options, "a pool of at least " + std::to_string(options.min_size) +
                                                   " and at most " + std::to_string(options.max_size) +
                                                   " sessions: max_size must be at least 1 and at least min_size");
  if (options.max_size > most_sessions)
    throw database_error(db_errc::bad_options, "a pool of at most " + std::to_string(options.max_size) +
                                                   " sessions: max_size may be " + std::to_string(most_sessions) +
                                                   " at most");
  for (duration* limit : {&options.max_lifetime, &options.idle_timeout, &options.keepalive, &options.leak_after})
    *limit = std::min(*limit, as_good_as_never);
  options.reconnect_min = std::max(options.reconnect_min, shortest_pause);
  options.reconnect_max = std::max(options.reconnect_max, options.reconnect_min);
  if (options.name.empty()) options.name = to.name();
  implementation_ = std::make_shared<implementation>(std::move(to), std::move(options));
}

pool::~pool() { implementation_->begin_close(); }

task<pool::lease> pool::acquire(std::source_location where) {
  std::shared_ptr<implementation> self = implementation_;
  self->stay_at_home();
  time_point start = scheduler::current().now();
  if (self->state.closed()) self->throw_closed();
  implementation::offer first;
  std::optional<pool_grant> granted = self->state.admit(start);
  if (self->close_retired()) self->wake_keepers();
  if (granted) first = self->take(*granted);
  if (first && first.step == pool_step::use) co_return self->lend(std::move(first.slot), where, start);
  if (!first && self->state.queue_full(start)) self->throw_full();
  self->publish();  // what is done to a session first may take long
  try {
    task<lease> obtaining = self->obtain(std::move(first), self->next_number++);
    task<lease> limited = with_timeout(self->options.acquire_timeout, std::move(obtaining));
    lease obtained = co_await std::move(limited);
    co_return self->lend(std::move(obtained), where, start);
  } catch (const timed_out&) {
    self->throw_timed_out();
  } catch (const operation_cancelled&) {
    if (!self->state.closed() || is_cancelled()) throw;
    self->throw_closed();
  }
}

task<void> pool::run() { return implementation::keep(implementation_); }

task<void> pool::close() {
  std::shared_ptr<implementation> self = implementation_;
  self->begin_close();
  if (self->drained.is_set()) co_return;
  bool late = false;
  try {
    task<void> limited = with_timeout(self->options.close_timeout, self->wait_drained());
    co_await std::move(limited);
  } catch (const timed_out&) {
    late = true;
  }
  if (late) self->report_unreturned();
}

bool pool::closed() const noexcept { return implementation_->state.closed(); }
bool pool::unreachable() const noexcept { return implementation_->state.unreachable(); }
pool_stats pool::stats() const noexcept { return implementation_->stats(); }
const pool_options& pool::options() const noexcept { return implementation_->options; }

pool::lease::lease(std::shared_ptr<implementation> home, std::size_t slot, std::unique_ptr<connection> c) noexcept
    : home_(std::move(home)), connection_(std::move(c)), slot_(slot) {}

pool::lease::lease(lease&& other) noexcept
    : home_(std::move(other.home_)), connection_(std::move(other.connection_)), slot_(other.slot_) {}

pool::lease& pool::lease::operator=(lease&& other) noexcept {
  if (this == &other) return *this;
  release();
  home_ = std::move(other.home_);
  connection_ = std::move(other.connection_);
  slot_ = other.slot_;
  return *this;
}

void pool::lease::release() noexcept {
  if (!home_) return;
  std::shared_ptr<implementation> home = std::move(home_);
  home->give_back(slot_, std::move(connection_));
}

void pool::lease::discard() noexcept {
  connection_.reset();
  release();
}

}  // namespace penstock::db

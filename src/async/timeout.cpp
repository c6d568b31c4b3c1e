#include "penstock/async/timeout.h"

#include "penstock/async/cancel.h"
#include "penstock/async/detail/promise.h"
#include "penstock/async/detail/result.h"
#include "penstock/async/yield.h"
#include "penstock/core/units.h"

namespace penstock {

void sleep_awaiter::arm() { waiting_scheduler().add_timer(timer_, deadline_); }

void sleep_awaiter::cancel() noexcept {
  timer_.cancel();
  wake_cancelled();
}

void sleep_awaiter::wake_timer::fire(timer& t) noexcept { static_cast<wake_timer&>(t).sleeper.wake(); }

sleep_awaiter sleep_until(time_point when) noexcept { return sleep_awaiter(when); }

sleep_awaiter sleep_for(duration d) { return sleep_awaiter(detail::deadline_after(scheduler::current(), d)); }

std::optional<time_point> current_deadline() noexcept {
  const detail::scope_state* scope = detail::current_scope;
  if (scope == nullptr || scope->deadline() == time_point::max()) return std::nullopt;
  return scope->deadline();
}

void yield_awaiter::post_self() noexcept { wake(); }

void detail::throw_timed_out(std::exception_ptr cause, std::optional<duration> limit) {
  std::string message = limit ? "not done within " + format_duration(*limit) : "not done by the deadline";
  throw timed_out(message, std::move(cause), std::source_location());
}

time_point detail::deadline_after(const scheduler& clock, duration limit) noexcept {
  time_point now = clock.now();
  return limit > time_point::max() - now ? time_point::max() : now + limit;
}

bool is_cancelled() noexcept { return detail::current_scope != nullptr && detail::current_scope->cancelled(); }

void throw_if_cancelled() { detail::throw_if_scope_cancelled(); }

void detail::throw_if_scope_cancelled() {
  if (is_cancelled()) throw operation_cancelled(current_scope->reason(), std::source_location());
}

cancel_scope::attachment::attachment(detail::scope_state& s) : state_(s) {
  if (s.attached()) throw error(async_errc::scope_in_use, "this cancel_scope already runs a task: use one for each");
  s.attach(detail::require_scope());
}

}  // namespace penstock

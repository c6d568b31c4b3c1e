#include "penstock/async/run_on.h"

#include <utility>

namespace penstock::detail {

void root_task::run(promise_base& main, std::source_location where) {
  scope_state* outer = std::exchange(current_scope, nullptr);
  auto done = [](promise_base&, void* context) noexcept { *static_cast<bool*>(context) = true; };
  main.start_queued(scope_, {.name = "main", .where = where}, done, &done_);
  try {
    scheduler_.run_until(done_, scope_);
  } catch (...) {
    current_scope = outer;
    throw;
  }
  current_scope = outer;
  if (std::exception_ptr failure = main.take_failure()) std::rethrow_exception(std::move(failure));
}

}  // namespace penstock::detail

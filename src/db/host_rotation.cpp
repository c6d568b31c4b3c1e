#include "host_rotation.h"

#include "penstock/async/cancel.h"
#include "penstock/async/timeout.h"
#include "penstock/core/outcome.h"
#include "penstock/core/units.h"
#include "penstock/db/error.h"

#include <algorithm>
#include <exception>
#include <string>
#include <utility>

namespace penstock::db {
namespace {

database_error failure_to_connect(const std::exception_ptr& failure, const server_address& at, duration limit) {
  if (const auto* e = penstock::detail::exception_as<database_error>(failure)) return *e;
  const auto* e = penstock::detail::exception_as<error>(failure);
  if (e != nullptr && e->is(async_errc::timed_out))
    return {db_errc::connection_lost, at.to_string() + ": no answer within " + format_duration(limit)};
  if (e != nullptr) return {db_errc::connection_lost, at.to_string() + ": " + e->message(), 0, {}, failure};
  std::rethrow_exception(failure);
}

// Moves on to the next server unless the attempt worked, when it is cancelled too.
class attempt {
 public:
  attempt(std::size_t& next, std::size_t index, std::size_t count) noexcept
      : next_(next), index_(index), count_(count) {}
  attempt(const attempt&) = delete;
  attempt& operator=(const attempt&) = delete;
  ~attempt() {
    if (worked_)
      next_ = index_;
    else if (next_ == index_)
      next_ = (index_ + 1) % count_;
  }
  void worked() noexcept { worked_ = true; }

 private:
  std::size_t& next_;
  std::size_t index_;
  std::size_t count_;
  bool worked_ = false;
};

}  // namespace

duration share_of_time_left(std::size_t attempts) {
  std::optional<time_point> deadline = current_deadline();
  if (!deadline) return duration::max();
  duration left = std::max(duration::zero(), *deadline - scheduler::current().now());
  return attempts > 1 ? left / 2 : left;
}

task<std::unique_ptr<connection>> host_rotation::connect(opener open) {
  std::size_t count = url_.addresses.size();
  std::size_t first = next_;
  std::optional<database_error> failed;
  std::string all;
  for (std::size_t tried = 0; tried < count; ++tried) {
    std::size_t index = (first + tried) % count;
    const server_address& at = url_.addresses[index];
    std::exception_ptr failure;
    try {
      attempt one(next_, index, count);
      task<std::unique_ptr<connection>> opening = with_timeout(url_.connect_timeout, open(at));
      std::unique_ptr<connection> opened = co_await std::move(opening);
      one.worked();
      co_return opened;
    } catch (...) {
      failure = std::current_exception();
    }
    throw_if_cancelled();
    database_error now = failure_to_connect(failure, at, url_.connect_timeout);
    all.append(all.empty() ? "" : "; ").append(at.to_string()).append(": ").append(now.message());
    if (!failed || (now.is_transient() && !failed->is_transient())) failed = std::move(now);
  }
  if (count == 1) throw *std::move(failed);
  throw database_error(failed->errc(), "no server of " + url_.name + " could be used: " + all, failed->server_code(),
                       failed->sqlstate());
}

void host_rotation::pass_over(const server_address& at) noexcept {
  if (url_.addresses[next_] == at) next_ = (next_ + 1) % url_.addresses.size();
}

}  // namespace penstock::db

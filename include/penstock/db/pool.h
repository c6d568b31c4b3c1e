#pragma once

// A bounded set of sessions that tasks share: connecting costs more than a query, and a database serves only so many
// sessions well. Not needed where one task has one session to itself.
//
//   pool p(database("sqlite:shop.db"), {.min_size = 2, .max_size = 10});
//   group.start_background(p.run());                  // keeps it filled and healthy
//   pool::lease c = co_await p.acquire();
//   result r = co_await c->query("SELECT count(*) FROM customer");
//   co_await p.close();                               // or `with_pool`, which closes on every path

#include "penstock/async/cancel.h"
#include "penstock/async/detail/result.h"
#include "penstock/async/task_group.h"
#include "penstock/db/connection.h"
#include "penstock/db/pool_options.h"

#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

namespace penstock::db {

/// Sessions with one database, lent one task at a time. Belongs to the scheduler under which it is used first:
/// `acquire` and `run` throw `error` with `async_errc::wrong_scheduler` under another, also when the first one is gone.
///
/// Guarantees: who waits is served strictly in the order of coming; a session that may be dirty is reset before it is
/// lent again, and closed when that fails; a cancelled acquirer leaves nothing behind, or a session for the next one;
/// when a database that was away comes back, so does the pool, by itself.
class pool {
 public:
  class lease;

  /// Opens nothing yet. Throws `db_errc::bad_options` when `max_size` is 0 or below `min_size`.
  explicit pool(database to, pool_options options = {});
  pool(const pool&) = delete;
  pool& operator=(const pool&) = delete;
  /// Closes what is free; leases that are out close theirs when they go. Acquirers get `db_errc::pool_closed`.
  ~pool();

  /// Keeps at least `min_size` sessions open, connects for those who wait (who gives up cuts no connect short, and a
  /// session that comes back meanwhile is lent at once), resets dirty ones, pings, and closes those that are old or
  /// idle for long. Ends after `close`. Start it once, in a group (in the background, when nothing closes the pool
  /// before the group is joined). The pool works without it too: acquirers then connect, reset and ping for themselves,
  /// and it does not grow while all of them give up sooner than a connect takes; and a statement that was cut short
  /// goes on at its server, and may take effect, until its session is lent again.
  task<void> run();

  /// Awaits a session. `where` is named when the lease is held for long. Cancellable at any point. Throws
  /// `database_error` with `pool_timeout` (its cause is the last failed connect, if there was one), `pool_full` at once
  /// when too many wait, `pool_closed`, or what the database said when it refused for good (a wrong password, a path
  /// that can't be opened) and `run` has no other session to wait for.
  task<lease> acquire(std::source_location where = std::source_location::current());

  /// Takes no more acquirers, closes what is free, and waits until the leases are back, for at most `close_timeout`:
  /// those that are still out then are named in the log and close their sessions when they go. Idempotent. When it is
  /// cancelled, the pool is closed nevertheless and only the wait is cut short.
  task<void> close();

  bool closed() const noexcept;
  /// True while there is no session and the last attempt to open one failed: what asks for one now waits in vain, most
  /// likely. `run`, or whoever waits, goes on trying.
  bool unreachable() const noexcept;
  pool_stats stats() const noexcept;
  const pool_options& options() const noexcept;

 private:
  struct implementation;
  std::shared_ptr<implementation> implementation_;
};

/// A session on loan; goes back when destroyed. Move-only. May outlive its pool: the session is closed then.
///
/// Giving it back takes no time: what has to be cleaned is cleaned before the next user gets it. So are settings that
/// its statements changed (SET, PRAGMA, temporary tables, locks); what a function or a trigger changes unseen is not:
/// call `connection::reset`, or `discard` the lease.
class [[nodiscard]] pool::lease {
 public:
  /// Holds nothing.
  lease() noexcept = default;
  lease(lease&& other) noexcept;
  lease& operator=(lease&& other) noexcept;
  ~lease() { release(); }

  /// True while it holds a session.
  explicit operator bool() const noexcept { return connection_ != nullptr; }
  connection& operator*() const noexcept { return *connection_; }
  connection* operator->() const noexcept { return connection_.get(); }

  /// Gives the session back now.
  void release() noexcept;
  /// Closes the session instead of giving it back.
  void discard() noexcept;

 private:
  friend struct pool::implementation;
  lease(std::shared_ptr<implementation> home, std::size_t slot, std::unique_ptr<connection> c) noexcept;

  std::shared_ptr<implementation> home_;
  std::unique_ptr<connection> connection_;  // null while the slot has none yet
  std::size_t slot_ = 0;
};

namespace detail {

template <class T, class Body>
task<T> use_pool(std::unique_ptr<pool> p, Body body) {
  task_group keeper;
  keeper.start_background(p->run(), "pool");
  std::exception_ptr failure;
  std::optional<penstock::detail::stored<T>> value;
  try {
    task<T> running = body(*p);
    if constexpr (std::is_void_v<T>) {
      co_await std::move(running);
      value.emplace();
    } else {
      value.emplace(co_await std::move(running));
    }
  } catch (...) {
    failure = std::current_exception();
  }
  task<void> closing = shield(p->close());
  co_await std::move(closing);
  try {
    task<void> kept = keeper.join();
    co_await std::move(kept);
  } catch (...) {
    if (!value) penstock::detail::attach_unless_cancellation(failure, std::current_exception());
  }
  if (failure) std::rethrow_exception(failure);
  if constexpr (!std::is_void_v<T>) co_return std::move(*value);
}

}  // namespace detail

/// Opens a pool, runs it in the background, and gives what `body(pool&)`, a task, gives. The pool is closed on every
/// path, a cancellation included, before this ends; `body` is kept alive until then.
template <class Body>
auto with_pool(database to, pool_options options, Body body) {
  using result_task = std::invoke_result_t<Body&, pool&>;
  return detail::use_pool<typename result_task::value_type>(std::make_unique<pool>(std::move(to), std::move(options)),
                                                            std::move(body));
}

}  // namespace penstock::db

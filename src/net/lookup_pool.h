#pragma once

// Host names that are looked up for the tasks of one loop. getaddrinfo(3) can't be interrupted, and takes minutes when
// name servers are silent: so lookups have threads of their own, and neither `on_worker` nor the loop's end waits for
// them.

#include "address.h"
#include "penstock/async/scheduler.h"
#include "penstock/async/suspension.h"

#include <coroutine>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace penstock::net {

class lookup_pool;
class lookup_wait;
struct lookup_waiter_hook : detail::list_hook {};

// A name that is looked up, for all that ask for it meanwhile. In the pool's queue until a thread takes it.
struct lookup final : detail::list_hook, std::enable_shared_from_this<lookup> {
  struct way_back : work_item {
    explicit way_back(lookup& l) noexcept : work_item(&on_loop), owner(l) {}
    lookup& owner;
  };

  lookup(lookup_pool& p, endpoint w, std::string n) : pool(p), where(std::move(w)), name(std::move(n)) {}
  static void on_loop(work_item& w) noexcept;

  lookup_pool& pool;  // the loop's
  const endpoint where;
  const std::string name;
  detail::list<lookup_wait, lookup_waiter_hook> waiting;  // the loop's
  resolution result;                                      // its thread's, until that has posted `back`
  way_back back{*this};
  std::shared_ptr<lookup> self;  // while `back` is posted
};

// Invariants: a thread runs only while it looks up or lookups are queued; a lookup that nobody waits for is in the
// queue no more; a thread that is late touches nothing of the loop's.
class lookup_pool {
 public:
  lookup_pool(scheduler& home, std::size_t most_threads);
  lookup_pool(const lookup_pool&) = delete;
  lookup_pool& operator=(const lookup_pool&) = delete;
  ~lookup_pool() { close(); }

  // The lookup of this endpoint that is under way, or a new one. Throws std::system_error when not one thread can be
  // started.
  std::shared_ptr<lookup> join(const endpoint& where);
  // Nobody waits for it any more: one that has not started never does.
  void abandon(lookup& l) noexcept;
  // Forgets what is queued, and leaves to themselves the threads that look up. Idempotent; nothing joins afterwards.
  void close() noexcept;

 private:
  friend struct lookup;
  struct shared;
  static void work(const std::shared_ptr<shared>& state) noexcept;
  void queue(lookup& l);

  std::size_t most_threads_;
  std::shared_ptr<shared> shared_;
  std::unordered_map<std::string_view, std::shared_ptr<lookup>> under_way_;  // by their names
};

// Awaits the addresses of an endpoint.
class [[nodiscard]] lookup_wait final : public suspension, private lookup_waiter_hook {
 public:
  lookup_wait(lookup_pool& pool, const endpoint& where) noexcept : pool_(pool), where_(where) {}
  ~lookup_wait() { leave(); }

  bool await_ready() noexcept { return check_cancelled(); }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> task) {
    lookup_ = pool_.join(where_);
    suspend(task.promise());
    lookup_->waiting.push_back(*this);
  }
  std::vector<socket_address> await_resume() {
    throw_if_cancelled();
    return addresses_of(lookup_->result);
  }
  std::string_view waiting_for() const noexcept override { return "the resolver"; }
  void finished() noexcept { wake(); }

 private:
  friend class detail::list<lookup_wait, lookup_waiter_hook>;
  void leave() noexcept;
  void cancel() noexcept override {
    leave();
    wake_cancelled();
  }

  lookup_pool& pool_;
  const endpoint& where_;
  std::shared_ptr<lookup> lookup_;
};

}  // namespace penstock::net

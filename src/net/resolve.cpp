#include "address.h"
#include "penstock/async/suspension.h"
#include "penstock/net/error.h"
#include "penstock/net/resolver.h"

#include <exception>
#include <memory>
#include <utility>

#include <arpa/inet.h>

// getaddrinfo(3) can't be interrupted, so a lookup belongs to its waiter only as long as that waits: a waiter that is
// cancelled lets go of it, and the lookup destroys itself when it is back on the loop.

namespace penstock::net {
namespace {

class lookup_wait;

struct lookup {
  struct item : work_item {
    item(work_item::function run, lookup& l) noexcept : work_item(run), owner(l) {}
    lookup& owner;
  };

  lookup(endpoint w, scheduler& s, lookup_wait& waiting) : where(std::move(w)), home(s), waiter(&waiting) {}
  static void on_worker(work_item& w) noexcept;
  static void on_loop(work_item& w) noexcept;

  endpoint where;
  scheduler& home;
  lookup_wait* waiter;  // the loop's
  std::vector<socket_address> found;
  std::exception_ptr failure;
  item there{&on_worker, *this};
  item back{&on_loop, *this};
};

class lookup_wait final : public suspension {
 public:
  explicit lookup_wait(const endpoint& where) noexcept : where_(where) {}
  ~lookup_wait() {
    if (!under_way_) return;
    lookup_->waiter = nullptr;
    static_cast<void>(lookup_.release());
  }

  bool await_ready() noexcept { return check_cancelled(); }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> task) {
    suspend(task.promise());
    lookup_ = std::make_unique<lookup>(where_, waiting_scheduler(), *this);
    waiting_scheduler().run_blocking(lookup_->there);
    under_way_ = true;
  }
  std::vector<socket_address> await_resume() {
    throw_if_cancelled();
    if (lookup_->failure) std::rethrow_exception(std::exchange(lookup_->failure, nullptr));
    return std::move(lookup_->found);
  }
  std::string_view waiting_for() const noexcept override { return "the resolver"; }

  void finished() noexcept {
    under_way_ = false;
    if (!was_cancelled()) wake();
  }

 private:
  void cancel() noexcept override { wake_cancelled(); }

  const endpoint& where_;
  std::unique_ptr<lookup> lookup_;
  bool under_way_ = false;
};

void lookup::on_worker(work_item& w) noexcept {
  lookup& self = static_cast<item&>(w).owner;
  try {
    self.found = resolve_blocking(self.where, false);
  } catch (...) {
    self.failure = std::current_exception();
  }
  self.home.post_from_any_thread(self.back);
}

void lookup::on_loop(work_item& w) noexcept {
  lookup& self = static_cast<item&>(w).owner;
  if (self.waiter != nullptr)
    self.waiter->finished();
  else
    delete &self;
}

bool may_block(const endpoint& where) {
  if (where.type() == endpoint::kind::unix_socket) return false;
  in6_addr address;
  return ::inet_pton(AF_INET, where.host().c_str(), &address) != 1 &&
         ::inet_pton(AF_INET6, where.host().c_str(), &address) != 1;
}

}  // namespace

task<std::vector<socket_address>> resolve(const endpoint& where) {
  if (!may_block(where)) co_return resolve_blocking(where, false);
  lookup_wait waiting(where);
  co_return co_await waiting;
}

task<std::vector<std::string>> resolve_host(std::string host) {
  endpoint where = endpoint::tcp(std::move(host), 0);
  std::vector<socket_address> found = co_await resolve(where);
  std::vector<std::string> addresses;
  addresses.reserve(found.size());
  for (const socket_address& address : found) addresses.push_back(describe_address(address).host());
  co_return addresses;
}

}  // namespace penstock::net

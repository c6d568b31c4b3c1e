#include "penstock/net/event_loop.h"

#include "event_loop_implementation.h"
#include "penstock/async/error.h"
#include "penstock/async/scheduler_observer.h"
#include "penstock/net/asio.h"

#include <algorithm>
#include <random>

#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>

// One turn: fire due timers, run what is ready, then let Asio run one handler, waiting for it only when nothing is
// ready. Asio's handlers only queue tasks, so a task never runs inside one.
//
// A loop that was held up (the process was stopped, or the machine) finds limits passed although what they wait for has
// long come: there the sockets go first.

namespace penstock::net {
namespace {

// Enough to amortise a look at the sockets, few enough that they are looked at every some ten microseconds.
constexpr std::size_t items_per_turn = 64;

// Those that wait for silent name servers sleep for the most part. Enough for many such names beside those that answer.
constexpr std::size_t most_lookup_threads = 64;

constexpr duration held_up = std::chrono::milliseconds(100);  // past a deadline; much longer than a turn takes

// Asio adds what it is to wait to the time, which overflows for a limit as far off as `duration::max()`.
constexpr duration longest_wait = std::chrono::hours(1);

// Stands behind all that is ready now.
struct last_item : work_item {
  last_item() noexcept : work_item([](work_item& self) noexcept { static_cast<last_item&>(self).was_run = true; }) {}
  bool was_run = false;
};

time_point read_clock() noexcept { return std::chrono::steady_clock::now(); }

std::uint64_t random_seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

std::unique_ptr<event_loop::implementation> start(event_loop& loop, std::size_t worker_threads) {
  try {
    return std::make_unique<event_loop::implementation>(loop, worker_threads);
  } catch (const boost::system::system_error& e) {
    throw_if_failed(e.code(), "starting an event loop");
    throw;
  }
}

}  // namespace

// What a handler owns may leave more to be destroyed as it goes.
void loop_sockets::end() noexcept {
  {
    std::lock_guard lock(entrance);
    has_ended = true;
  }
  set.end();
  for (int pass = 0; pass < 2; ++pass) context.shutdown();
}

event_loop::implementation::implementation(event_loop& owner, std::size_t worker_threads)
    : loop(owner), workers(worker_threads), lookups(owner, most_lookup_threads) {}

event_loop::event_loop(const event_loop_options& options)
    : implementation_(start(*this, options.worker_threads)), now_(read_clock()) {
  note_real_operation("starting an event loop");  // it has threads, and the system's clock
  seed(random_seed());
}

event_loop::~event_loop() {
  // What these threads posted last has to be let go. A task that is ready is somebody's still, and no longer goes on.
  implementation_->lookups.close();
  implementation_->workers.close();
  implementation_->take_remote();
  running_scope running(*this);
  while (has_ready()) {
    work_item& item = ready().pop_front();
    if (task_of(item) == nullptr) item.run();
  }
}

event_loop& event_loop::current() {
  if (auto* loop = dynamic_cast<event_loop*>(&scheduler::current())) return *loop;
  throw error(async_errc::no_scheduler, "this needs an event loop: the running task is on another scheduler");
}

time_point event_loop::now() const noexcept { return now_; }

system_time event_loop::wall_now() const noexcept { return std::chrono::system_clock::now(); }

void event_loop::post_from_any_thread(work_item& item) {
  implementation& self = *implementation_;
  std::lock_guard lock(self.remote_mutex);
  self.remote.push_back(&item);
  if (self.wake_up_queued) return;
  self.wake_up_queued = true;
  boost::asio::post(self.context, [&self] { self.take_remote(); });
}

void event_loop::implementation::take_remote() noexcept {
  {
    std::lock_guard lock(remote_mutex);
    taken.swap(remote);
    wake_up_queued = false;
  }
  for (work_item* item : taken) loop.post(*item);
  taken.clear();
}

void event_loop::run_blocking(work_item& item) { implementation_->workers.queue(item); }

void event_loop::run_until(const bool& done, detail::scope_state&) {
  running_scope running(*this);
  for (;;) {
    now_ = read_clock();
    if (std::optional<time_point> first = next_deadline(); first && *first <= now_ - held_up) [[unlikely]] {
      implementation_->context.poll();
      last_item last;
      post(last);
      while (!last.was_run) run_ready(1);
    }
    fire_timers(now_);
    run_ready(items_per_turn);
    if (done) return;
    // However busy tasks and timers are, each turn looks at the sockets.
    if (has_ready())
      implementation_->context.poll_one();
    else
      implementation_->wait_for_sockets(next_deadline());
  }
}

void event_loop::implementation::wait_for_sockets(std::optional<time_point> limit) {
  if (!limit) {
    context.run_one();
    return;
  }
  time_point now = read_clock();
  if (*limit <= now)
    context.poll_one();
  else
    context.run_one_for(std::min(*limit - now, longest_wait));
}

boost::asio::io_context& io_context_of(event_loop& loop) { return loop.native().context; }

asio_detail::loop_executor::loop_executor(event_loop& loop)
    : sockets_(loop.native().sockets), inner_(sockets_->context.get_executor()) {}

std::unique_lock<std::mutex> asio_detail::loop_executor::enter() const {
  std::unique_lock lock(sockets_->entrance);
  if (sockets_->has_ended) lock.unlock();
  return lock;
}

}  // namespace penstock::net

#include "penstock/async/detail/worker_call.h"

#include "penstock/async/error.h"

#include <atomic>
#include <utility>

namespace penstock::detail {

struct worker_call::shared {
  struct item : work_item {
    item(work_item::function run, shared& s) noexcept : work_item(run), state(s) {}
    shared& state;
  };

  explicit shared(scheduler& s) noexcept : home(s) {}
  static void on_worker_thread(work_item& w) noexcept;
  static void on_loop(work_item& w) noexcept;

  scheduler& home;
  function run = nullptr;
  void* context = nullptr;
  completion done = nullptr;
  bool abandoned = false;  // the loop's
  std::exception_ptr failure;
  std::atomic<bool> returned = false;
  item there{&on_worker_thread, *this};
  item back{&on_loop, *this};
  std::shared_ptr<shared> self;  // until the way back has ended
};

void worker_call::shared::on_worker_thread(work_item& w) noexcept {
  shared& state = static_cast<item&>(w).state;
  try {
    state.run(state.context);
  } catch (...) {
    state.failure = std::current_exception();
  }
  state.returned.store(true, std::memory_order_release);
  state.returned.notify_one();
  state.home.post_from_any_thread(state.back);
}

void worker_call::shared::on_loop(work_item& w) noexcept {
  shared& state = static_cast<item&>(w).state;
  std::shared_ptr<shared> last = std::move(state.self);
  if (!state.abandoned)
    state.done(state.context);
  else if (state.failure)
    report_unhandled_error(std::move(state.failure), "a worker thread, for a task that was destroyed");
}

worker_call::worker_call(function run, void* context, completion done) noexcept
    : run_(run), context_(context), done_(done) {}

worker_call::~worker_call() = default;

void worker_call::start(scheduler& home) {
  shared_ = std::make_shared<shared>(home);
  shared_->run = run_;
  shared_->context = context_;
  shared_->done = done_;
  shared_->self = shared_;
  try {
    home.run_blocking(shared_->there);
  } catch (...) {
    shared_->self.reset();
    shared_.reset();
    throw;
  }
}

void worker_call::wait_if_running(bool was_asked_to_end) noexcept {
  if (!shared_) return;
  shared_->returned.wait(false, std::memory_order_acquire);
  shared_->abandoned = true;
  if (was_asked_to_end) shared_->failure = nullptr;
}

void worker_call::rethrow() const {
  if (shared_ && shared_->failure) std::rethrow_exception(std::exchange(shared_->failure, nullptr));
}

}  // namespace penstock::detail

#include "run_at_risk.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <string_view>
#include <utility>

#include <unistd.h>

// What runs in a signal's handler, or when a sanitizer ends the program, only writes to standard error.

// There when a sanitizer is.
extern "C" [[gnu::weak]] void __sanitizer_set_death_callback(void (*callback)());

namespace penstock::testing {
namespace {

// How a program ends that is not well; a failed assertion, std::terminate and the watchdog abort.
constexpr std::array<int, 5> signals = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};

std::array<struct sigaction, signals.size()> actions_before;
// For a stack that has overflowed.
std::array<std::byte, 64 * 1024> other_stack;
stack_t stack_before;

std::atomic<run_at_risk*> newest = nullptr;
std::atomic<bool> told = false;

void write_all(std::string_view text) noexcept {
  while (!text.empty()) {
    ssize_t n = ::write(STDERR_FILENO, text.data(), text.size());
    if (n <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

}  // namespace

run_at_risk::run_at_risk(std::string line) : line_(std::move(line) + "\n"), outer_(newest.exchange(this)) {
  if (outer_ != nullptr) return;
  stack_t other{};
  other.ss_sp = other_stack.data();
  other.ss_size = other_stack.size();
  ::sigaltstack(nullptr, &stack_before);
  if ((stack_before.ss_flags & SS_DISABLE) != 0) ::sigaltstack(&other, nullptr);
  struct sigaction ours {};
  ours.sa_sigaction = &on_signal;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
  for (std::size_t i = 0; i < signals.size(); ++i) ::sigaction(signals[i], &ours, &actions_before[i]);
  if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(&tell);
}

run_at_risk::~run_at_risk() {
  newest = outer_;
  if (outer_ != nullptr) return;
  if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(nullptr);
  for (std::size_t i = 0; i < signals.size(); ++i) ::sigaction(signals[i], &actions_before[i], nullptr);
  if ((stack_before.ss_flags & SS_DISABLE) != 0) ::sigaltstack(&stack_before, nullptr);
}

void run_at_risk::tell() noexcept {
  const run_at_risk* run = newest;
  if (run == nullptr || told.exchange(true)) return;
  write_all("\nthe program ended in the middle of a run\n");
  write_all(run->line_);
}

// Whoever had the signal before gets it then: a fault happens again when this returns, what was sent is sent again.
void run_at_risk::on_signal(int number, siginfo_t* info, void*) {
  tell();
  for (std::size_t i = 0; i < signals.size(); ++i)
    if (signals[i] == number) ::sigaction(number, &actions_before[i], nullptr);
  if (info->si_code <= 0) ::raise(number);
}

}  // namespace penstock::testing

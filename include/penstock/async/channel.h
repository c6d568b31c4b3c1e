#pragma once

// A bounded queue between tasks: a full one makes senders wait, so that memory has a ceiling.
//
//   channel<job> jobs(64);
//   co_await jobs.send(std::move(j));                                  // producers
//   while (std::optional<job> j = co_await jobs.receive()) work(*j);   // consumers, until closed and empty

#include "penstock/async/detail/list.h"
#include "penstock/async/detail/ring.h"
#include "penstock/async/error.h"
#include "penstock/async/suspension.h"

#include <cstddef>
#include <exception>
#include <optional>
#include <utility>

namespace penstock {

/// A first-in first-out channel for several senders and receivers of one thread. It outlives them.
///
/// Invariants: values are received in the order they were sent; nobody waits to receive while a value is there;
/// nobody waits to send while there is room. A value whose send was cancelled was not sent; one that a receiver was
/// handed is not lost when the receiver is cancelled afterwards, save that destroying the receiver's frame drops it.
/// A send whose value throws when it is moved fails with that, and harms no receiver and no other sender.
template <class T>
class channel {
 public:
  class send_awaiter;
  class receive_awaiter;

  /// Holds at most `capacity` values; 0 hands each value over directly.
  explicit channel(std::size_t capacity) : capacity_(capacity) {}
  channel(const channel&) = delete;
  channel& operator=(const channel&) = delete;

  /// Awaits room and sends. Throws `async_errc::channel_closed` when the channel is or gets closed first.
  send_awaiter send(T value) { return send_awaiter(*this, std::move(value)); }
  /// Awaits a value; nullopt when the channel is closed and empty.
  receive_awaiter receive() noexcept { return receive_awaiter(*this); }
  /// Sends when there is room; false, with `value` untouched, when there is none or the channel is closed.
  bool try_send(T& value) {
    if (closed_) return false;
    return offer(value);
  }
  /// Receives when a value is there.
  std::optional<T> try_receive() {
    std::optional<T> value;
    if (!values_.empty()) {
      value.emplace(values_.pop_front());
      take_from_sender([this](T&& sent) { values_.push_back(std::move(sent)); });
    } else {
      take_from_sender([&](T&& sent) { value.emplace(std::move(sent)); });
    }
    return value;
  }
  /// No more values: waiting senders fail, receivers get what is left, then nullopt. Idempotent.
  void close() noexcept {
    closed_ = true;
    while (!senders_.empty()) senders_.pop_front().wake();
    while (!receivers_.empty()) receivers_.pop_front().wake();
  }

  bool closed() const noexcept { return closed_; }
  /// Values held, without those of waiting senders.
  std::size_t size() const noexcept { return values_.size(); }
  std::size_t capacity() const noexcept { return capacity_; }

 private:
  struct waiter_hook : detail::list_hook {};

  // Whoever waits leaves the queue when its value has arrived: a move that throws leaves it there.
  bool offer(T& value) {
    if (!receivers_.empty()) {
      receive_awaiter& first = receivers_.front();
      first.value_.emplace(std::move(value));
      receivers_.pop_front();
      first.wake();
      return true;
    }
    if (values_.size() >= capacity_) return false;
    values_.push_back(std::move(value));
    return true;
  }
  // Of the first sender whose value can be moved. Whoever receives is not to blame for the others.
  template <class Take>
  void take_from_sender(Take take) noexcept {
    while (!senders_.empty()) {
      send_awaiter& first = senders_.pop_front();
      try {
        take(std::move(first.value_));
        first.sent_ = true;
      } catch (...) {
        first.failure_ = std::current_exception();
      }
      first.wake();
      if (first.sent_) return;
    }
  }

  std::size_t capacity_;
  bool closed_ = false;
  detail::ring<T> values_;
  detail::list<send_awaiter, waiter_hook> senders_;
  detail::list<receive_awaiter, waiter_hook> receivers_;
};

/// Awaitable of `channel::send`.
template <class T>
class [[nodiscard]] channel<T>::send_awaiter : public suspension, private channel<T>::waiter_hook {
 public:
  send_awaiter(channel& owner, T&& value) : owner_(owner), value_(std::move(value)) {}
  bool await_ready() {
    if (check_cancelled() || owner_.closed_) return true;
    sent_ = owner_.offer(value_);
    return sent_;
  }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> task) noexcept {
    suspend(task.promise());
    owner_.senders_.push_back(*this);
  }
  void await_resume() const {
    throw_if_cancelled();
    if (failure_) std::rethrow_exception(failure_);
    if (!sent_) throw error(async_errc::channel_closed, "a value was sent to a closed channel");
  }
  std::string_view waiting_for() const noexcept override { return "room in a channel"; }

 private:
  friend class channel;
  friend class detail::list<send_awaiter, waiter_hook>;
  void cancel() noexcept override {
    waiter_hook::unlink();
    wake_cancelled();
  }

  channel& owner_;
  T value_;
  bool sent_ = false;
  std::exception_ptr failure_;
};

/// Awaitable of `channel::receive`.
template <class T>
class [[nodiscard]] channel<T>::receive_awaiter : public suspension, private channel<T>::waiter_hook {
 public:
  explicit receive_awaiter(channel& owner) noexcept : owner_(owner) {}
  bool await_ready() {
    if (check_cancelled()) return true;
    value_ = owner_.try_receive();
    return value_.has_value() || owner_.closed_;
  }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> task) noexcept {
    suspend(task.promise());
    owner_.receivers_.push_back(*this);
  }
  std::optional<T> await_resume() {
    throw_if_cancelled();
    return std::move(value_);
  }
  std::string_view waiting_for() const noexcept override { return "a value from a channel"; }

 private:
  friend class channel;
  friend class detail::list<receive_awaiter, waiter_hook>;
  void cancel() noexcept override {
    waiter_hook::unlink();
    wake_cancelled();
  }

  channel& owner_;
  std::optional<T> value_;
};

}  // namespace penstock

#pragma once

// What the requests under way hold together of one kind of memory, so that however many they are, it has a bound. Each
// may hold a little whatever the others have; one that is alone may hold all it needs, however small the bound is.
// Where there is no room, one that may wait does, and who has held some for long without getting on gives way to it.

#include "penstock/async/cancel.h"
#include "penstock/async/detail/list.h"
#include "penstock/async/event.h"
#include "penstock/async/scheduler.h"
#include "penstock/async/task.h"
#include "penstock/observe/detail/owned_count.h"

#include <cstddef>

namespace penstock::ingest {

class memory_share;

class memory_room {
 public:
  explicit memory_room(std::size_t most_bytes) noexcept : most_(most_bytes) {}
  memory_room(const memory_room&) = delete;
  memory_room& operator=(const memory_room&) = delete;

  bool is_full() const noexcept { return taken_ >= most_; }
  std::size_t taken_bytes() const noexcept { return taken_; }

 private:
  friend class memory_share;
  void revoke_idle(std::size_t wanted_bytes, time_point now) noexcept;

  std::size_t most_;
  std::size_t uncounted_ = 0;  // what those have that wait with it
  metrics::detail::owned_count taken_;
  penstock::detail::list<memory_share> holders_;  // who got on last is last
  event given_back_;
};

// One request's part of it, given back when it is gone. The room outlives it.
class memory_share : private penstock::detail::list_hook {
 public:
  static constexpr std::size_t few_bytes = std::size_t{16} << 10;

  explicit memory_share(memory_room& of) noexcept : room_(of) {}
  memory_share(const memory_share&) = delete;
  memory_share& operator=(const memory_share&) = delete;
  ~memory_share() { hold_anyway(0); }

  // Holds so many bytes in place of those it held. False where these are more and there is no room: then it holds
  // what it held.
  bool hold(std::size_t bytes) noexcept;
  void hold_anyway(std::size_t bytes) noexcept;
  // As `hold`, after waiting for room for at most so long.
  task<bool> wait_for_room(duration patience, std::size_t bytes);
  // The same where the bytes are taken already: then few may wait at a time, and others are told false at once where
  // there is no room.
  task<bool> wait_with_bytes(duration patience, std::size_t bytes);

  bool holds_any() const noexcept { return taken_ > 0; }
  // What it holds is of use: it is not taken for that of a client that has stopped.
  void get_on() noexcept;
  // Runs a wait for the client, which is cancelled where others need what is held, and it has not got on for long. Then
  // this says so.
  template <class T>
  task<T> wait_revocably(task<T> waiting) {
    cancel_scope scope;
    revocable here(*this, scope);
    task<T> running = scope.run(std::move(waiting));
    co_return co_await std::move(running);
  }
  bool was_revoked() const noexcept { return was_revoked_; }

 private:
  friend class memory_room;
  friend class penstock::detail::list<memory_share>;

  struct revocable {
    revocable(memory_share& of, cancel_scope& scope) noexcept : share(of) { share.waiting_ = &scope; }
    revocable(const revocable&) = delete;
    revocable& operator=(const revocable&) = delete;
    ~revocable() { share.waiting_ = nullptr; }
    memory_share& share;
  };

  static constexpr std::size_t counted(std::size_t bytes) noexcept { return bytes > few_bytes ? bytes : 0; }

  memory_room& room_;
  std::size_t taken_ = 0;
  time_point got_on_;
  cancel_scope* waiting_ = nullptr;
  bool was_revoked_ = false;
};

}  // namespace penstock::ingest

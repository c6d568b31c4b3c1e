#pragma once

// The keys of requests under way in this process: a request with a key that is there waits until it has gone. Where the
// one that had it failed, those that waited fail with it: they would try the same in vain, one after another.

#include "penstock/async/event.h"
#include "penstock/async/task.h"

#include <exception>
#include <map>
#include <memory>
#include <string>
#include <utility>

namespace penstock::ingest {

// On one thread. Outlives its holds.
class keys_in_flight {
 public:
  // Has a key until it is destroyed.
  class hold {
   public:
    hold() noexcept = default;
    hold(keys_in_flight& home, std::string key) : home_(&home), key_(std::move(key)) {}
    explicit hold(std::exception_ptr failure) noexcept : failure_(std::move(failure)) {}
    hold(hold&& other) noexcept
        : home_(std::exchange(other.home_, nullptr)),
          key_(std::move(other.key_)),
          failure_(std::move(other.failure_)) {}
    hold& operator=(hold&& other) noexcept {
      std::swap(home_, other.home_);
      std::swap(key_, other.key_);
      std::swap(failure_, other.failure_);
      return *this;
    }
    ~hold() {
      if (home_ != nullptr) home_->release(key_, std::move(failure_));
    }

    // Why the one that was waited for failed, and this one with it, without a key.
    const std::exception_ptr& failure() const noexcept { return failure_; }
    // Lets those that wait for this one fail with it.
    void fail(std::exception_ptr why) noexcept { failure_ = std::move(why); }

   private:
    keys_in_flight* home_ = nullptr;
    std::string key_;
    std::exception_ptr failure_;
  };

  // Waits until nobody has the key, or until the one that has it fails.
  task<hold> acquire(std::string key);

 private:
  struct turn {
    event ended;
    std::exception_ptr failure;
  };
  void release(const std::string& key, std::exception_ptr failure) noexcept;

  std::map<std::string, std::shared_ptr<turn>> held_;
};

}  // namespace penstock::ingest

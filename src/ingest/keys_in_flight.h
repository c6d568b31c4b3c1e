#pragma once

// The keys of requests under way in this process: a request with a key that is there waits until it has gone.

#include "penstock/async/event.h"
#include "penstock/async/task.h"

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
    hold(hold&& other) noexcept : home_(std::exchange(other.home_, nullptr)), key_(std::move(other.key_)) {}
    hold& operator=(hold&& other) noexcept {
      std::swap(home_, other.home_);
      std::swap(key_, other.key_);
      return *this;
    }
    ~hold() {
      if (home_ != nullptr) home_->release(key_);
    }

   private:
    keys_in_flight* home_ = nullptr;
    std::string key_;
  };

  // Waits until nobody has the key.
  task<hold> acquire(std::string key);

 private:
  void release(const std::string& key) noexcept;

  std::map<std::string, std::shared_ptr<event>> held_;
};

}  // namespace penstock::ingest

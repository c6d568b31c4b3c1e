#include "keys_in_flight.h"

namespace penstock::ingest {

task<keys_in_flight::hold> keys_in_flight::acquire(std::string key) {
  for (auto taken = held_.find(key); taken != held_.end(); taken = held_.find(key)) {
    std::shared_ptr<event> released = taken->second;
    co_await released->wait();
  }
  held_.emplace(key, std::make_shared<event>());
  co_return hold(*this, std::move(key));
}

void keys_in_flight::release(const std::string& key) noexcept {
  auto mine = held_.find(key);
  std::shared_ptr<event> released = std::move(mine->second);
  held_.erase(mine);
  released->set();
}

}  // namespace penstock::ingest

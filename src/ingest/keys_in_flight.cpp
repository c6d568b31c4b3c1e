#include "keys_in_flight.h"

namespace penstock::ingest {

task<keys_in_flight::hold> keys_in_flight::acquire(std::string key) {
  for (auto taken = held_.find(key); taken != held_.end(); taken = held_.find(key)) {
    std::shared_ptr<turn> before = taken->second;
    co_await before->ended.wait();
    if (before->failure) co_return hold(before->failure);
  }
  held_.emplace(key, std::make_shared<turn>());
  co_return hold(*this, std::move(key));
}

void keys_in_flight::release(const std::string& key, std::exception_ptr failure) noexcept {
  auto mine = held_.find(key);
  std::shared_ptr<turn> ended = std::move(mine->second);
  held_.erase(mine);
  ended->failure = std::move(failure);
  ended->ended.set();
}

}  // namespace penstock::ingest

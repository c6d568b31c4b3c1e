#pragma once

// Makes many long answers follow one another: a batch may answer hundreds of requests at once, and rendering so many
// results of each in one turn of the loop would keep all others waiting for seconds.

#include "penstock/async/semaphore.h"
#include "penstock/async/task.h"
#include "penstock/async/timeout.h"

#include <cstddef>

namespace penstock::ingest {

class long_answers {
 public:
  // Whether to await `turn` before an answer of about so many bytes is rendered.
  static constexpr bool is_long(std::size_t bytes) noexcept { return bytes > (std::size_t{64} << 10); }
  // Comes once a turn of the loop.
  task<void> turn() {
    semaphore::permit mine = co_await one_.acquire();
    co_await sleep_for(duration::zero());
  }

 private:
  semaphore one_{1};
};

}  // namespace penstock::ingest

#pragma once

// Which sessions a service holds, and whether they are any good.

#include "penstock/db/pool.h"
#include "penstock/ingest/service.h"
#include "penstock/observe/metrics.h"

#include <cstdint>
#include <optional>

namespace penstock::ingest {

db::pool_options writing_pool_options(const service_options& options, const db::database& store,
                                      metrics::registry& measure);

db::pool_options reading_pool_options(const service_options& options, metrics::registry& measure);

// Goes through the sessions until one answers; those that are lost are seen to be, and one is opened then.
task<void> ping_any(db::pool& sessions);

// Whether a database answers, for who asks now and then.
class store_probe {
 public:
  // `committed_at` is when a batch went in last. Takes a second at most.
  task<bool> finds_it(db::pool& sessions, time_point committed_at);

 private:
  struct silence {
    time_point since;
    std::uint64_t connects;  // before it
  };
  std::optional<silence> silence_;  // of a session that was asked last, and is none of the pool's any more
};

}  // namespace penstock::ingest

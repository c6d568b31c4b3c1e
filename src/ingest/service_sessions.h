#pragma once

// Which sessions a service holds, and whether they are any good.

#include "penstock/db/pool.h"
#include "penstock/ingest/service.h"
#include "penstock/observe/metrics.h"

namespace penstock::ingest {

db::pool_options writing_pool_options(const service_options& options, const db::database& store,
                                      metrics::registry& measure);

db::pool_options reading_pool_options(const service_options& options, metrics::registry& measure);

// Goes through the sessions until one answers; those that are lost are seen to be, and one is opened then.
task<void> ping_any(db::pool& sessions);

}  // namespace penstock::ingest

#pragma once

// `penstock check`: looks at the store that a configuration names, and says what would go wrong, before it does.

#include "app/check/report.h"
#include "app/serve/config.h"
#include <penstock/async/task.h>

namespace penstock::app::check {

/// Connects, examines the server, and compares each stream's table with the one that is there. Makes neither tables nor
/// files, but puts a SQLite file that is there into WAL mode, as serving does. A server that can't be reached is a
/// finding too.
task<void> check_store(const serve_config& config, report& into);

}  // namespace penstock::app::check

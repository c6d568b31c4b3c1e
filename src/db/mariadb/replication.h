#pragma once

// Whether the other servers of a URL have what was acknowledged.

#include "../server_settings.h"
#include "grants.h"
#include "penstock/db/examination.h"

#include <vector>

namespace penstock::db::mariadb {

// What may be missing after a failover from a server with these settings and states. Nothing of a cluster, which has
// findings of its own, of a group, nor of a server that takes no writes.
std::vector<finding> replication_findings(const server_settings& settings);

// What to set the server's read_only, as before another one takes over, does not stop. Nothing of the same servers.
std::vector<finding> switchover_findings(const server_settings& settings, const grants& of_account);

}  // namespace penstock::db::mariadb

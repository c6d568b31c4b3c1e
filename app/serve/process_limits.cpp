// Invariant: a limit is only ever raised.

#include "app/serve/process_limits.h"

#include "app/error.h"
#include <penstock/observe/log.h>

#include <algorithm>
#include <string>

#include <sys/resource.h>

namespace penstock::app {
namespace {
// What the process needs besides: databases and their journals, logs, the loop's own.
constexpr std::uint64_t spare_descriptors = 256;
}  // namespace

void allow_descriptors(std::uint64_t connections, std::uint64_t least) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  rlim_t wanted = static_cast<rlim_t>(connections + spare_descriptors);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min(wanted, limit.rlim_max);
  bool raised = ::setrlimit(RLIMIT_NOFILE, &limit) == 0;
  if (raised && limit.rlim_cur >= wanted) return;
  if (limit.rlim_cur < least)
    throw error(app_errc::too_few_descriptors,
                "the process may have " + std::to_string(limit.rlim_cur) +
                    " descriptors, which lets it serve nobody: it needs " + std::to_string(least) + ", and " +
                    std::to_string(wanted) + " for http.max_connections; raise the limit (ulimit -n, LimitNOFILE=)");
  log::warn(
      "fewer descriptors than http.max_connections needs: raise the limit (ulimit -n, LimitNOFILE=)",
      {{"descriptors", static_cast<std::uint64_t>(limit.rlim_cur)}, {"needed", static_cast<std::uint64_t>(wanted)}});
}

}  // namespace penstock::app

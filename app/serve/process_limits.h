#pragma once

#include <cstdint>

namespace penstock::app {

/// Raises the process's limit of descriptors (getrlimit(2), RLIMIT_NOFILE) for so many connections, as far as it may;
/// warns in the log when that is not enough. Throws `app_errc::too_few_descriptors` when it is fewer than `least`.
void allow_descriptors(std::uint64_t connections, std::uint64_t least);

}  // namespace penstock::app

#include "penstock/testing/allow_real_io.h"

// Invariant: as many guards as exist on a thread are counted there.

namespace penstock::testing {
namespace {
constinit thread_local int guards = 0;
}  // namespace

allow_real_io::allow_real_io() noexcept { ++guards; }
allow_real_io::~allow_real_io() { --guards; }
bool allow_real_io::in_force() noexcept { return guards > 0; }

}  // namespace penstock::testing

#pragma once

namespace penstock::net {

// What a listener does when accept(2) has failed.
enum class after_accept {
  goes_on,  // the failure was that of one connection
  pauses,   // nothing can be accepted for now, and who waits goes on to wait: trying again at once would spin
  ends,
};

after_accept after_failed_accept(int error_number) noexcept;

}  // namespace penstock::net

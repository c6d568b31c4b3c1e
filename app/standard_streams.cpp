// Invariant: a descriptor is opened only while those below it are, so that open(2) gives just the one that is missing.

#include "app/standard_streams.h"

#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

namespace penstock::app {

void hold_closed_streams() noexcept {
  struct {
    int descriptor;
    int how;  // the other way than it is used, so that who asks for it is told
  } constexpr streams[] = {{STDIN_FILENO, O_WRONLY}, {STDOUT_FILENO, O_RDONLY}, {STDERR_FILENO, O_RDWR}};
  for (const auto& stream : streams)
    if (::fcntl(stream.descriptor, F_GETFD) < 0 && errno == EBADF && ::open("/dev/null", stream.how) < 0) return;
}

bool standard_input_is_open() noexcept {
  int flags = ::fcntl(STDIN_FILENO, F_GETFL);
  return flags >= 0 && (flags & O_ACCMODE) != O_WRONLY;
}

}  // namespace penstock::app

#pragma once

// A simulated task may do nothing that can't be repeated, and that virtual time does not wait for. Whatever does so
// announces it with `note_real_operation` (async/scheduler_observer.h), as sockets do, and fails. This lets a task do
// it knowingly.
//
//   task<> reads(path file) { note_real_operation("reading " + file.string()); … }
//   allow_real_io guard;
//   co_await reads(file);                // done at once; it costs no virtual time

namespace penstock::testing {

/// While one exists, real operations are allowed on this thread. What needs an event loop (sockets) still can't run in
/// a simulation: use PENSTOCK_TEST_REAL_TIME for it.
class [[nodiscard]] allow_real_io {
 public:
  allow_real_io() noexcept;
  allow_real_io(const allow_real_io&) = delete;
  allow_real_io& operator=(const allow_real_io&) = delete;
  ~allow_real_io();

  /// True while a guard exists on this thread.
  static bool in_force() noexcept;
};

}  // namespace penstock::testing

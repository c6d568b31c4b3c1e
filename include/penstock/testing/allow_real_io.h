#pragma once

// A simulated task may open no real socket and no file, and start no thread: what they do can't be repeated, and
// virtual time does not wait for them. This lets a task do so knowingly.
//
//   allow_real_io guard;
//   db::database on_disk("sqlite:" + file);     // its calls are made at once, and cost no virtual time

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

#pragma once

namespace penstock::app {

/// Makes this process's heap one that grows in steps of 32 MiB, the first of huge pages where the kernel gives those on
/// request (transparent_hugepage is `madvise`), and that keeps what it has had: batches are made of megabytes, and a
/// page fault for each 4 KiB of them costs more than what is done with it, above all in a virtual machine. Call it
/// once, before other threads start. Only with glibc's own malloc, and where neither address space nor data is limited
/// (`ulimit -v`, `-d`); elsewhere it does nothing.
void prepare_heap() noexcept;

}  // namespace penstock::app

#pragma once

// A batch in which some row waits for a lock that another session of the database holds, maybe for long.

#include "penstock/ingest/coalescer.h"

namespace penstock::ingest {

// Another session holds a lock that the batch needs.
bool waits_for_lock(const std::exception_ptr& failure) noexcept;

// Commits what of a batch is not set apart, in parts, each in a transaction of its own: a part that waits for a lock is
// divided, down to single submissions, which are set apart then, and so is what is left when that takes long. A
// submission on its last try is divided into its rows, and those that wait are given up. `at_once`: whether the first
// part is all of it. `commit` is given batches without shares, and sets nothing apart.
task<void> commit_in_parts(batch& whole, bool at_once, const coalescer::commit_function& commit);

}  // namespace penstock::ingest

#pragma once

// A batch that failed and that some row may have failed for: it waits for a lock that another session of the database
// holds, maybe for long, or it makes what the table does with each row fail.

#include "penstock/ingest/coalescer.h"

namespace penstock::ingest {

// Another session holds a lock that the batch needs.
bool waits_for_lock(const std::exception_ptr& failure) noexcept;

// A limit on time ended it: the database's, or the committer's.
bool takes_too_long(const std::exception_ptr& failure) noexcept;

// The database's complaint is none that it has of a row's values, and none that passes: it is about the statement, or
// of an unknown kind, or a limit on the statement's time ended it. So may be what a function says, or takes, that a
// trigger, a check or a generated column gives a value to.
bool may_be_of_one_row(const std::exception_ptr& failure) noexcept;

// Commits what of a batch is not set apart, in parts, each in a transaction of its own: a part that waits for a lock is
// divided, down to single submissions, which are set apart then, and so is what is left when that takes long. A
// submission on its last try is divided into its rows, and those that wait are given up. So is a part whose failure may
// be of one row: each row that has it by itself is given up, and so is the rest where many have it and none goes in.
// What takes too long is tried once more when all others have been. Throws the failure where nothing else came of any
// row, and each was tried. `at_once`: whether the first part is all of it. `longest`: where it is the last chance of
// some, and a share of it otherwise. `commit`, and `commit_row` for what should have longer since it is tried for the
// last time here, are given batches without shares, and set nothing apart.
task<void> commit_in_parts(batch& whole, bool at_once, duration longest, const coalescer::commit_function& commit,
                           const coalescer::commit_function& commit_row);

}  // namespace penstock::ingest

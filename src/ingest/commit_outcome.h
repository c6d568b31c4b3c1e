#pragma once

// What an attempt to commit a batch would make of it, should it be committed.

#include "keyed_request.h"
#include "penstock/db/connection.h"

#include <optional>
#include <vector>

namespace penstock::ingest {

struct commit_outcome {
  db::batch_report report;
  // Of each of the batch's groups: the answer that its key has already. Empty when no key was found.
  std::vector<std::optional<kept_answer>> found;
  // Of each of them that had none: the answer to it, whether it is kept or not.
  std::vector<kept_answer> made;
};

}  // namespace penstock::ingest

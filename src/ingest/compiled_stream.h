#pragma once

// A checked stream definition as the parser works with it.

#include "column_rule.h"
#include "penstock/db/table.h"
#include "penstock/ingest/stream_definition.h"
#include "pointer_tree.h"

#include <vector>

namespace penstock::ingest {

struct compiled_stream {
  stream_definition definition;
  db::table_definition table;
  std::vector<column_rule> rules;  ///< One a column of the definition; none when items are kept whole.
  pointer_tree tree;
  bool has_json_columns = false;
};

}  // namespace penstock::ingest

#pragma once

// A stream definition, checked and made ready: the table it writes to and how an item becomes a row.
//
//   item_schema schema(definition);              // throws when the definition is wrong
//   item_parser parser(schema);
//   if (auto wrong = parser.add(text, rows)) reject(*wrong);

#include "penstock/db/table.h"
#include "penstock/ingest/stream_definition.h"

#include <memory>

namespace penstock::ingest {

/// A checked stream definition. Immutable; cheap to copy, copies share their content.
class item_schema {
 public:
  /// Throws `ingest_errc::bad_stream` naming the stream, the column and what is wrong: a bad name, a malformed JSON
  /// pointer, a column twice, a key of unknown columns, required with a default, a default that does not fit.
  explicit item_schema(stream_definition definition);

  const stream_definition& definition() const noexcept;
  /// The table: the columns in the order of an item's cells. A stream without columns has `data` (json, required) and
  /// `created_at` (timestamp, required; the time at which the item was taken in).
  const db::table_definition& table() const noexcept;

 private:
  friend class item_parser;
  struct implementation;
  std::shared_ptr<const implementation> implementation_;
};

}  // namespace penstock::ingest

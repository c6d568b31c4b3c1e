#pragma once

// A stream definition, checked and made ready: the table it writes to and how an item becomes a row.
//
//   item_schema schema(definition);              // throws when the definition is wrong
//   item_parser parser(schema);
//   if (auto wrong = parser.add(text, now, rows)) reject(*wrong);

#include "penstock/db/table.h"
#include "penstock/ingest/stream_definition.h"

#include <memory>

namespace penstock::ingest {

struct compiled_stream;

/// A checked stream definition. Immutable; cheap to copy, copies share their content.
class item_schema {
 public:
  /// Throws `ingest_errc::bad_stream` naming the stream, the column and what is wrong: a bad name, a malformed JSON
  /// pointer, a column twice (names that differ in case only are one to most databases), one named like the generated
  /// `id`, a key of unknown columns, required with a default, a default that does not fit, a blob.
  explicit item_schema(stream_definition definition);

  /// As given, save that the key's columns without a default are required: NULLs are never equal to a unique index.
  const stream_definition& definition() const noexcept;
  /// The table: the columns in the order of an item's cells. A stream without columns has `data` (json, required) and
  /// `created_at` (timestamp, required; the time at which the item was taken in).
  const db::table_definition& table() const noexcept;

 private:
  friend class item_parser;
  std::shared_ptr<const compiled_stream> compiled_;
};

}  // namespace penstock::ingest

#pragma once

// The items of one request or batch on their way through a stream: parsed into rows, submitted, and matched with what
// became of them.

#include "item_ledger.h"
#include "keyed_request.h"
#include "stream_writer.h"

#include <cstddef>
#include <memory>
#include <string_view>

namespace penstock::ingest {

class intake {
 public:
  // Throws `ingest_errc::overloaded` and `closed` as `submission` does.
  intake(stream_writer& into, kept_results keep);
  // One whose rows go into one batch, together and only with `join`. Taking more than a batch holds throws
  // `ingest_errc::keyed_request_too_large`.
  intake(stream_writer& into, kept_results keep, submission::in_one_batch together);

  // While one lives, more items are at hand; see `submission::more_at_hand`.
  submission::more_at_hand more_at_hand() noexcept { return submission::more_at_hand(rows_); }
  // Parses an item and submits its row, or ends it as rejected. `text` as `item_parser::add` takes it.
  void take(std::string_view text, std::uint64_t line);
  // Ends an item that never became a row.
  void reject(item_error why, std::uint64_t line) { ledger_.reject(std::move(why), line); }
  // Ends the items whose outcome is known by now: whoever is slow to send holds nothing of others' batches then.
  void collect();
  // True when `make_room` must be awaited before the next item is taken.
  bool should_wait() const noexcept { return rows_.should_wait(); }
  task<void> make_room();
  // Submits the rows that were held together.
  void join(std::shared_ptr<keyed_request> with, std::size_t answer_bytes) {
    rows_.join(std::move(with), answer_bytes);
  }
  // Waits until the batches with its rows are committed or have failed.
  task<void> committed() { return rows_.committed(); }
  // Waits until every item has ended, and counts them.
  task<void> finish();

  const item_ledger& ledger() const noexcept { return ledger_; }
  item_ledger& ledger() noexcept { return ledger_; }

 private:
  stream_writer& into_;
  submission rows_;
  db::timestamp taken_in_;
  item_ledger ledger_;
};

}  // namespace penstock::ingest

#pragma once

// A data processor to embed: items in, an end for each of them out. Each item goes through a coroutine of yours, so
// many at a time, and what comes of it is committed in batches. Use `service` instead where items come over HTTP.
//
//   processor orders(db::database("sqlite:shop.db"), {.stream = {.name = "orders", .table = "orders"}}, check_order);
//   co_await orders.open();
//   batch_result r = co_await orders.process(std::move(items));
//   co_await orders.close();

#include "penstock/async/cancel.h"
#include "penstock/async/task.h"
#include "penstock/db/connection.h"
#include "penstock/ingest/coalescer.h"
#include "penstock/ingest/item_result.h"
#include "penstock/ingest/stream_definition.h"

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace penstock::metrics {
class registry;
}

namespace penstock::ingest {

/// What a processor does when it is asked to process while it is busy.
enum class admission {
  wait,    ///< The call waits for its turn, first come first served.
  reject,  ///< The call throws `ingest_errc::busy` at once.
};

/// How a processor works.
struct processor_options {
  stream_definition stream = {.name = "items", .table = "processed_data"};
  std::size_t max_concurrency = 10;  ///< Items in the step at a time, of each batch; at least 1.
  /// Batches processed at a time, at least 1; with more the processor is busy. Raise it where many tasks bring small
  /// batches: they then share commits.
  std::size_t max_batches = 1;
  admission when_busy = admission::wait;
  coalescer_options commits = {};
  std::size_t max_item_bytes = std::size_t{1} << 20;  ///< Larger ones are rejected, "item.too_large".
};

/// How a batch ended: a result for each item, in order.
struct batch_result {
  item_counts counts;
  std::vector<item_result> items;
};

/// What is done to each item before it is stored: JSON text in, the JSON text to store out. When it throws, the item is
/// rejected with the exception's code and message, its neighbours go on, and the traceback is logged.
using processing_step = std::function<task<std::string>(std::string item)>;

/// Processes batches of items into one table. Belongs to one loop; usable from many tasks of it at once.
///
/// Make it in the task whose scope it shall live in: its committing runs below that scope, from `open` to `close`.
class processor {
 public:
  /// Throws `ingest_errc::bad_stream` for a wrong stream. Without a step, items are stored as they come. `measure`
  /// outlives the processor; null: `metrics::default_registry()`.
  explicit processor(db::database database, processor_options options = {}, processing_step step = {},
                     metrics::registry* measure = nullptr);
  processor(const processor&) = delete;
  processor& operator=(const processor&) = delete;
  /// Call `close` before, on every path, or use `with_processor`; without it, batches under way are given up.
  ~processor();

  /// Connects, and makes the table or checks it. Throws `db::database_error`. Once; before the first batch.
  task<void> open();
  /// Runs each item through the step and stores it; ends when every item has ended. Items end well or badly one by one,
  /// only a batch as a whole throws: `ingest_errc::busy`, `closed` (before `open` and from `close` on), `overloaded`.
  /// When cancelled, steps under way are cancelled; items that were handed to the database may be committed.
  task<batch_result> process(std::vector<std::string> items);
  /// Items stored so far.
  std::uint64_t processed_count() const noexcept;
  /// How all items so far ended; those that a cancelled `process` had handed to the database count when that is known.
  const item_counts& counts() const noexcept;
  /// True while as many batches are under way as it takes.
  bool busy() const noexcept;
  /// Takes no more batches, waits for those under way, commits them, and closes the connections. Idempotent.
  task<void> close();

 private:
  struct implementation;
  std::unique_ptr<implementation> implementation_;
};

/// Opens a processor, runs `body(processor)`, and closes the processor on every path. Throws what opening, the body or
/// closing throws.
template <class Body>
task<void> with_processor(db::database database, processor_options options, processing_step step, Body body) {
  processor p(std::move(database), std::move(options), std::move(step));
  std::exception_ptr failure;
  try {
    task<void> opening = p.open();
    co_await std::move(opening);
    task<void> running = body(p);
    co_await std::move(running);
  } catch (...) {
    failure = std::current_exception();
  }
  task<void> closing = shield(p.close());
  co_await std::move(closing);
  if (failure) std::rethrow_exception(failure);
}

}  // namespace penstock::ingest

#pragma once

// The ingest service: its streams behind HTTP, on one database. What `penstock serve` runs.
//
//   service s(db::database("sqlite:shop.db"), {.streams = {{.name = "items", .table = "items"}}});
//   bool ready = co_await s.open();           // connects, makes or checks the tables
//   group.start(s.run());
//   http::router routes; s.add_routes(routes);
//   …serve; then: s.stop();                   // once no request is under way

#include "penstock/db/connection.h"
#include "penstock/http/router.h"
#include "penstock/ingest/coalescer.h"
#include "penstock/ingest/stream_definition.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace penstock::metrics {
class registry;
}

namespace penstock::ingest {

/// What a service serves, and its bounds.
struct service_options {
  std::vector<stream_definition> streams;
  coalescer_options batch = {};                           ///< Of each stream.
  std::size_t max_item_bytes = std::size_t{1} << 20;      ///< Larger items are rejected, "item.too_large".
  std::uint64_t max_body_bytes = std::uint64_t{1} << 30;  ///< Of a request's body once decoded.
  /// How long the body of a request with an Idempotency-Key may take, whose rows wait for its end; beyond, 408.
  duration keyed_body_timeout = std::chrono::seconds(60);
  /// Bytes that the requests whose bodies are being read hold together, for items that are not whole yet and what
  /// decoding takes; each has 16 KiB beside, and one alone what it needs. One that needs more gets 503.
  std::size_t reading_bytes = std::size_t{256} << 20;
  /// Bytes of answers that clients have not taken yet, all together, 16 KiB of each beside. Beyond, reading back gets
  /// 503, and the results that others keep of their items are few.
  std::size_t answer_bytes = std::size_t{256} << 20;
  std::size_t max_results = 10'000;    ///< Results listed in one answer, at least 1; all are counted.
  std::size_t max_page_items = 1'000;  ///< Of `?limit=` where items are read back as JSON.
  std::size_t read_connections = 2;    ///< For reading back; beyond, reads wait in turn.
  /// How long reading an item or a page back may take, waiting for a connection included; then it is refused as if the
  /// database were away.
  duration read_timeout = std::chrono::seconds(30);
  duration retry_after = std::chrono::seconds(1);  ///< What a refused client is told to wait.
  /// How long the answer to a request with an Idempotency-Key is kept. Longer than any client repeats a request.
  duration keep_answers = std::chrono::hours(24);
};

/// How many sessions with the database a service with these options holds at most: those for reading back, and on a
/// server `batch.commits_in_flight` for each stream, up to 32 or one stream's where that is more.
std::size_t used_sessions(const service_options& options, const db::database& store);
/// The tables that a service makes for itself, beside those of its streams.
std::vector<db::table_definition> own_tables(const db::database& store);
/// The tables that a service with these options uses: for `db::expected_load`. Throws as `item_schema` does when a
/// stream's definition is wrong.
std::vector<db::used_table> used_tables(const service_options& options);

/// Streams over HTTP. Belongs to one loop.
///
///     POST /v1/{stream}                one JSON value, a JSON array, or NDJSON; gzip or zstd encoded too
///     GET  /v1/{stream}/{id}           one item
///     GET  /v1/{stream}?after=&limit=  items by ascending id, as JSON; as NDJSON, all of them, with that Accept
///     GET  /healthz, /readyz, /metrics
///
/// Every request is answered after its items were committed. Order within one request is kept. One that carries an
/// Idempotency-Key is stored in one transaction together with its answer, and a repeat gets that answer again.
class service {
 public:
  /// Throws `ingest_errc::bad_stream` for a wrong definition, or two streams of one name or table. `measure` outlives
  /// the service; null: `metrics::default_registry()`.
  service(db::database database, service_options options, metrics::registry* measure = nullptr);
  service(const service&) = delete;
  service& operator=(const service&) = delete;
  ~service();

  /// Connects, makes the tables that are missing and checks the others; once, before `run`. True: ready from now on.
  /// False: the database can't be reached; `run` goes on trying, and until then items are refused with 503. Throws
  /// `db::database_error` for what time does not heal.
  task<bool> open();
  /// Adds the routes. They refer to the service.
  void add_routes(http::router& routes);
  /// Commits batches until `stop`, then what is left, closes the database's connections, and ends. Start it once.
  /// Opens the service first when `open` could not, and throws what that throws.
  task<void> run();
  /// `/readyz` says 503 from now on; requests are still served, but items that wait for a lock no longer do.
  void stop_being_ready() noexcept;
  /// Takes no more items; `run` commits what it has and ends. Call it when no request is under way any more.
  void stop() noexcept;

 private:
  struct implementation;
  std::unique_ptr<implementation> implementation_;
};

}  // namespace penstock::ingest

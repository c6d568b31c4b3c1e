#include "penstock/ingest/service.h"

#include "commit_marker.h"
#include "idempotency_table.h"
#include "penstock/async/error.h"
#include "penstock/async/event.h"
#include "penstock/async/task_group.h"
#include "penstock/async/timeout.h"
#include "penstock/core/nearest.h"
#include "penstock/core/traceback.h"
#include "penstock/db/error.h"
#include "penstock/db/pool.h"
#include "penstock/http/problem.h"
#include "penstock/ingest/error.h"
#include "penstock/observe/detail/gauge_part.h"
#include "penstock/observe/log.h"
#include "service_sessions.h"
#include "stream_endpoint.h"
#include "stream_writer.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

// Streams share one pool of writing connections, whose waiters are served in turn: where the database takes one writer
// at a time, as SQLite does, no stream's batches hold another's up for more than one commit. On a server there are
// enough for all streams: one whose table is locked holds up no other.

namespace penstock::ingest {
namespace {

// A database that was away at the start is asked so often, for so long each time, and the log says so often that it is.
constexpr auto pause_before_opening = std::chrono::milliseconds(500);
constexpr auto opening_takes_at_most = std::chrono::seconds(10);
constexpr auto away_is_reported_every = std::chrono::seconds(5);
constexpr auto warming_up_takes_at_most = std::chrono::seconds(1);
constexpr auto rehearsing_takes_about = std::chrono::milliseconds(250);
// Sessions of a SQLite database in memory share its cache and refuse one another while one writes: they take turns.
bool is_in_memory(const db::database& database) { return database.name().starts_with("sqlite::memory:"); }

service_options fitting_options(service_options options, const db::database& database) {
  options.batch = fitting(options.batch, database);
  options.max_results = std::max<std::size_t>(1, options.max_results);
  return options;
}

// Whether time, or another server, may heal what a start has failed for; what it was doing may be done again. A file
// that may not be written, or has no room, is at hand for who starts the service, and no other takes over for it.
bool may_heal(const db::database_error& why, const db::database& store) {
  bool takes_no_writes = why.errc() == db::db_errc::read_only || why.errc() == db::db_errc::full;
  if (takes_no_writes) return store.commits_can_be_ambiguous();
  return why.is_transient() || why.errc() == db::db_errc::ambiguous_commit;
}

}  // namespace

std::vector<db::table_definition> own_tables(const db::database& store) {
  std::vector<db::table_definition> tables = {idempotency_table()};
  if (store.commits_can_be_ambiguous()) tables.push_back(commit_marker::table());
  return tables;
}

std::vector<db::used_table> used_tables(const service_options& options) {
  std::vector<db::used_table> tables;
  tables.reserve(options.streams.size() + 2);
  for (const stream_definition& stream : options.streams)
    tables.push_back({stream.table, {"SELECT", "INSERT"}, item_schema(stream).table().id_column});
  tables.push_back({commit_marker::table().name, {"SELECT", "INSERT", "UPDATE", "DELETE"}});
  tables.push_back({idempotency_table().name, {"SELECT", "INSERT", "DELETE"}});
  return tables;
}

struct service::implementation {
  struct stream {
    stream(const stream_definition& definition, implementation& home)
        : writer(item_schema(definition), home.database, home.writers, home.options.batch, home.measure),
          endpoint(writer, home.reading(), home.writers, home.options, home.memory, home.measure) {}
    stream_writer writer;
    stream_endpoint endpoint;
  };

  implementation(db::database d, service_options o, metrics::registry& m);
  implementation(const implementation&) = delete;
  implementation& operator=(const implementation&) = delete;
  ~implementation() { measure.remove_hook(gauge_hook); }

  db::pool& reading() { return is_in_memory(database) ? writers : readers; }
  stream& find(const http::request& r);
  void add_stream_route(http::router& routes, const char* method, const char* pattern,
                        task<http::response> (stream_endpoint::*handle)(http::request&));
  static task<http::response> refuse(const stream_endpoint& endpoint, const http::request& r);
  task<http::response> readiness(http::request& r);
  const stream* failing() const;
  task<void> forget_answers();
  task<bool> forget_some();
  void report_not_forgotten(const db::database_error& why);
  task<void> prepare();
  task<void> warm_up();
  task<void> rehearse_on_all();
  task<void> rehearse(db::connection& session);
  task<void> open_sometime(service& self);
  void report_away(const std::exception_ptr& why);

  db::database database;
  service_options options;
  metrics::registry& measure;
  db::pool writers;
  db::pool readers;
  request_memory memory;
  metrics::detail::gauge_part reading_bytes, answer_bytes;
  std::uint64_t gauge_hook = 0;
  std::map<std::string, stream, std::less<>> streams;
  store_probe probe;
  bool opened = false;
  bool leaving = false;
  event stopping;
  std::int64_t forgotten_up_to = 0;  // an id of table penstock_idempotency
  bool answers_are_gone = false;     // and the log has said so
  std::optional<time_point> away_reported;
};

service::implementation::implementation(db::database d, service_options o, metrics::registry& m)
    : database(std::move(d)),
      options(fitting_options(std::move(o), database)),
      measure(m),
      writers(database, writing_pool_options(options, database, measure)),
      readers(database, reading_pool_options(options, measure)),
      memory(options),
      reading_bytes(measure.gauge("penstock_reading_bytes",
                                  "Bytes that requests hold of items that are not whole yet, and to decompress.")),
      answer_bytes(measure.gauge("penstock_answer_bytes", "Bytes of long answers that clients have not taken yet.")) {
  std::map<std::string, std::string> table_owners;
  for (const stream_definition& definition : options.streams) {
    auto [owner, free] = table_owners.emplace(definition.table, definition.name);
    if (!free)
      throw error(ingest_errc::bad_stream, "streams '" + owner->second + "' and '" + definition.name +
                                               "' both write to table '" + definition.table + "'");
    if (!streams.try_emplace(definition.name, definition, *this).second)
      throw error(ingest_errc::bad_stream, "stream '" + definition.name + "' is defined twice");
  }
  if (streams.empty()) throw error(ingest_errc::bad_stream, "no stream is defined");
  gauge_hook = measure.add_hook([this] {
    reading_bytes.show(memory.reading.taken_bytes());
    answer_bytes.show(memory.answers.taken_bytes());
  });
}

service::service(db::database database, service_options options, metrics::registry* measure)
    : implementation_(std::make_unique<implementation>(std::move(database), std::move(options),
                                                       measure != nullptr ? *measure : metrics::default_registry())) {}

service::~service() = default;

task<bool> service::open() {
  std::exception_ptr away;
  try {
    task<void> preparing = with_timeout(opening_takes_at_most, implementation_->prepare());
    co_await std::move(preparing);
    implementation_->opened = true;
    co_return true;
  } catch (const timed_out&) {
    away = std::current_exception();
  } catch (const db::database_error& e) {
    if (!may_heal(e, implementation_->database)) throw;
    away = std::current_exception();
  }
  implementation_->report_away(away);
  co_return false;
}

task<void> service::implementation::prepare() {
  task<std::unique_ptr<db::connection>> connecting = database.connect();
  std::unique_ptr<db::connection> session = co_await std::move(connecting);
  for (auto& [name, stream] : streams) {
    task<void> preparing = stream.writer.prepare(*session);
    co_await std::move(preparing);
  }
  task<void> preparing_answers = session->prepare_table(idempotency_table());
  co_await std::move(preparing_answers);
  session.reset();
  task<void> warming = warm_up();
  co_await std::move(warming);
}

// Opens so many sessions as one stream needs, and makes them ready for batches: the first requests then need not wait
// for that. Fewer when the database has no more.
task<void> service::implementation::warm_up() {
  std::string reason;
  try {
    task<void> opening = with_timeout(warming_up_takes_at_most, rehearse_on_all());
    co_await std::move(opening);
    co_return;
  } catch (const timed_out& e) {
    reason = e.what();
  } catch (const db::database_error& e) {
    reason = e.what();
  }
  log::info("not all connections for writing were made ready beforehand: first batches may take longer",
            {{"wanted", options.batch.commits_in_flight}, {"reason", reason}});
}

task<void> service::implementation::rehearse_on_all() {
  std::vector<db::pool::lease> sessions;  // all of them held until the end, or the same one would come again
  co_await with_task_group([&](task_group& group) -> task<void> {
    while (sessions.size() < options.batch.commits_in_flight) {
      auto acquiring = writers.acquire();
      sessions.push_back(co_await std::move(acquiring));
      group.start(rehearse(*sessions.back()), "rehearsal");
    }
  });
}

// With very many streams, the last ones go without.
task<void> service::implementation::rehearse(db::connection& session) {
  const scheduler& clock = scheduler::current();
  time_point enough = clock.now() + rehearsing_takes_about;
  for (auto& [name, stream] : streams) {
    if (clock.now() > enough) co_return;
    task<void> rehearsing = stream.writer.rehearse(session);
    co_await std::move(rehearsing);
  }
}

void service::implementation::report_away(const std::exception_ptr& why) {
  time_point now = scheduler::current().now();
  if (away_reported && now - *away_reported < away_is_reported_every) return;
  away_reported = now;
  log::warn("waiting for the database: items are refused until it can be reached",
            {{"store", database.name()}, {"reason", describe(why)}});
}

// Ends early when the service is stopped.
task<void> service::implementation::open_sometime(service& self) {
  const auto until_stopped = [this]() -> task<void> { co_await stopping.wait(); };
  while (!opened && !stopping.is_set()) {
    try {
      task<void> pausing = with_timeout(pause_before_opening, until_stopped());
      co_await std::move(pausing);
      co_return;
    } catch (const timed_out&) {
    }
    task<bool> trying = self.open();
    bool ready = co_await std::move(trying);
    if (ready) log::info("the database is there: items are taken", {{"store", database.name()}});
  }
}

task<void> service::run() {
  task<void> opening = implementation_->open_sometime(*this);
  co_await std::move(opening);
  if (!implementation_->opened) co_return;
  co_await with_task_group([this](task_group& group) -> task<void> {
    group.start_background(implementation_->writers.run(), "writing connections");
    group.start_background(implementation_->readers.run(), "reading connections");
    group.start_background(implementation_->forget_answers(), "old answers");
    for (auto& [name, stream] : implementation_->streams) group.start(stream.writer.run(), "stream " + name);
    co_return;
  });
  co_await implementation_->readers.close();
  co_await implementation_->writers.close();
}

// Deletes few answers at a time, so that no batch waits for it for long.
task<void> service::implementation::forget_answers() {
  constexpr duration often = std::chrono::seconds(1);
  constexpr duration seldom = std::chrono::minutes(1);
  duration pause = std::clamp<duration>(options.keep_answers / 100, often, seldom);
  for (bool more = false;;) {
    co_await sleep_for(more ? often / 20 : pause);
    more = false;  // NOLINT(clang-analyzer-deadcode.DeadStores): what follows may throw
    try {
      task<bool> forgetting = with_timeout(options.batch.attempt_timeout, forget_some());
      more = co_await std::move(forgetting);
      answers_are_gone = false;
    } catch (const timed_out& e) {
      log::info("old answers were not deleted", {{"reason", e.what()}});
    } catch (const db::database_error& e) {
      report_not_forgotten(e);
    }
  }
}

// Requests without a key may go on to be stored, so that nothing else tells of a table that somebody has dropped.
void service::implementation::report_not_forgotten(const db::database_error& why) {
  if (why.errc() == db::db_errc::syntax && !std::exchange(answers_are_gone, true))
    log::error(
        "table penstock_idempotency can't be used: requests with an Idempotency-Key fail until it is there "
        "again; a restart makes it",
        {{"reason", why.what()}});
  else
    log::debug("old answers were not deleted", {{"reason", why.what()}});
}

// A batch may wait for the session: one whose server says nothing, or that waits for a lock, is not kept when cut
// short.
task<bool> service::implementation::forget_some() {
  auto acquiring = writers.acquire();
  db::pool::lease session = co_await std::move(acquiring);
  try {
    task<bool> forgetting = forget_some_answers(*session, options.keep_answers, forgotten_up_to);
    co_return co_await std::move(forgetting);
  } catch (const operation_cancelled&) {
    session.discard();
    throw;
  }
}

void service::stop_being_ready() noexcept {
  implementation_->leaving = true;
  for (auto& [name, stream] : implementation_->streams) stream.writer.queue().stop_waiting_apart();
}

void service::stop() noexcept {
  stop_being_ready();
  implementation_->stopping.set();
  for (auto& [name, stream] : implementation_->streams) stream.writer.queue().stop();
}

void service::add_routes(http::router& routes) {
  implementation& all = *implementation_;
  all.add_stream_route(routes, "POST", "/v1/{stream}", &stream_endpoint::take);
  all.add_stream_route(routes, "GET", "/v1/{stream}", &stream_endpoint::list);
  all.add_stream_route(routes, "GET", "/v1/{stream}/{id}", &stream_endpoint::show);
  routes.add("GET", "/healthz", [](http::request&) -> task<http::response> {
    co_return http::response::json(200, "{\"status\":\"ok\"}\n");
  });
  routes.add("GET", "/readyz", [&all](http::request& r) { return all.readiness(r); });
  routes.add("GET", "/metrics", [&all](http::request&) -> task<http::response> {
    http::response page(200, all.measure.render());
    page.headers.emplace_back("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    co_return page;
  });
}

void service::implementation::add_stream_route(http::router& routes, const char* method, const char* pattern,
                                               task<http::response> (stream_endpoint::*handle)(http::request&)) {
  routes.add(method, pattern, [this, handle](http::request& r) {
    stream_endpoint& endpoint = find(r).endpoint;
    return opened ? (endpoint.*handle)(r) : refuse(endpoint, r);
  });
}

task<http::response> service::implementation::refuse(const stream_endpoint& endpoint, const http::request& r) {
  co_return endpoint.refusal(r);
}

service::implementation::stream& service::implementation::find(const http::request& r) {
  std::string_view name = r.parameter("stream");
  auto found = streams.find(name);
  if (found != streams.end()) return found->second;
  std::vector<std::string_view> known;
  known.reserve(streams.size());
  for (const auto& [known_name, stream] : streams) known.push_back(known_name);
  throw http::problem_error(404, ingest_errc::unknown_stream,
                            "there is no stream '" + std::string(name) + "'" + suggestion(name, known));
}

task<http::response> service::implementation::readiness(http::request&) {
  if (leaving) co_return http::response::json(503, "{\"status\":\"stopping\"}\n");
  if (!opened) co_return http::response::json(503, "{\"status\":\"starting\"}\n");
  time_point committed_at{};
  for (const auto& [name, stream] : streams) committed_at = std::max(committed_at, stream.writer.committed_at());
  task<bool> probing = probe.finds_it(writers, committed_at);
  bool is_reached = co_await std::move(probing);
  if (!is_reached) co_return http::response::json(503, "{\"status\":\"failing\",\"store\":\"unreachable\"}\n");
  if (const stream* s = failing())
    co_return http::response::json(503,
                                   R"({"status":"failing","stream":)" + http::json_string(s->writer.name()) + "}\n");
  co_return http::response::json(200, "{\"status\":\"ready\"}\n");
}

const service::implementation::stream* service::implementation::failing() const {
  for (const auto& [name, stream] : streams)
    if (stream.writer.failing()) return &stream;
  return nullptr;
}

}  // namespace penstock::ingest

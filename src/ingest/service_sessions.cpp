#include "service_sessions.h"

#include "penstock/async/timeout.h"
#include "penstock/db/error.h"
#include "stream_writer.h"

#include <algorithm>
#include <utility>

namespace penstock::ingest {
namespace {

// A server serves only so many sessions well; with more streams than that, some take turns.
constexpr std::size_t most_writing_sessions = 32;
// For what waits for locks.
constexpr std::size_t waiting_sessions = 1;
constexpr auto probing_takes_at_most = std::chrono::seconds(1);
// The server may need them elsewhere, and the account may have no more than these.
constexpr auto spare_writing_sessions_are_kept = std::chrono::seconds(10);

std::size_t writing_sessions(const service_options& options, const db::database& store) {
  std::size_t of_a_stream = fitting(options.batch, store).commits_in_flight;
  if (!store.commits_can_be_ambiguous()) return of_a_stream;
  return std::max(of_a_stream, std::min(options.streams.size() * of_a_stream, most_writing_sessions)) +
         waiting_sessions;
}

}  // namespace

std::size_t used_sessions(const service_options& options, const db::database& store) {
  return options.read_connections + writing_sessions(options, store);
}

// The sessions beyond one stream's share are opened when streams commit at the same time.
db::pool_options writing_pool_options(const service_options& options, const db::database& store,
                                      metrics::registry& measure) {
  db::pool_options pool = session_pool_options("writers", options.batch.commits_in_flight, measure);
  pool.max_size = writing_sessions(options, store);
  pool.idle_timeout = spare_writing_sessions_are_kept;
  return pool;
}

// What bounds a read bounds its wait for a session.
db::pool_options reading_pool_options(const service_options& options, metrics::registry& measure) {
  db::pool_options pool = session_pool_options("readers", options.read_connections, measure);
  pool.acquire_timeout = options.read_timeout;
  pool.refuse_when_unreachable = true;
  return pool;
}

task<void> ping_any(db::pool& sessions) {
  for (;;) {
    try {
      auto acquiring = sessions.acquire();
      db::pool::lease one = co_await std::move(acquiring);
      task<void> pinging = one->ping();
      co_await std::move(pinging);
      co_return;
    } catch (const db::database_error& e) {
      if (e.errc() != db::db_errc::connection_lost) throw;
    }
  }
}

// Where all sessions are in use, batches tell soon enough; where some are free, nothing else may ask for long.
task<bool> store_probe::finds_it(db::pool& sessions, time_point committed_at) {
  if (sessions.unreachable()) co_return false;
  db::pool_stats now = sessions.stats();
  if (silence_ && (now.connects > silence_->connects || committed_at > silence_->since)) silence_.reset();
  if (now.idle == 0) co_return !silence_;
  try {
    task<void> probing = with_timeout(probing_takes_at_most, ping_any(sessions));
    co_await std::move(probing);
    silence_.reset();
    co_return true;
  } catch (const timed_out&) {
  } catch (const db::database_error&) {
  }
  silence_ = silence{scheduler::current().now(), sessions.stats().connects};
  co_return false;
}

}  // namespace penstock::ingest

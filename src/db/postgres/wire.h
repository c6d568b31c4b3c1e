#pragma once

// libpq's side of a session: what goes out at once, in pipeline mode, and what comes back. Invariant: between trips
// nothing is under way (`idle`); a trip that was cut short leaves what is still to come, and `drain` takes it in. A
// wire that was hung up is still there for whoever waits on it, and is lost: libpq takes its null handle for one that
// is not connected.

#include "binding.h"
#include "fields.h"
#include "penstock/async/task.h"
#include "penstock/net/descriptor.h"
#include "startup.h"

#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <libpq-fe.h>

namespace penstock::db::postgres {

// Gets each result of a trip, with the place of its command in it, counted from 0.
using result_taker = std::function<void(std::size_t command, const PGresult* r)>;

class wire {
 public:
  // Takes over a session that is connected. On the loop that it is to run on.
  explicit wire(connection_handle connected);
  wire(const wire&) = delete;
  wire& operator=(const wire&) = delete;
  ~wire() { hang_up(); }

  // Says goodbye and closes the connection. What waits for the server then ends as lost, and so does what comes later.
  void hang_up() noexcept;
  // Null when hung up.
  PGconn* handle() const noexcept { return connection_.get(); }
  bool connected() const noexcept { return PQstatus(handle()) == CONNECTION_OK; }
  bool closed() const noexcept { return handle() == nullptr; }
  bool alive() const noexcept { return !broken_ && connected(); }
  bool idle() const noexcept { return commands_ == 0 && syncs_ == 0 && !plain_; }

  // Put a command of the coming trip into the buffer, and give its place. Strings are copied.
  // `types`: of the first parameters; the server finds out those of the others.
  std::size_t prepare(const std::string& name, const std::string& sql, std::span<const Oid> types = {});
  std::size_t describe(const std::string& name);
  std::size_t execute(const std::string& name, const bound_values& values, bool binary);
  std::size_t execute(const std::string& sql);
  // The end of a segment: what stands behind a command that failed is skipped up to here.
  void sync();

  // Sends what the buffer holds, meanwhile reading, so that neither side waits for the other.
  task<void> flush();
  // Flushes, and takes in everything up to the last sync. Throws `db_errc::connection_lost`; what the server refused is
  // the taker's to see. What the taker throws is thrown at the end.
  task<void> finish(result_taker take);
  // As `finish`, piecewise: the next result; null at the end of a command, and once the wire is idle.
  task<result_handle> next();
  // The place of the command that `next` is at.
  std::size_t current() const noexcept { return current_; }
  // Asks for the rows of the command `next` is at one at a time; before any of its results was awaited.
  void one_row_at_a_time() { PQsetSingleRowMode(handle()); }
  // Asks the server to end what runs, and takes in what is still to come. Throws `db_errc::connection_lost` when that
  // has not come to its end within the limit.
  task<void> drain(duration limit);

  // Several statements without parameters, outside of pipeline mode; the results' places do not count.
  task<void> run_plain(std::string sql, result_taker take);
  // As above, piecewise: each result in turn; null at the end. At PGRES_COPY_IN, `copy` gives the data, some at a time,
  // and `end_copy` the last.
  void start_plain(const std::string& sql);
  task<result_handle> next_plain();
  task<void> copy(std::string_view some);
  task<void> end_copy(std::string_view last);

  // After it, a server that is silent for longer counts as lost; 0: no limit.
  void limit_silence(duration limit) noexcept { silence_limit_ = limit; }
  // After it, a server whose system leaves what was sent unanswered for longer counts as lost too.
  void limit_absence(duration limit) noexcept;

  // The answers are not those to what was asked: the session is of no use any more. Throws `db_errc::connection_lost`.
  [[noreturn]] void give_up_on_answers();

  // True when a commit of the last trip was answered although the synchronous standby does not have it, since somebody
  // cut the wait for that short.
  bool passed_over_standby() const noexcept { return passed_over_standby_; }

  // Round trips so far: how often the server was waited for.
  std::size_t round_trips() const noexcept { return round_trips_; }

 private:
  std::size_t sent(int ok);
  task<void> wait_for_result();
  void forget_notifications() noexcept;
  task<net::readiness> wait(net::readiness wanted);
  task<net::readiness> wait_within_limit(net::readiness wanted);
  task<void> finish_plain(result_taker take);
  task<bool> drained_within(duration limit);
  void hear(const PGresult* r);
  void end_segment();
  [[noreturn]] void refuse_copy();
  [[noreturn]] void lose();

  connection_handle connection_;
  std::optional<net::descriptor_watch> socket_;  // none when hung up
  std::size_t commands_ = 0;                     // of the trip
  std::size_t unsynced_ = 0;                     // of them, since the last sync
  std::size_t syncs_ = 0;                        // whose answers are still to come
  std::size_t current_ = 0;
  bool plain_ = false;
  bool broken_ = false;  // though the connection is whole: nobody knows what comes next
  bool passed_over_standby_ = false;
  duration silence_limit_ = duration::zero();
  duration absence_limit_ = duration::zero();
  std::size_t round_trips_ = 0;
  std::string last_said_;  // by the server, about an error: the reason when it closes the connection
};

}  // namespace penstock::db::postgres

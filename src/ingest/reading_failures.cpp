#include "penstock/core/units.h"
#include "penstock/db/error.h"
#include "penstock/http/problem.h"
#include "penstock/ingest/error.h"
#include "penstock/observe/log.h"
#include "stream_endpoint.h"

#include <utility>

// What reads answer where the database does not. None of its errors is the client's, and none of what it says, which
// may hold statements and values, is told to one.

namespace penstock::ingest {
namespace {

// Requests are told each failure; a log line for each would make a full disk worse.
constexpr auto failures_alike_are_logged_every = std::chrono::seconds(5);

// The database is there, but keeps its reader waiting.
class no_answer final : public db::database_error {
 public:
  explicit no_answer(const std::string& message) : database_error(db::db_errc::connection_lost, message) {}
};

}  // namespace

// What is read at the moment of the database's loss is answered as if it had been away before.
task<http::response> stream_endpoint::unless_it_fails(const http::request& r, task<http::response> reading) {
  if (readers_.unreachable() && writers_.unreachable()) co_return refusal_while_away(r);
  try {
    http::response answer = co_await std::move(reading);
    co_return counted_or_refused(r, std::move(answer));
  } catch (const no_answer& e) {
    co_return refusal(r, ingest_errc::store_unreachable, e.message() + "; try again later");
  } catch (const db::database_error& e) {
    bool lets_nobody_in = e.errc() == db::db_errc::auth && readers_.unreachable();
    if (!says_that_it_is_away(e) && !lets_nobody_in) co_return failure(r, e, "items could not be read");
    log::debug("a read was refused", {{"stream", writer_.name()}, {"reason", e.what()}});
    if (e.errc() == db::db_errc::pool_timeout && !readers_.unreachable())
      co_return refusal(r, ingest_errc::store_unreachable,
                        "no session with the database was free in time; try again later");
  }
  co_return refusal_while_away(r);
}

bool stream_endpoint::says_that_it_is_away(const db::database_error& e) {
  return e.is_transient() || e.errc() == db::db_errc::pool_timeout || e.errc() == db::db_errc::pool_full;
}

http::response stream_endpoint::failure(const http::request& r, const db::database_error& why, std::string_view what) {
  time_point now = scheduler::current().now();
  told_failure& told = told_[why.errc()];
  if (told.at && now - *told.at < failures_alike_are_logged_every) {
    ++told.alike;
  } else {
    told.at = now;
    log::exception(log::level::error, what, std::current_exception(),
                   {{"stream", writer_.name()}, {"alike_not_logged", std::exchange(told.alike, 0)}});
  }
  std::string detail(what);
  http::problem p{503, std::string(why.code()), detail + ": the database failed; try again later", r.id(), {}};
  return to_response(p).with("Retry-After", retry_after_field(options_.retry_after));
}

void stream_endpoint::throw_no_answer() const {
  throw no_answer("the database did not answer within " + format_duration(options_.read_timeout));
}

}  // namespace penstock::ingest

#include "idempotency_key.h"
#include "idempotency_table.h"
#include "intake.h"
#include "penstock/async/timeout.h"
#include "penstock/core/outcome.h"
#include "penstock/core/units.h"
#include "penstock/db/error.h"
#include "penstock/http/error.h"
#include "penstock/http/problem.h"
#include "penstock/ingest/error.h"
#include "request_hash.h"
#include "stream_endpoint.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

// POST with an Idempotency-Key: the request is read whole before any of it is submitted, so that its hash is known, and
// its rows go into one transaction with its answer. One whose body can't be read or decoded to its end, or is too long,
// stores nothing. One that trickles in ends at a time limit: its rows fill the queue while they wait for its end.

namespace penstock::ingest {
namespace {

// What makes the answer, once the outcomes of the rows are known; independent of the request's life.
auto answering(const item_ledger& taken, const body_end& end, std::string hash, std::string request_id,
               duration retry_after) {
  return [=](const db::batch_report& report, std::size_t first, std::size_t most_result_bytes) {
    item_ledger ended = taken;
    ended.end_all(report, first);
    ended.close();
    http::response r = answer_of(ended, end, request_id, retry_after, most_result_bytes);
    const item_counts& counts = ended.counts();
    bool is_kept = counts.stored + counts.duplicates > 0;  // also of a 200: what it rejected may be corrected
    return kept_answer{hash, r.status, std::move(r.body), is_kept};
  };
}

http::response replay(const keyed_request& asked, const std::string& request_id) {
  const kept_answer& first = *asked.found;
  if (first.request_hash != asked.hash) {
    http::problem p{422,
                    std::string(code_name(ingest_errc::idempotency_key_reused)),
                    "the Idempotency-Key '" + asked.key +
                        "' came with another request before: another body, Content-Type or ?results=",
                    request_id,
                    {}};
    return to_response(p);
  }
  http::response r =
      first.status == 200 ? http::response::json(200, first.body) : http::response(first.status, first.body);
  if (first.status != 200) r.headers.emplace_back("Content-Type", "application/problem+json");
  return std::move(r).with("Idempotency-Replayed", "true");
}

}  // namespace

task<http::response> stream_endpoint::take_keyed(http::request& r, std::string key, const post_form& form) {
  intake taken(writer_, form.keep, submission::in_one_batch{});
  request_hash hash;
  hash.add(form.format == body_format::ndjson ? "ndjson\n" : "json\n");
  hash.add(form.keep.stored ? "all\n" : "rejected\n");
  body_decoder decoder(form.coding, options_.max_body_bytes);
  task<body_end> reading = with_timeout(options_.keyed_body_timeout, read_items(r, form.format, decoder, taken, &hash));
  body_end end;
  try {
    end = co_await std::move(reading);
  } catch (const timed_out&) {
    throw http::protocol_error(http::http_errc::request_timeout,
                               "the body of a request with an Idempotency-Key did not come within " +
                                   format_duration(options_.keyed_body_timeout));
  }
  if (end.broken) {
    const auto* why = detail::exception_as<error>(end.broken);
    if (why != nullptr && why->is(ingest_errc::overloaded)) co_return refusal(r);
    if (why != nullptr && why->is(ingest_errc::keyed_request_too_large))
      throw http::problem_error(413, ingest_errc::keyed_request_too_large, why->message());
    std::rethrow_exception(end.broken);
  }
  if (end.undecoded) {
    bool too_large = end.undecoded->is(ingest_errc::body_too_large);
    throw http::problem_error(too_large ? 413 : 400,
                              too_large ? ingest_errc::body_too_large : ingest_errc::bad_encoding,
                              end.undecoded->message());
  }
  end.repeatable = true;
  auto request = std::make_shared<keyed_request>();
  request->key = std::move(key);
  request->hash = hash.finish();
  request->answer = answering(taken.ledger(), end, request->hash, r.id(), options_.retry_after);
  task<keys_in_flight::hold> turn = writer_.keys().acquire(request->key);
  request->hold = co_await std::move(turn);
  if (taken.ledger().anything_waits()) {
    taken.join(request);
    task<void> committing = taken.committed();
    co_await std::move(committing);
  } else {
    task<bool> looking = look_up(request);
    bool is_known = co_await std::move(looking);
    if (!is_known) co_return refusal_while_away(r);
  }
  if (request->found) co_return replay(*request, r.id());
  task<void> finishing = taken.finish();
  co_await std::move(finishing);
  // What failed is kept nowhere.
  std::size_t most_result_bytes = taken.ledger().counts().failed > 0 ? SIZE_MAX : request->most_result_bytes;
  co_return answer_of(taken.ledger(), end, r.id(), options_.retry_after, most_result_bytes);
}

// Of a request of which nothing became a row: no transaction does it. False when the database can't be asked.
task<bool> stream_endpoint::look_up(std::shared_ptr<keyed_request> request) {
  try {
    task<void> looking = with_timeout(options_.read_timeout, look_up_patiently(std::move(request)));
    co_await std::move(looking);
    co_return true;
  } catch (const timed_out&) {
    co_return false;
  } catch (const db::database_error& e) {
    if (!says_that_it_is_away(e)) throw;
  }
  co_return false;
}

task<void> stream_endpoint::look_up_patiently(std::shared_ptr<keyed_request> request) {
  auto acquiring = readers_.acquire();
  db::pool::lease session = co_await std::move(acquiring);
  std::vector<batch_group> alone(1, batch_group{0, 0, request});
  auto looking = find_kept_answers(*session, writer_.name(), alone);
  std::vector<std::optional<kept_answer>> found = co_await std::move(looking);
  request->found = std::move(found.front());
}

}  // namespace penstock::ingest

#include "idempotency_key.h"
#include "idempotency_table.h"
#include "intake.h"
#include "penstock/async/timeout.h"
#include "penstock/async/yield.h"
#include "penstock/core/outcome.h"
#include "penstock/core/units.h"
#include "penstock/db/error.h"
#include "penstock/http/error.h"
#include "penstock/http/problem.h"
#include "penstock/ingest/error.h"
#include "request_hash.h"
#include "stream_endpoint.h"

#include <algorithm>
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

// Beside the results: the counts, the key and its hash.
constexpr std::size_t bytes_of_a_short_answer = 256;
// Of the result of an item that was stored.
constexpr std::size_t bytes_of_a_good_result = 64;

// What makes the answer, once the outcomes of the rows are known; independent of the request's life. The ledger stays
// as it is: the commit may fail, and be tried again.
auto answering(std::shared_ptr<const item_ledger> taken, const body_end& end, std::string hash, std::string request_id,
               duration retry_after, const memory_room& answers) {
  return [=, &answers](const db::batch_report& report, std::size_t first, std::size_t most_result_bytes) {
    if (answers.is_full()) most_result_bytes = std::min(most_result_bytes, memory_share::few_bytes);
    item_ledger ended = *taken;
    ended.end_all(report, first);
    ended.close();
    http::response r = answer_of(ended, end, request_id, retry_after, most_result_bytes);
    const item_counts& counts = ended.counts();
    bool is_kept = counts.stored + counts.duplicates > 0;  // also of a 200: what it rejected may be corrected
    return kept_answer{hash, r.status, std::move(r.body), is_kept};
  };
}

// About as many bytes as its answer will have in the database.
std::size_t estimate_answer(const item_ledger& taken, const kept_results& keep, std::size_t most_result_bytes) {
  std::size_t good = keep.stored ? std::min(taken.waiting(), keep.most) : 0;
  return bytes_of_a_short_answer + std::min(most_result_bytes, taken.result_bytes() + good * bytes_of_a_good_result);
}

[[noreturn]] void throw_too_slow(duration limit) {
  throw http::protocol_error(
      http::http_errc::request_timeout,
      "the body of a request with an Idempotency-Key did not come within " + format_duration(limit));
}

http::response response_of(kept_answer a) {
  if (a.status == 200) return http::response::json(200, std::move(a.body));
  http::response r(a.status, std::move(a.body));
  r.headers.emplace_back("Content-Type", "application/problem+json");
  return r;
}

http::response replay(keyed_request& asked, const std::string& request_id) {
  kept_answer& first = *asked.found;
  if (first.request_hash != asked.hash) {
    http::problem p{422,
                    std::string(code_name(ingest_errc::idempotency_key_reused)),
                    "the Idempotency-Key '" + asked.key +
                        "' came with another request before: another body, Content-Type or ?results=",
                    request_id,
                    {}};
    return to_response(p);
  }
  return response_of(std::move(first)).with("Idempotency-Replayed", "true");
}

}  // namespace

task<http::response> stream_endpoint::take_keyed(http::request& r, std::string key, const post_form& form) {
  std::optional<intake> taken(std::in_place, writer_, form.keep, submission::in_one_batch{});
  request_hash hash;
  hash.add(form.format == body_format::ndjson ? "ndjson\n" : "json\n");
  hash.add(form.keep.stored ? "all\n" : "rejected\n");
  std::optional<body_reading> body(std::in_place, form.coding, options_.max_body_bytes, memory_.reading);
  task<body_end> reading = with_timeout(options_.keyed_body_timeout, read_items(r, form.format, *body, *taken, &hash));
  body_end end;
  try {
    end = co_await std::move(reading);
  } catch (const timed_out&) {
    throw_too_slow(options_.keyed_body_timeout);
  }
  if (end.broken) {
    const auto* why = detail::exception_as<error>(end.broken);
    if (why == nullptr || !why->is(ingest_errc::keyed_request_too_large)) std::rethrow_exception(end.broken);
    taken.reset();  // its rows leave the queue
    task<std::optional<http::response>> looking = find_first_of_too_large(r, std::move(key), *body, hash);
    std::optional<http::response> first = co_await std::move(looking);
    if (first) co_return *std::move(first);
    throw http::problem_error(413, ingest_errc::keyed_request_too_large, why->message());
  }
  body.reset();
  if (end.given_up) {
    if (end.given_up->is(ingest_errc::overloaded))
      co_return refusal(r, ingest_errc::overloaded, end.given_up->message());
    bool too_large = end.given_up->is(ingest_errc::body_too_large);
    throw http::problem_error(too_large ? 413 : 400,
                              too_large ? ingest_errc::body_too_large : ingest_errc::bad_encoding,
                              end.given_up->message());
  }
  end.repeatable = true;
  auto request = std::make_shared<keyed_request>();
  request->key = std::move(key);
  request->hash = hash.finish();
  task<keys_in_flight::hold> turn = writer_.keys().acquire(request->key);
  request->hold = co_await std::move(turn);
  if (writer_.unreachable()) co_return refusal_while_away(r);
  bool has_rows = taken->ledger().anything_waits();
  if (has_rows && request->hold.failure()) {
    taken->ledger().fail_all(request->hold.failure());
  } else if (has_rows) {
    std::size_t bytes = estimate_answer(taken->ledger(), form.keep, request->most_result_bytes);
    // The batch may need it for longer than the request lives; no copy of it, since results may be many.
    auto ledger = std::make_shared<item_ledger>(std::move(taken->ledger()));
    request->answer = answering(ledger, end, request->hash, r.id(), options_.retry_after, memory_.answers);
    taken->join(request, bytes);
    task<void> committing = taken->committed();
    co_await std::move(committing);
    taken->ledger() = std::move(*ledger);
  } else {
    task<std::optional<http::response>> looking = look_up(r, request);
    std::optional<http::response> refused = co_await std::move(looking);
    if (refused) co_return *std::move(refused);
  }
  if (request->found) co_return counted_or_refused(r, replay(*request, r.id()));
  task<void> finishing = taken->finish();
  co_await std::move(finishing);
  // Of one whose outcome is unknown, a repeat finds it.
  if (taken->ledger().counts().failed > 0 && taken->ledger().unknown() == 0)
    request->hold.fail(taken->ledger().failure());
  if (has_rows && taken->ledger().counts().failed == 0) co_return response_of(std::move(request->made));
  if (long_answers::is_long(taken->ledger().result_bytes())) {
    task<void> waiting = long_answers_.turn();
    co_await std::move(waiting);
  }
  // What failed is kept nowhere.
  std::size_t most_result_bytes = taken->ledger().counts().failed > 0 ? SIZE_MAX : request->most_result_bytes;
  co_return answer_of(taken->ledger(), end, r.id(), options_.retry_after, most_result_bytes);
}

// A server whose batches hold more may have stored it. The rest of the body is read only where the key is known.
// Nothing when it is not, or was another request's that stored nothing.
task<std::optional<http::response>> stream_endpoint::find_first_of_too_large(http::request& r, std::string key,
                                                                             body_reading& body, request_hash& hash) {
  auto request = std::make_shared<keyed_request>();
  request->key = std::move(key);
  task<keys_in_flight::hold> turn = writer_.keys().acquire(request->key);
  request->hold = co_await std::move(turn);
  for (bool is_hashed = false;; is_hashed = true) {
    task<std::optional<http::response>> looking = look_up(r, request);
    std::optional<http::response> refused = co_await std::move(looking);
    if (refused) co_return *std::move(refused);
    if (!request->found) co_return std::nullopt;
    if (is_hashed) co_return counted_or_refused(r, replay(*request, r.id()));
    task<void> reading = with_timeout(options_.keyed_body_timeout, hash_rest(r, body, hash));
    try {
      co_await std::move(reading);
    } catch (const timed_out&) {
      throw_too_slow(options_.keyed_body_timeout);
    } catch (const error& e) {
      if (e.is(ingest_errc::overloaded)) co_return refusal(r, ingest_errc::overloaded, e.message());
      if (!e.is(ingest_errc::bad_encoding) && !e.is(ingest_errc::body_too_large)) throw;
      co_return std::nullopt;  // the first was read to its end
    }
    request->found.reset();
    request->hash = hash.finish();
  }
}

// Behind the piece at which reading its items was given up.
task<void> stream_endpoint::hash_rest(http::request& r, body_reading& body, request_hash& hash) {
  body_decoder& decoder = body.decoder;
  for (bool is_last = false;;) {
    for (std::string_view text = decoder.next(); !text.empty(); text = decoder.next()) {
      hash.add(text);
      task<void> counting = wait_for_room(body, decoder.held_bytes());  // a few bytes may expand to very many
      co_await std::move(counting);
      co_await yield();
    }
    if (is_last) co_return;
    task<void> counting = wait_for_room(body, decoder.held_bytes());
    co_await std::move(counting);
    task<std::string_view> reading = read_piece(r, body);
    std::string_view piece = co_await std::move(reading);
    is_last = piece.empty();
    if (is_last) decoder.finish();
    decoder.feed(piece);
  }
}

// Of a request of which nothing became a row: no transaction does it.
task<std::optional<http::response>> stream_endpoint::look_up(const http::request& r,
                                                             std::shared_ptr<keyed_request> request) {
  try {
    task<void> looking = with_timeout(options_.read_timeout, look_up_patiently(std::move(request)));
    co_await std::move(looking);
    co_return std::nullopt;
  } catch (const timed_out&) {
    co_return refusal_while_away(r);
  } catch (const db::database_error& e) {
    if (!says_that_it_is_away(e)) co_return failure(r, e, "the Idempotency-Key could not be looked up");
  }
  co_return refusal_while_away(r);
}

task<void> stream_endpoint::look_up_patiently(std::shared_ptr<keyed_request> request) {
  auto acquiring = session_for_reading();
  db::pool::lease session = co_await std::move(acquiring);
  std::vector<batch_group> alone(1, batch_group{0, 0, request});
  auto looking = find_kept_answers(*session, writer_.name(), alone);
  std::vector<std::optional<kept_answer>> found = co_await std::move(looking);
  request->found = std::move(found.front());
}

}  // namespace penstock::ingest

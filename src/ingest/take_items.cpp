#include "idempotency_key.h"
#include "intake.h"
#include "ndjson_types.h"
#include "penstock/async/error.h"
#include "penstock/async/timeout.h"
#include "penstock/async/yield.h"
#include "penstock/http/problem.h"
#include "penstock/ingest/error.h"
#include "stream_endpoint.h"

#include <algorithm>
#include <string_view>
#include <utility>

// POST: the body is read, decoded, cut into items and parsed piece by piece; at most two batches of one request wait
// for the database at a time, so that a large body is held back at its source and not in memory.

namespace penstock::ingest {
namespace {

// Of one request and each kind of result, in memory; a megabyte or so where they are rendered.
constexpr std::size_t most_result_memory = std::size_t{2} << 20;

constexpr std::size_t items_of_a_turn = 32;

// A moment's rush is waited out: of a refusal in the middle of a body many clients see no more than a closed
// connection.
constexpr duration longest_wait_for_room = std::chrono::seconds(2);

std::string_view media_type(std::string_view field) {
  std::string_view type = field.substr(0, field.find(';'));
  while (!type.empty() && (type.back() == ' ' || type.back() == '\t')) type.remove_suffix(1);
  return type;
}

// Whether a page of another site may have made a browser send this. A page can also send what has no Content-Type
// unasked: it has such a body where it sends a Blob without a type (Fetch, "extract a body").
bool may_come_from_a_page(const http::request& r) {
  if (r.header("Origin")) return true;
  std::optional<std::string_view> site = r.header("Sec-Fetch-Site");
  return site && *site != "same-origin" && *site != "none";
}

// What a browser can send to another site unasked (a form, text/plain) is refused: no page may fill a database behind
// its user's back (Fetch, CORS-safelisted request headers). A body without a Content-Type is taken for JSON from
// others.
body_format format_of(const http::request& r) {
  std::optional<std::string_view> field = r.header("Content-Type");
  if (!field && may_come_from_a_page(r))
    throw http::problem_error(415, ingest_errc::unsupported_media,
                              "a page's request without a Content-Type is not read here: send application/json or "
                              "application/x-ndjson");
  if (!field) return body_format::json;
  std::string_view type = media_type(*field);
  if (http::equal_ignoring_case(type, "application/json")) return body_format::json;
  if (is_ndjson_type(type)) return body_format::ndjson;
  throw http::problem_error(415, ingest_errc::unsupported_media,
                            "Content-Type '" + std::string(type.substr(0, 100)) +
                                "' is not read here: send application/json or application/x-ndjson");
}

// Several lines of a field are one list (RFC 9110, section 5.3).
content_coding coding_of(const http::request& r) {
  std::string list;
  for (const http::header_field& field : r.headers())
    if (http::equal_ignoring_case(field.name, "Content-Encoding"))
      list.append(list.empty() ? "" : ", ").append(field.value);
  try {
    return parse_content_coding(list);
  } catch (const error& e) {
    throw http::problem_error(415, ingest_errc::unsupported_media, e.message());
  }
}

bool wants_all_results(const http::request& r) {
  if (r.query().empty()) return false;
  bool all = false;
  for (const auto& [name, value] : r.query_parameters()) {
    if (name != "results" || (value != "all" && value != "rejected"))
      throw http::problem_error(400, ingest_errc::bad_query,
                                std::string("'").append(name).append("=").append(value).append(
                                    "': the only parameter here is results=all or results=rejected"));
    all = value == "all";
  }
  return all;
}

}  // namespace

task<http::response> stream_endpoint::take(http::request& r) {
  kept_results keep{wants_all_results(r), options_.max_results, most_result_memory, &writer_.results(),
                    &memory_.answers};
  post_form form{format_of(r), coding_of(r), keep};
  std::optional<std::string> key = idempotency_key_of(r);
  const coalescer& queue = writer_.queue();
  // An answer, not an exception: in an overload there are many, and each must cost little.
  if (queue.stopped() || queue.full() || writer_.unreachable()) co_return refusal(r);
  if (key) {
    task<http::response> once = take_keyed(r, std::move(*key), form);
    http::response answer = co_await std::move(once);
    co_return counted(std::move(answer));
  }
  intake taken(writer_, form.keep);
  std::optional<body_reading> body(std::in_place, form.coding, options_.max_body_bytes, memory_.reading);
  task<body_end> reading = read_items(r, form.format, *body, taken, nullptr);
  body_end end = co_await std::move(reading);
  body.reset();
  // What was taken is committed however the body ended; the client is told, or is gone.
  task<void> finishing = taken.finish();
  co_await std::move(finishing);
  if (end.broken) std::rethrow_exception(end.broken);
  if (long_answers::is_long(taken.ledger().result_bytes())) {
    task<void> waiting = long_answers_.turn();
    co_await std::move(waiting);
  }
  if (end.given_up && end.given_up->is(ingest_errc::overloaded)) refused_.add();
  co_return counted(answer_of(taken.ledger(), end, r.id(), options_.retry_after));
}

http::response stream_endpoint::counted(http::response answer) const {
  if (answer.body.size() <= memory_share::few_bytes) return answer;
  auto held = std::make_shared<memory_share>(memory_.answers);
  held->hold_anyway(answer.body.size());
  answer.held = std::move(held);
  return answer;
}

http::response stream_endpoint::refusal(const http::request& r) const {
  if (writer_.queue().stopped()) return refusal(r, ingest_errc::closed, "stopping: no more items are taken");
  if (!writer_.queue().full()) return refusal_while_away(r);
  coalescer_stats now = writer_.queue().stats();
  return refusal(r, ingest_errc::overloaded,
                 "the queue of stream '" + writer_.name() + "' is full: " + std::to_string(now.queued_rows) +
                     " items and " + std::to_string(now.queued_bytes) +
                     " bytes wait for the database; try again later");
}

http::response stream_endpoint::refusal_while_away(const http::request& r) const {
  return refusal(r, ingest_errc::store_unreachable, "the database can't be reached at the moment; try again later");
}

http::response stream_endpoint::refusal(const http::request& r, ingest_errc why, std::string detail) const {
  refused_.add();
  http::problem p{503, std::string(code_name(why)), std::move(detail), r.id(), {}};
  return to_response(p).with("Retry-After", retry_after_field(options_.retry_after));
}

task<body_end> stream_endpoint::read_items(http::request& r, body_format format, body_reading& body, intake& into,
                                           request_hash* hash) {
  body_decoder& decoder = body.decoder;
  item_splitter split(format, options_.max_item_bytes);
  body_end end;
  std::uint64_t read = 0;
  bool is_first = true;
  try {
    for (;;) {
      task<std::string_view> reading = read_piece(r, body);
      std::string_view piece = co_await std::move(reading);
      read += piece.size();
      into.collect();
      submission::more_at_hand more = into.more_at_hand();
      if (piece.empty()) decoder.finish();
      decoder.feed(piece);
      for (std::string_view text = decoder.next(); !text.empty(); text = decoder.next()) {
        // A few bytes may expand to very many items, of which none has to wait: others get a turn of the loop.
        if (!std::exchange(is_first, false)) co_await sleep_for(duration::zero());
        if (hash != nullptr) hash->add(text);
        if (split.error()) continue;
        if (std::size_t holds = decoder.held_bytes() + split.held_bytes(); !body.held.hold(holds)) {
          task<void> waiting = wait_for_room(body, holds);
          co_await std::move(waiting);
        }
        split.feed(text);
        task<std::size_t> taking = take_items(split, into);
        std::size_t taken = co_await std::move(taking);
        if (split.held_bytes() > memory_share::few_bytes) split.release();
        if (taken > 0) body.held.get_on();
      }
      // What is whole goes on to the queue, and no longer counts here.
      bool is_whole = piece.empty() || read == r.body().length();
      if (std::size_t holds = decoder.held_bytes() + split.held_bytes(); !is_whole && !body.held.hold(holds)) {
        task<void> waiting = wait_for_room(body, holds);
        co_await std::move(waiting);
      }
      // The hash is that of all of a body, wherever it breaks: how it comes in pieces is the network's choice.
      if (piece.empty() || (split.error() && hash == nullptr)) break;
    }
    split.finish();
    task<std::size_t> taking = take_items(split, into);
    co_await std::move(taking);
  } catch (const operation_cancelled&) {
    throw;
  } catch (const error& e) {
    if (e.is(ingest_errc::bad_encoding) || e.is(ingest_errc::body_too_large) || e.is(ingest_errc::overloaded))
      end.given_up = e;
    else
      end.broken = std::current_exception();
  }
  end.malformed = split.error();
  end.is_collection = split.is_collection();
  co_return end;
}

task<std::string_view> stream_endpoint::read_piece(http::request& r, body_reading& body) {
  if (!body.held.holds_any()) return r.body().read_some();
  return read_revocably(r, body);
}

task<std::string_view> stream_endpoint::read_revocably(http::request& r, body_reading& body) {
  try {
    task<std::string_view> reading = body.held.wait_revocably(r.body().read_some());
    co_return co_await std::move(reading);
  } catch (const operation_cancelled&) {
    if (!body.held.was_revoked()) throw;
  }
  throw error(ingest_errc::overloaded, "the body came too slowly while others needed the memory that it held");
}

task<void> stream_endpoint::wait_for_room(body_reading& body, std::size_t bytes) const {
  task<bool> holding = body.held.wait_with_bytes(longest_wait_for_room, bytes);
  bool is_held = co_await std::move(holding);
  if (is_held) co_return;
  throw error(ingest_errc::overloaded,
              "requests that are being read hold " + std::to_string(memory_.reading.taken_bytes()) +
                  " bytes, of items that are not whole yet and to decompress bodies; try again later");
}

task<std::size_t> stream_endpoint::take_items(item_splitter& split, intake& into) {
  std::size_t taken = 0;
  while (std::optional<body_item> item = split.next()) {
    while (into.should_wait()) {
      task<void> room = into.make_room();
      co_await std::move(room);
    }
    if (item->too_large)
      into.reject({code_name(item_errc::too_large),
                   "the item is longer than " + std::to_string(options_.max_item_bytes) + " bytes",
                   {},
                   {}},
                  item->line);
    else
      into.take(item->text, item->line);
    // Very many may be in one piece, of which none has to wait, and many clients may send one: all of them, and others,
    // take turns.
    if (++taken % items_of_a_turn == 0) co_await yield();
  }
  co_return taken;
}

}  // namespace penstock::ingest

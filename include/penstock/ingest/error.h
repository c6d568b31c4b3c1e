#pragma once

// Errors of the ingest room.

#include "penstock/core/error.h"

#include <string_view>

namespace penstock::ingest {

/// Errors of the ingest room. Errors of single items have codes of their own, see `item_error`.
enum class ingest_errc {
  overloaded,               ///< The queue, or the memory for requests, is full: try again later.
  busy,                     ///< A processor under `admission::reject` is at work already.
  store_unreachable,        ///< The database can't be reached: nothing is taken until it can.
  closed,                   ///< The coalescer, processor or service takes no more.
  commit_failed,            ///< The batch with these items was not committed; its cause says why.
  outcome_unknown,          ///< The database was lost during COMMIT, or its disk failed, and was not back in time.
  bad_stream,               ///< A stream's definition is wrong.
  unknown_stream,           ///< There is no stream of that name.
  unsupported_media,        ///< The Content-Type or Content-Encoding is none that Penstock reads.
  bad_encoding,             ///< A compressed body is damaged, or ends too early.
  body_too_large,           ///< A body is longer than allowed, once decompressed.
  bad_query,                ///< A query parameter is unknown or malformed.
  malformed_body,           ///< A body's items can't be told apart from here on; those before stand.
  not_found,                ///< There is no item of that id.
  bad_idempotency_key,      ///< An Idempotency-Key is malformed or too long, or there are two.
  idempotency_key_reused,   ///< It came with another request before.
  keyed_request_too_large,  ///< A request with an Idempotency-Key does not fit into one batch.
};

/// The stable code of an ingest error.
constexpr std::string_view code_name(ingest_errc code) noexcept {
  switch (code) {
    case ingest_errc::overloaded:
      return "ingest.overloaded";
    case ingest_errc::busy:
      return "ingest.busy";
    case ingest_errc::closed:
      return "ingest.closed";
    case ingest_errc::commit_failed:
      return "ingest.commit_failed";
    case ingest_errc::outcome_unknown:
      return "ingest.outcome_unknown";
    case ingest_errc::bad_stream:
      return "ingest.bad_stream";
    case ingest_errc::store_unreachable:
      return "ingest.store_unreachable";
    case ingest_errc::unknown_stream:
      return "ingest.unknown_stream";
    case ingest_errc::unsupported_media:
      return "ingest.unsupported_media";
    case ingest_errc::bad_encoding:
      return "ingest.bad_encoding";
    case ingest_errc::body_too_large:
      return "ingest.body_too_large";
    case ingest_errc::bad_query:
      return "ingest.bad_query";
    case ingest_errc::malformed_body:
      return "ingest.malformed_body";
    case ingest_errc::bad_idempotency_key:
      return "ingest.bad_idempotency_key";
    case ingest_errc::idempotency_key_reused:
      return "ingest.idempotency_key_reused";
    case ingest_errc::keyed_request_too_large:
      return "ingest.keyed_request_too_large";
    case ingest_errc::not_found:
      return "ingest.not_found";
  }
  return "ingest.unknown";
}

}  // namespace penstock::ingest

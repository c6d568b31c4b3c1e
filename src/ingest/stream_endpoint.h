#pragma once

// One stream behind HTTP: taking items in, and reading them back.

#include "answer.h"
#include "long_answers.h"
#include "memory_room.h"
#include "penstock/db/error.h"
#include "penstock/db/pool.h"
#include "penstock/http/request.h"
#include "penstock/http/response.h"
#include "penstock/ingest/body_decoder.h"
#include "penstock/ingest/error.h"
#include "penstock/ingest/service.h"
#include "request_hash.h"
#include "stream_writer.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace penstock::ingest {

class intake;
struct keyed_request;

// What the requests under way of all streams hold, beside the queues.
struct request_memory {
  explicit request_memory(const service_options& options) noexcept
      : reading(options.reading_bytes), answers(options.answer_bytes) {}
  memory_room reading;  // Of bodies: items that are not whole yet, and what decoding takes.
  memory_room answers;  // Answers that the clients have not taken yet.
};

class stream_endpoint {
 public:
  // Everything outlives the endpoint.
  stream_endpoint(stream_writer& writer, db::pool& readers, db::pool& writers, const service_options& options,
                  request_memory& memory, metrics::registry& measure);

  // POST: answers when every item has ended.
  task<http::response> take(http::request& r);
  // What is answered while no items are taken.
  http::response refusal(const http::request& r) const;
  // GET of one item; `id` as the path has it.
  task<http::response> show(http::request& r) { return unless_it_fails(r, show_item(r)); }
  // GET of many: a page as JSON, or an export as NDJSON.
  task<http::response> list(http::request& r) { return unless_it_fails(r, list_items(r)); }

 private:
  // What a POST says about its body and its answer.
  struct post_form {
    body_format format;
    content_coding coding;
    kept_results keep;
  };
  // What reads a body, and how much of the memory for that it holds.
  struct body_reading {
    body_reading(content_coding coding, std::uint64_t most_bytes, memory_room& room)
        : decoder(coding, most_bytes), held(room) {}
    body_decoder decoder;
    memory_share held;
  };
  struct page_query {
    std::int64_t after;
    std::optional<std::uint64_t> limit;
    bool as_ndjson;
  };

  task<http::response> take_keyed(http::request& r, std::string key, const post_form& form);
  // The answer to a request with more rows than a batch holds, where one that had its key was stored.
  task<std::optional<http::response>> find_first_of_too_large(http::request& r, std::string key, body_reading& body,
                                                              request_hash& hash);
  task<void> hash_rest(http::request& r, body_reading& body, request_hash& hash);
  // Finds the answer that the request's key has. A refusal where the database can't be asked.
  task<std::optional<http::response>> look_up(const http::request& r, std::shared_ptr<keyed_request> request);
  task<void> look_up_patiently(std::shared_ptr<keyed_request> request);
  // Takes all items of the body; `hash`, where it is not null, gets the decoded body.
  task<body_end> read_items(http::request& r, body_format format, body_reading& body, intake& into, request_hash* hash);
  // The body's next piece. Throws `ingest_errc::overloaded` where others need what the body holds, and it has stopped.
  static task<std::string_view> read_piece(http::request& r, body_reading& body);
  static task<std::string_view> read_revocably(http::request& r, body_reading& body);
  // Counts what reading the body takes, and waits for room for it. Throws `ingest_errc::overloaded`.
  task<void> wait_for_room(body_reading& body, std::size_t bytes) const;
  // Gives how many there were.
  task<std::size_t> take_items(item_splitter& split, intake& into);
  task<http::response> unless_it_fails(const http::request& r, task<http::response> reading);
  http::response refusal(const http::request& r, ingest_errc why, std::string detail) const;
  http::response refusal_while_away(const http::request& r) const;
  static bool says_that_it_is_away(const db::database_error& e);
  // The answer where the database fails though it is there, and a line in the log; in the handler of `why`.
  http::response failure(const http::request& r, const db::database_error& why, std::string_view what);
  task<http::response> show_item(http::request& r);
  task<http::response> list_items(http::request& r);
  page_query parse_page_query(const http::request& r) const;
  struct page {
    std::vector<std::vector<db::value>> rows;
    std::size_t bytes = 0;  // of the values
    bool is_last = true;    // as far as it goes: no row is behind those that were asked for
  };
  // At most `limit` rows, and fewer where they are long, but one.
  task<page> read_page(std::int64_t after, std::uint64_t limit);
  task<page> read_page_patiently(std::int64_t after, std::uint64_t limit);
  task<page> read_page_over(db::connection& session, std::int64_t after, std::uint64_t limit);
  // Over a connection for reading, within the time for that.
  task<db::result> ask(std::string condition, db::parameters values);
  task<db::result> ask_patiently(std::string condition, db::parameters values);
  // One of the sessions for reading; one for writing where none of those can be opened.
  task<db::pool::lease> session_for_reading();
  [[noreturn]] void throw_no_answer() const;
  std::string select_from(const db::connection& session, const std::string& condition) const;
  task<void> export_items(http::body_writer& out, std::shared_ptr<page> read, std::shared_ptr<memory_share> held,
                          std::optional<std::uint64_t> limit);
  void append_item(std::string& out, const std::vector<db::value>& row) const;
  // Has the answer hold so much of the memory for answers as it takes, whether there is as much or not.
  http::response counted(http::response answer) const;
  // The same for what was read back, which is refused where there is no room.
  http::response counted_or_refused(const http::request& r, http::response answer) const;
  std::string no_room_for_answers() const;

  stream_writer& writer_;
  db::pool& readers_;
  db::pool& writers_;
  const service_options& options_;
  request_memory& memory_;
  metrics::counter refused_;
  struct told_failure {
    std::optional<time_point> at;
    std::uint64_t alike = 0;  // not logged since
  };
  std::map<db::db_errc, told_failure> told_;
  long_answers long_answers_;
  std::string select_;    // "SELECT id, columns… FROM "
  std::string where_id_;  // " AS item WHERE item.id"
};

}  // namespace penstock::ingest

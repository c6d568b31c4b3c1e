// Invariant: nothing else knows an option's names, default or bounds; the defaults are those of serve_config.

#include "app/serve/option_table.h"

#include <array>
#include <chrono>

namespace penstock::app {
namespace {

using text_field = std::string& (*)(serve_config&);
using number_field = std::uint64_t& (*)(serve_config&);
using duration_field = duration& (*)(serve_config&);

// Some are multiplied, and all added to the time of day: what a duration can hold ends at 292 years.
constexpr std::uint64_t longest_duration = std::chrono::nanoseconds(std::chrono::hours(24) * 36'500).count();

constexpr option text(std::string_view key, std::string_view flag, text_field field, std::string_view help) {
  return {key, flag, value_kind::text, field, help};
}

constexpr option count(std::string_view key, std::string_view flag, number_field field, std::string_view help,
                       std::uint64_t least = 1, std::uint64_t most = std::uint64_t{1} << 62) {
  return {key, flag, value_kind::count, field, help, least, most};
}

constexpr option bytes(std::string_view key, std::string_view flag, number_field field, std::string_view help,
                       std::uint64_t least = 1) {
  return {key, flag, value_kind::bytes, field, help, least};
}

constexpr option timespan(std::string_view key, std::string_view flag, duration_field field, std::string_view help,
                          std::uint64_t least = 1'000'000) {
  return {key, flag, value_kind::duration, field, help, least, longest_duration};
}

constexpr std::uint64_t most_log_lines = 1'000'000;

using config = serve_config;

constexpr std::array all_options{
    option{"listen", "--listen", value_kind::endpoints,
           [](config& c) -> std::vector<net::endpoint>& { return c.listen; },
           "Where to serve: HOST:PORT (port 0: any free one) or unix:PATH; several are served alike"},
    option{"listen_mode", "--listen-mode", value_kind::mode, [](config& c) -> std::uint64_t& { return c.listen_mode; },
           "Who may connect to Unix sockets: the mode of their files; 0660 lets their group, a proxy's say"},
    timespan(
        "grace_period", "--grace-period", [](config& c) -> duration& { return c.grace_period; },
        "After SIGTERM or SIGINT, how long requests under way may take before they are given up"),

    option{"store.url", "--store", value_kind::url, [](config& c) -> std::string& { return c.store_url; },
           "The database: sqlite:FILE, made when missing, or mariadb:, mysql: or "
           "postgresql://USER:PASSWORD@HOST/DATABASE"},
    count(
        "store.read_connections", "--store-read-connections",
        [](config& c) -> std::uint64_t& { return c.ingest.read_connections; },
        "Connections for reading items back, 65535 at most; beyond, reads wait in turn", 1, most_connections),
    timespan(
        "store.read_timeout", "--store-read-timeout", [](config& c) -> duration& { return c.ingest.read_timeout; },
        "How long reading an item or a page back may take, waiting for a connection included; then it gets 503"),

    count(
        "batch.max_rows", "--batch-max-rows", [](config& c) -> std::uint64_t& { return c.ingest.batch.max_rows; },
        "Rows of a batch at most, and items of a request with an Idempotency-Key"),
    bytes(
        "batch.max_bytes", "--batch-max-bytes", [](config& c) -> std::uint64_t& { return c.ingest.batch.max_bytes; },
        "Bytes of a batch at most"),
    timespan(
        "batch.target_commit_time", "--batch-target-commit-time",
        [](config& c) -> duration& { return c.ingest.batch.target_commit_time; },
        "How long a commit should take; batches hold more rows only where a commit costs so much in itself that they "
        "are worth it"),
    timespan(
        "batch.linger", "--batch-linger", [](config& c) -> duration& { return c.ingest.batch.linger; },
        "How long a batch waits at most, while no commit is under way, for as many requests as the last commit "
        "answered; 0 for not at all",
        0),
    count(
        "batch.queue_rows", "--batch-queue-rows", [](config& c) -> std::uint64_t& { return c.ingest.batch.queue_rows; },
        "Rows of a stream that wait or are being committed at most, 2 or more; beyond, requests get 503", 2),
    bytes(
        "batch.queue_bytes", "--batch-queue-bytes",
        [](config& c) -> std::uint64_t& { return c.ingest.batch.queue_bytes; },
        "Bytes of a stream that wait or are being committed at most; beyond, requests get 503"),
    count(
        "batch.commits_in_flight", "--batch-commits-in-flight",
        [](config& c) -> std::uint64_t& { return c.ingest.batch.commits_in_flight; },
        "Batches of a stream committed at a time, 65535 at most; 0: as the database takes them, 1 for SQLite and 3 for "
        "a server",
        0, most_connections),
    timespan(
        "batch.attempt_timeout", "--batch-attempt-timeout",
        [](config& c) -> duration& { return c.ingest.batch.attempt_timeout; },
        "How long a commit may take before its connection is given up as hung and the outcome looked up over another "
        "one, or, where the database answers, the item looked for that takes so long; longer than waits for locks"),
    timespan(
        "batch.lock_timeout", "--batch-lock-timeout",
        [](config& c) -> duration& { return c.ingest.batch.lock_timeout; },
        "How long a batch waits for a lock that another session of a server holds; then it is stored without the "
        "requests that need the lock, which are tried again by themselves"),

    bytes(
        "ingest.max_item_bytes", "--ingest-max-item-bytes",
        [](config& c) -> std::uint64_t& { return c.ingest.max_item_bytes; }, "A larger item is rejected"),
    bytes(
        "ingest.max_body_bytes", "--ingest-max-body-bytes",
        [](config& c) -> std::uint64_t& { return c.ingest.max_body_bytes; },
        "Of a request's body once decompressed; beyond, 413, and the rest is not looked at"),
    timespan(
        "ingest.keyed_body_timeout", "--ingest-keyed-body-timeout",
        [](config& c) -> duration& { return c.ingest.keyed_body_timeout; },
        "How long the whole body of a request with an Idempotency-Key may take; beyond, 408"),
    bytes(
        "ingest.reading_bytes", "--ingest-reading-bytes",
        [](config& c) -> std::uint64_t& { return c.ingest.reading_bytes; },
        "Bytes that requests whose bodies are being read hold together at most, for items that are not whole yet and "
        "to decompress; one that needs more waits for 2 s, then gets 503"),
    bytes(
        "ingest.answer_bytes", "--ingest-answer-bytes",
        [](config& c) -> std::uint64_t& { return c.ingest.answer_bytes; },
        "Bytes of answers that clients have not taken yet at most; beyond, reading back gets 503, and few results of "
        "other requests are told"),
    count(
        "ingest.max_results", "--ingest-max-results", [](config& c) -> std::uint64_t& { return c.ingest.max_results; },
        "Results listed in one answer at most; all are counted"),
    count(
        "ingest.max_page_items", "--ingest-max-page-items",
        [](config& c) -> std::uint64_t& { return c.ingest.max_page_items; },
        "Items of a page read back as JSON at most, whatever ?limit= asks for"),
    timespan(
        "ingest.retry_after", "--ingest-retry-after", [](config& c) -> duration& { return c.ingest.retry_after; },
        "What a client that is refused for now is told to wait (Retry-After, in whole seconds)", 1'000'000'000),

    timespan(
        "idempotency.retention", "--idempotency-retention",
        [](config& c) -> duration& { return c.ingest.keep_answers; },
        "How long the answer to a request with an Idempotency-Key is kept for its repeats", 1'000'000'000),

    bytes(
        "http.max_request_line_bytes", "--http-max-request-line-bytes",
        [](config& c) -> std::uint64_t& { return c.http.max_request_line_bytes; }, "A longer request line gets 414"),
    bytes(
        "http.max_header_bytes", "--http-max-header-bytes",
        [](config& c) -> std::uint64_t& { return c.http.max_header_bytes; },
        "A longer header section, request line included, gets 431"),
    count(
        "http.max_header_fields", "--http-max-header-fields",
        [](config& c) -> std::uint64_t& { return c.http.max_header_fields; }, "More header fields get 431"),
    bytes(
        "http.max_body_bytes", "--http-max-body-bytes",
        [](config& c) -> std::uint64_t& { return c.http.max_body_bytes; },
        "A longer body, as it is sent, gets 413; bodies are streamed, not held"),
    timespan(
        "http.header_timeout", "--http-header-timeout", [](config& c) -> duration& { return c.http.header_timeout; },
        "From a request's first byte to its header's end; beyond, 408"),
    timespan(
        "http.body_timeout", "--http-body-timeout", [](config& c) -> duration& { return c.http.body_timeout; },
        "Without a byte of the body; beyond, 408"),
    timespan(
        "http.write_timeout", "--http-write-timeout", [](config& c) -> duration& { return c.http.write_timeout; },
        "Without the client taking a byte of the answer; beyond, its connection closes"),
    timespan(
        "http.idle_timeout", "--http-idle-timeout", [](config& c) -> duration& { return c.http.idle_timeout; },
        "Between two requests of a connection; beyond, it closes"),
    count(
        "http.max_connections", "--http-max-connections",
        [](config& c) -> std::uint64_t& { return c.http.max_connections; },
        "Connections at a time; more wait in the system's backlog"),
    bytes(
        "http.max_drained_bytes", "--http-max-drained-bytes",
        [](config& c) -> std::uint64_t& { return c.http.max_drained_bytes; },
        "Of a body nobody read, what is read to keep the connection; beyond, it closes", 0),
    bytes(
        "http.max_pipelined_bytes", "--http-max-pipelined-bytes",
        [](config& c) -> std::uint64_t& { return c.http.max_pipelined_bytes; },
        "Of answers to pipelined requests, what is gathered into one write"),
    timespan(
        "http.stop_linger", "--http-stop-linger", [](config& c) -> duration& { return c.http.stop_linger; },
        "After SIGTERM, how long connections are still accepted and idle ones kept, for requests on their way", 0),
    text(
        "http.server_name", "--http-server-name", [](config& c) -> std::string& { return c.http.server_name; },
        "What the Server field of answers says; empty for no such field"),

    option{"log.level", "--log-level", value_kind::level, [](config& c) -> log::level& { return c.log.threshold; },
           "What is less important is not logged"},
    option{"log.format", "--log-format", value_kind::format,
           [](config& c) -> log::line_format& { return c.log.format; }, "text for people, json for machines"},
    text(
        "log.file", "--log-file", [](config& c) -> std::string& { return c.log.file; },
        "A file that the log is appended to; empty for standard error"),
    count(
        "log.queue_lines", "--log-queue-lines", [](config& c) -> std::uint64_t& { return c.log.queue_lines; },
        "Lines that wait to be written at most, some 400 bytes each, which are taken at the start; beyond, the oldest "
        "are dropped and counted",
        1, most_log_lines),
};

std::string variable_named(std::string_view text) {
  std::string name = "PENSTOCK_";
  for (char c : text) name += c == '-' || c == '.' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return name;
}

}  // namespace

std::span<const option> option_table() { return all_options; }

std::string_view option::section() const noexcept {
  std::size_t dot = key.find('.');
  return dot == std::string_view::npos ? std::string_view() : key.substr(0, dot);
}

std::string_view option::name() const noexcept {
  std::size_t dot = key.find('.');
  return dot == std::string_view::npos ? key : key.substr(dot + 1);
}

std::string option::variable() const { return variable_named(flag.substr(2)); }
std::string option::variable_of_key() const { return variable_named(key); }

}  // namespace penstock::app

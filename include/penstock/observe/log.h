#pragma once

// Structured logging: a message that never changes and fields that do, as text or JSON, one line each. Lines are
// formatted by the caller and written by a thread of their own, so a slow disk never stalls a loop.
//
//   log::configure({.format = log::line_format::json, .file = "penstock.log"});
//   log::info("batch committed", {{"rows", n}, {"elapsed", d}});
//
// Use metrics for what is counted, and no log for what happens once per item.

#include "penstock/observe/log_field.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace penstock::log {

/// How much a line matters. `off` is a threshold only.
enum class level : std::uint8_t { debug, info, warn, error, off };

/// "debug", "info", "warn", "error", "off".
std::string_view level_name(level l) noexcept;
/// The level of that name, in any case. Throws `observe_errc::bad_log_level`.
level parse_level(std::string_view text);

/// How a line looks.
enum class line_format : std::uint8_t {
  text,  ///< `2026-01-02T03:04:05.678901Z INFO  batch committed rows=10 elapsed=1.5ms`, for people.
  json,  ///< `{"time":"…","level":"info","message":"batch committed","rows":10,"elapsed":0.0015}`, for machines.
};

/// The format of that name ("text" or "json"). Throws `observe_errc::bad_log_format`.
line_format parse_format(std::string_view text);

/// How the process logs.
struct options {
  /// Lines below this level are not made. Debug shows each call of `traced`.
  level threshold = level::info;
  line_format format = line_format::text;
  /// Appended to and created when missing; empty: standard error.
  std::string file = {};
  /// How many lines may wait for the writing thread. When one more comes, the oldest is dropped and counted
  /// (`penstock_log_dropped_total`, and a warning in the log once there is room). Raise it when bursts drop lines; 0
  /// writes each line in the caller, for short-lived tools.
  std::size_t queue_lines = 8192;
  /// Log what nobody awaited (`set_unhandled_error_handler`) with its traceback and count it as
  /// `penstock_unhandled_errors_total`; on `std::terminate` log the exception and write out what waits. Turn it off
  /// when the program has handlers of its own.
  bool handle_unhandled_errors = true;
};

/// Sets how the whole process logs; lines under way are written first. Until it is called, lines of level info and
/// above go to standard error as text, written by the caller. At exit, what waits is written, for two seconds at most.
/// Thread-safe. Throws `observe_errc::log_file` when the file can't be opened; the previous configuration then stays.
void configure(const options& how);
/// Changes the threshold alone. Thread-safe.
void set_level(level threshold) noexcept;
/// Waits until the lines logged before this call are written; false when that takes longer than two seconds. It
/// blocks: not for tasks.
bool flush() noexcept;
/// How many lines were lost since the start: dropped from a full queue, or refused by the disk.
std::uint64_t dropped_lines() noexcept;

namespace detail {
extern constinit std::atomic<level> threshold;
}  // namespace detail

/// True when lines of this level are written: ask before costly preparations. One relaxed load.
inline bool enabled(level l) noexcept { return l >= detail::threshold.load(std::memory_order_relaxed); }

/// Logs a line, whatever the threshold. Texts are cut at 16 KiB, control characters and invalid UTF-8 escaped, so a
/// line stays one line. Within a request (`current_request`) its id is added. A failure to log is counted, never
/// thrown.
void write(level l, std::string_view message, std::span<const field> fields) noexcept;

/// Log a line of that level, when the threshold lets it through.
inline void debug(std::string_view message, std::initializer_list<field> fields = {}) noexcept {
  if (enabled(level::debug)) [[unlikely]]
    write(level::debug, message, {fields.begin(), fields.size()});
}
inline void info(std::string_view message, std::initializer_list<field> fields = {}) noexcept {
  if (enabled(level::info)) write(level::info, message, {fields.begin(), fields.size()});
}
inline void warn(std::string_view message, std::initializer_list<field> fields = {}) noexcept {
  if (enabled(level::warn)) write(level::warn, message, {fields.begin(), fields.size()});
}
inline void error(std::string_view message, std::initializer_list<field> fields = {}) noexcept {
  if (enabled(level::error)) write(level::error, message, {fields.begin(), fields.size()});
}

/// Logs an exception: fields, then `error_code` (for `penstock::error`), `error` (type and message) and its
/// traceback, which is indented below the line as text, and the field `traceback` in JSON. Nothing when the level is
/// off.
void exception(level l, std::string_view message, const std::exception_ptr& error,
               std::initializer_list<field> fields = {}) noexcept;
/// As above, with fields collected at run time.
void write_exception(level l, std::string_view message, const std::exception_ptr& error,
                     std::span<const field> fields) noexcept;

/// True for names of what must not be logged: password, passwd, secret, token, authorization, cookie, api_key,
/// private_key, credential and their compounds, in any case and spelling.
bool names_a_secret(std::string_view name) noexcept;
/// A URL without its password, and without query parameters that name a secret: "mariadb://u:p@h" gives
/// "mariadb://u:***@h". Relative references are URLs too, and so is what lacks the scheme or its
/// signs, as "mariadb:/u:p@h". Other texts come back as they are.
std::string redact_url(std::string_view url);

/// Receives each line as formatted, without the newline at its end.
using line_sink = std::function<void(level, std::string_view)>;
/// Sends lines to `sink` instead, called by the thread that logs, one at a time; null ends that. See `log_capture.h`.
void set_sink_for_tests(line_sink sink);

}  // namespace penstock::log

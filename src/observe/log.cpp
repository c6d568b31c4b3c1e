// Invariants: there is always a writer; each line goes to the test sink or to the writer that is in force when it is
// logged. The state is never destroyed, so destructors of other static objects may log.

#include "penstock/observe/log.h"

#include "observe/log_line.h"
#include "observe/log_pipeline.h"
#include "observe/log_writer.h"
#include "penstock/async/scheduler.h"
#include "penstock/core/error.h"
#include "penstock/core/outcome.h"
#include "penstock/core/traceback.h"
#include "penstock/observe/error.h"
#include "penstock/observe/log_rotation.h"
#include "penstock/observe/metrics.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace penstock::log {

namespace detail {
constinit std::atomic<level> threshold = level::info;
}  // namespace detail

namespace {

constexpr std::chrono::seconds flush_patience(2);
constexpr std::size_t kept_line_bytes = 16 * 1024;

struct state {
  std::mutex mutex;
  options how{.queue_lines = 0};
  std::shared_ptr<writer> out = make_writer(how);
  std::atomic<line_format> format = line_format::text;
  std::atomic<bool> testing = false;
  std::mutex sink_mutex;
  line_sink sink;
};

void write_out_at_exit() noexcept;

state& the_state() {
  static state* instance = [] {
    auto* made = new state;
    std::atexit(write_out_at_exit);
    return made;
  }();
  return *instance;
}

// Puts a configuration in force and gives the writer that was; dropping it writes what waits there.
std::shared_ptr<writer> replace_writer(state& s, const options& how) {
  std::shared_ptr<writer> fresh = make_writer(how);
  std::lock_guard lock(s.mutex);
  s.how = how;
  return std::exchange(s.out, std::move(fresh));
}

std::shared_ptr<writer> current_writer(state& s) {
  std::lock_guard lock(s.mutex);
  return s.out;
}

void write_out_at_exit() noexcept {
  try {
    current_writer(the_state())->write_at_once(flush_patience);
  } catch (...) {
    count_dropped(1);  // There is nobody left to tell.
  }
}

bool give_to_test_sink(state& s, level severity, std::string_view line) {
  if (!s.testing.load(std::memory_order_acquire)) return false;
  thread_local bool inside = false;
  if (inside) return true;  // The sink logs itself.
  std::lock_guard lock(s.sink_mutex);
  if (!s.sink) return false;
  inside = true;
  try {
    s.sink(severity, line);
  } catch (...) {
    inside = false;
    throw;
  }
  inside = false;
  return true;
}

system_time wall_now() {
  scheduler* current = scheduler::current_or_null();
  return current != nullptr ? current->wall_now() : system_time(std::chrono::system_clock::now());
}

void write_line(level severity, std::string_view message, std::span<const field> fields,
                const failure_text* failure) noexcept {
  try {
    thread_local std::string line;
    state& s = the_state();
    line.clear();
    line_parts parts;
    parts.severity = severity;
    parts.time = wall_now();
    parts.message = message;
    parts.fields = fields;
    parts.request = current_request.get();
    parts.failure = failure;
    append_line(line, s.format.load(std::memory_order_relaxed), parts);
    if (!give_to_test_sink(s, severity, line)) current_writer(s)->write(severity, line);
    if (line.capacity() > kept_line_bytes) line = std::string();
  } catch (...) {
    count_dropped(1);  // There is nobody left to tell.
  }
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return lower;
}

}  // namespace

void configure(const options& how) {
  count_dropped(0);  // The metric is there before the first drop: what appears with a count shows no increase.
  state& s = the_state();
  static const std::uint64_t hook = metrics::default_registry().add_hook([&s] { current_writer(s)->count_overrun(); });
  static_cast<void>(hook);
  std::shared_ptr<writer> old = replace_writer(s, how);
  s.format.store(how.format, std::memory_order_relaxed);
  set_level(how.threshold);
  if (how.handle_unhandled_errors) install_error_handlers();
}

void reopen() { current_writer(the_state())->reopen(); }

options current_options() {
  state& s = the_state();
  std::lock_guard lock(s.mutex);
  options how = s.how;
  how.threshold = detail::threshold.load(std::memory_order_relaxed);
  how.format = s.format.load(std::memory_order_relaxed);
  return how;
}

void set_line_options(line_format format, level threshold) {
  the_state().format.store(format, std::memory_order_relaxed);
  set_level(threshold);
}

void set_level(level threshold) noexcept { detail::threshold.store(threshold, std::memory_order_relaxed); }

bool flush() noexcept {
  try {
    return current_writer(the_state())->flush(flush_patience);
  } catch (...) {
    return false;
  }
}

std::uint64_t dropped_lines() noexcept {
  current_writer(the_state())->count_overrun();
  return dropped_so_far();
}

void set_sink_for_tests(line_sink sink) {
  state& s = the_state();
  std::lock_guard lock(s.sink_mutex);
  s.sink = std::move(sink);
  s.testing.store(static_cast<bool>(s.sink), std::memory_order_release);
}

void write(level l, std::string_view message, std::span<const field> fields) noexcept {
  write_line(l, message, fields, nullptr);
}

void exception(level l, std::string_view message, const std::exception_ptr& error,
               std::initializer_list<field> fields) noexcept {
  write_exception(l, message, error, {fields.begin(), fields.size()});
}

void write_exception(level l, std::string_view message, const std::exception_ptr& error,
                     std::span<const field> fields) noexcept {
  if (!enabled(l)) return;
  try {
    failure_text failure;
    failure.description = describe(error);
    failure.traceback = format_traceback(error);
    if (auto* known = penstock::detail::exception_as<penstock::error>(error)) failure.code = known->code();
    write_line(l, message, fields, &failure);
  } catch (...) {
    write_line(l, message, fields, nullptr);  // Formatting failed; what is known is still worth a line.
  }
}

std::string_view level_name(level l) noexcept {
  constexpr std::array<std::string_view, 5> names = {"debug", "info", "warn", "error", "off"};
  return names[static_cast<std::size_t>(l)];
}

level parse_level(std::string_view text) {
  std::string wanted = lower_case(text);
  for (level l : {level::debug, level::info, level::warn, level::error, level::off})
    if (wanted == level_name(l)) return l;
  if (wanted == "warning") return level::warn;
  throw penstock::error(observe_errc::bad_log_level,
                        "'" + std::string(text) + "' is no log level: use debug, info, warn, error or off");
}

line_format parse_format(std::string_view text) {
  std::string wanted = lower_case(text);
  if (wanted == "text") return line_format::text;
  if (wanted == "json") return line_format::json;
  throw penstock::error(observe_errc::bad_log_format, "'" + std::string(text) + "' is no log format: use text or json");
}

}  // namespace penstock::log

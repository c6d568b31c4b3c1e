// Invariant: one record is one line (in text format followed by the indented lines of a traceback), whatever its
// message, keys and values hold; a JSON line is an object in which each name stands once.

#include "observe/log_line.h"

#include "observe/escape.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <span>
#include <string>
#include <vector>

namespace penstock::log {
namespace {

constexpr std::size_t most_text_bytes = 16 * 1024;
constexpr std::size_t most_traceback_bytes = 64 * 1024;
constexpr std::size_t most_key_bytes = 128;
constexpr std::string_view redacted = "[redacted]";
constexpr std::array<std::string_view, 6> own_names = {"time", "level", "message", "error_code", "error", "traceback"};

void append_padded(std::string& out, unsigned value, int width) {
  std::array<char, 10> digits{};
  for (int i = width; i-- > 0; value /= 10) digits[static_cast<std::size_t>(i)] = static_cast<char>('0' + value % 10);
  out.append(digits.data(), static_cast<std::size_t>(width));
}

// RFC 3339 in UTC, with microseconds.
void append_time(std::string& out, system_time time) {
  auto day = std::chrono::floor<std::chrono::days>(time);
  std::chrono::year_month_day date(day);
  auto micros = std::chrono::floor<std::chrono::microseconds>(time - day);
  auto seconds = std::chrono::floor<std::chrono::seconds>(micros);
  auto second_of_day = static_cast<unsigned>(seconds.count());
  append_padded(out, static_cast<unsigned>(static_cast<int>(date.year())), 4);
  out += '-';
  append_padded(out, static_cast<unsigned>(date.month()), 2);
  out += '-';
  append_padded(out, static_cast<unsigned>(date.day()), 2);
  out += 'T';
  append_padded(out, second_of_day / 3600, 2);
  out += ':';
  append_padded(out, second_of_day / 60 % 60, 2);
  out += ':';
  append_padded(out, second_of_day % 60, 2);
  out += '.';
  append_padded(out, static_cast<unsigned>((micros - seconds).count()), 6);
  out += 'Z';
}

template <class Number, class... Format>
void append_number(std::string& out, Number value, Format... format) {
  std::array<char, 400> digits{};
  auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, format...);
  out.append(digits.data(), end.ptr);
}

// Three digits that matter and the unit that suits: "850ns", "1.5ms", "12.3s".
void append_elapsed(std::string& out, std::chrono::nanoseconds elapsed) {
  auto value = static_cast<double>(elapsed.count());
  constexpr std::array<std::string_view, 4> units = {"ns", "us", "ms", "s"};
  std::size_t unit = 0;
  // 999.5 would be printed as 1000.
  while (unit + 1 < units.size() && std::fabs(value) >= 999.5) {
    value /= 1000;
    ++unit;
  }
  if (std::fabs(value) >= 999.5)
    append_number(out, std::round(value), std::chars_format::fixed);
  else
    append_number(out, value, std::chars_format::general, 3);
  out += units[unit];
}

bool plain_word(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](char c) { return c > 0x20 && c < 0x7f && c != '"' && c != '=' && c != '\\'; });
}

class text_line {
 public:
  explicit text_line(std::string& out) : out_(out) {}

  void begin(const line_parts& parts) {
    constexpr std::array<std::string_view, 5> names = {" DEBUG ", " INFO  ", " WARN  ", " ERROR ", " OFF   "};
    append_time(out_, parts.time);
    out_ += names[static_cast<std::size_t>(parts.severity)];
    append_escaped(out_, parts.message, escaping::plain, most_text_bytes);
  }
  void key(std::string_view name) {
    out_ += ' ';
    name = name.substr(0, most_key_bytes);
    std::size_t start = out_.size();
    for (char c : name) {
      bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
                  c == '-';
      out_ += good ? c : '_';
    }
    if (out_.size() == start) out_ += '_';
    out_ += '=';
  }
  void value(std::string_view text) {
    if (plain_word(text.substr(0, most_text_bytes)) && text.size() <= most_text_bytes) {
      out_ += text;
      return;
    }
    out_ += '"';
    append_escaped(out_, text, escaping::quoted, most_text_bytes);
    out_ += '"';
  }
  void value(double number) { append_number(out_, number); }
  void value(std::chrono::nanoseconds elapsed) { append_elapsed(out_, elapsed); }
  void traceback(std::string_view text) {
    bool cut = text.size() > most_traceback_bytes;
    text = text.substr(0, most_traceback_bytes);
    while (!text.empty()) {
      std::size_t end = std::min(text.find('\n'), text.size());
      out_ += "\n    ";
      append_escaped(out_, text.substr(0, end), escaping::plain, most_traceback_bytes);
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    if (cut) out_ += "\n    ... (cut)";
  }
  void end() {}

 private:
  std::string& out_;
};

class json_line {
 public:
  explicit json_line(std::string& out) : out_(out) {}

  void begin(const line_parts& parts) {
    out_ += R"({"time":")";
    append_time(out_, parts.time);
    out_ += R"(","level":")";
    out_ += level_name(parts.severity);
    out_ += R"(","message":")";
    append_escaped(out_, parts.message, escaping::json, most_text_bytes);
    out_ += '"';
  }
  void key(std::string_view name) {
    out_ += ",\"";
    append_escaped(out_, name, escaping::json, most_key_bytes);
    out_ += "\":";
  }
  void value(std::string_view text) { value(text, most_text_bytes); }
  void value(double number) {
    if (std::isfinite(number)) return append_number(out_, number);
    value(std::isnan(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity");
  }
  void value(std::chrono::nanoseconds elapsed) { append_number(out_, static_cast<double>(elapsed.count()) / 1e9); }
  void traceback(std::string_view text) {
    key("traceback");
    value(text, most_traceback_bytes);
  }
  void end() { out_ += '}'; }

 private:
  void value(std::string_view text, std::size_t most) {
    out_ += '"';
    append_escaped(out_, text, escaping::json, most);
    out_ += '"';
  }

  std::string& out_;
};

template <class Line>
void append_value(Line& line, std::string& out, const field& f) {
  if (names_a_secret(f.key())) return line.value(redacted);
  switch (f.type()) {
    case field::kind::text:
      return line.value(f.text());
    case field::kind::signed_integer:
      return append_number(out, f.signed_integer());
    case field::kind::unsigned_integer:
      return append_number(out, f.unsigned_integer());
    case field::kind::real:
      return line.value(f.real());
    case field::kind::boolean:
      out += f.boolean() ? "true" : "false";
      return;
    case field::kind::elapsed:
      return line.value(f.elapsed());
  }
}

bool is_own(std::string_view name) { return std::find(own_names.begin(), own_names.end(), name) != own_names.end(); }

bool has(std::span<const field> fields, std::string_view name) {
  return std::any_of(fields.begin(), fields.end(), [&](const field& f) { return f.key() == name; });
}

// Whether the names can stand as they are; of those that are written otherwise, two may be written alike.
bool are_distinct(std::span<const field> fields) {
  for (std::size_t i = 0; i < fields.size(); ++i) {
    std::string_view name = fields[i].key();
    if (name.size() > most_key_bytes || is_own(name) || has(fields.first(i), name)) return false;
    if (!std::all_of(name.begin(), name.end(), [](char c) { return c >= 0x20 && c < 0x7f; })) return false;
  }
  return true;
}

// The names with as many '_' behind each as tell it from ours and from those before it.
std::vector<std::string> distinct_names(std::span<const field> fields) {
  std::vector<std::string> names;
  std::vector<std::string> all_written;
  for (const field& f : fields) {
    std::string name(f.key());
    if (is_own(name)) name += '_';
    std::string written;
    auto stands_before = [&] {
      written.clear();
      append_escaped(written, name, escaping::json, most_key_bytes);
      return std::find(all_written.begin(), all_written.end(), written) != all_written.end();
    };
    while (stands_before()) name += '_';
    names.push_back(std::move(name));
    all_written.push_back(std::move(written));
  }
  return names;
}

template <class Line>
void append_fields(Line& line, std::string& out, const line_parts& parts) {
  std::vector<std::string> renamed;
  if (!are_distinct(parts.fields)) renamed = distinct_names(parts.fields);
  for (std::size_t i = 0; i < parts.fields.size(); ++i) {
    line.key(renamed.empty() ? parts.fields[i].key() : renamed[i]);
    append_value(line, out, parts.fields[i]);
  }
  if (parts.request == nullptr || has(parts.fields, "request_id")) return;
  line.key("request_id");
  line.value(parts.request->id());
  if (parts.request->trace_id().empty() || has(parts.fields, "trace_id")) return;
  line.key("trace_id");
  line.value(parts.request->trace_id());
}

template <class Line>
void append_record(std::string& out, const line_parts& parts) {
  Line line(out);
  line.begin(parts);
  append_fields(line, out, parts);
  if (parts.failure != nullptr) {
    if (!parts.failure->code.empty()) {
      line.key("error_code");
      line.value(parts.failure->code);
    }
    line.key("error");
    line.value(parts.failure->description);
    line.traceback(parts.failure->traceback);
  }
  line.end();
}

}  // namespace

void append_line(std::string& out, line_format format, const line_parts& parts) {
  if (format == line_format::json)
    append_record<json_line>(out, parts);
  else
    append_record<text_line>(out, parts);
}

}  // namespace penstock::log

#include "penstock/core/traceback.h"

#include "penstock/core/error.h"
#include "traceback_store.h"

#include <algorithm>
#include <cstdlib>
#include <span>
#include <string_view>
#include <typeinfo>
#include <utility>

#include <cxxabi.h>

namespace penstock {
namespace {

constexpr std::size_t deepest_cause = 16;
constexpr std::size_t most_attached = 10;
constexpr std::size_t repeats_looked_for = 100;

std::string type_name(const std::exception_ptr& error) {
  const std::type_info* type = nullptr;
  try {
    std::rethrow_exception(error);
  } catch (...) {
    type = abi::__cxa_current_exception_type();
  }
  if (type == nullptr) return "unknown exception";
  int status = 0;
  char* name = abi::__cxa_demangle(type->name(), nullptr, nullptr, &status);
  std::string result = status == 0 ? name : type->name();
  std::free(name);
  return result;
}

struct throw_site {
  bool known = false;
  std::source_location where;
};

throw_site throw_site_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const penstock::error& e) {
    return {e.where().line() != 0, e.where()};
  } catch (...) {
    return {};
  }
}

void append_frame(std::string& out, std::string_view indent, const char* file, std::uint32_t line, const char* function,
                  std::string_view note) {
  out += indent;
  out += "  File \"";
  out += file;
  out += "\", line ";
  out += std::to_string(line);
  out += ", in ";
  out += short_function_name(function);
  if (!note.empty()) {
    out += " [";
    out += note;
    out += ']';
  }
  out += '\n';
}

void append_indented(std::string& out, std::string_view indent, std::string_view text) {
  while (!text.empty()) {
    std::size_t end = std::min(text.find('\n'), text.size() - 1);
    out += indent;
    out += text.substr(0, end + 1);
    text.remove_prefix(end + 1);
  }
}

void append_exception(std::string& out, const std::exception_ptr& error, std::size_t depth) {
  if (std::exception_ptr cause = cause_of(error); cause && depth < deepest_cause) {
    append_exception(out, cause, depth + 1);
    out += "\nThe above happened while:\n\n";
  }
  std::vector<traceback_frame> frames = traceback_of(error);
  throw_site site = throw_site_of(error);
  // The place of the throw says more than the function it was in.
  if (site.known && !frames.empty() && frames.back().note == detail::thrown_inside &&
      short_function_name(frames.back().function) == short_function_name(site.where.function_name()))
    frames.pop_back();
  if (!frames.empty() || site.known) out += "Traceback (most recent await last):\n";
  for (const traceback_frame& frame : frames) append_frame(out, "", frame.file, frame.line, frame.function, frame.note);
  if (site.known) append_frame(out, "", site.where.file_name(), site.where.line(), site.where.function_name(), "");
  out += describe(error);
  out += '\n';
  std::vector<std::exception_ptr> beside = attached_failures(error);
  for (std::size_t i = 0; i < beside.size() && depth < deepest_cause; ++i) {
    if (i == most_attached) {
      out += "  and " + std::to_string(beside.size() - i) + " more failures beside it\n";
      break;
    }
    out += "  beside it, failure " + std::to_string(i + 1) + " of " + std::to_string(beside.size()) + ":\n";
    std::string inner;
    append_exception(inner, beside[i], depth + 1);
    append_indented(out, "    ", inner);
  }
}

// The position of the last `(…)` or `<…>` group's opening; npos when the text does not end with such a group.
std::size_t trailing_group(std::string_view text) {
  if (text.empty() || text.back() != ')') return std::string_view::npos;
  int depth = 0;
  for (std::size_t i = text.size(); i-- > 0;) {
    if (text[i] == ')') ++depth;
    if (text[i] == '(' && --depth == 0) return i;
  }
  return std::string_view::npos;
}

void cut_return_type(std::string_view& text) {
  int depth = 0;
  for (std::size_t i = text.size(); i-- > 0;) {
    char c = text[i];
    if (c == ')' || c == '>') ++depth;
    if (c == '(' || c == '<') --depth;
    if (depth != 0 || c != ' ') continue;
    text.remove_prefix(i + 1);
    return;
  }
}

// True when `to` is `from`, or among its causes and attached failures, or among theirs.
bool leads_to(const std::exception_ptr& from, const std::exception_ptr& to) {
  std::vector<std::exception_ptr> seen{from};
  auto visit = [&](std::exception_ptr next) {
    if (next && std::find(seen.begin(), seen.end(), next) == seen.end()) seen.push_back(std::move(next));
  };
  for (std::size_t i = 0; i < seen.size(); ++i) {
    if (seen[i] == to) return true;
    visit(cause_of(seen[i]));
    for (std::exception_ptr& beside : attached_failures(seen[i])) visit(std::move(beside));
  }
  return false;
}

void add_frame(const std::exception_ptr& error, std::source_location where, std::string note, const void* task) {
  detail::with_traceback_record(error, true, [&](detail::traceback_record& record) {
    if (!record.next_note.empty()) note = std::exchange(record.next_note, {});
    record.steps.add({where.file_name(), where.line(), where.function_name(), std::move(note)});
    record.newest_task = task;
  });
}

}  // namespace

void add_traceback_frame(const std::exception_ptr& error, std::source_location where, std::string note) {
  add_frame(error, where, std::move(note), nullptr);
}

void detail::note_next_frame(const std::exception_ptr& error, std::string note) {
  with_traceback_record(error, true, [&](traceback_record& record) { record.next_note = std::move(note); });
}

void detail::add_task_frame(const std::exception_ptr& error, std::source_location where, const char* note,
                            const void* task) {
  add_frame(error, where, note, task);
}

const void* detail::newest_frame_task(const std::exception_ptr& error) {
  const void* task = nullptr;
  with_traceback_record(error, false, [&](traceback_record& record) { task = record.newest_task; });
  return task;
}

std::vector<traceback_frame> traceback_of(const std::exception_ptr& error) {
  std::vector<traceback_frame> frames;
  detail::with_traceback_record(error, false, [&](detail::traceback_record& record) { frames = record.steps.list(); });
  return frames;
}

void attach_failure(const std::exception_ptr& error, std::exception_ptr beside) {
  // A ring of exceptions that own each other would never be freed.
  if (leads_to(beside, error)) return;
  detail::with_traceback_record(error, true, [&](detail::traceback_record& record) {
    // Tasks that shared one operation fail with one exception, mostly one after the other.
    std::span known(record.beside);
    if (known.size() > repeats_looked_for) known = known.last(repeats_looked_for);
    if (std::find(known.begin(), known.end(), beside) == known.end()) record.beside.push_back(std::move(beside));
  });
}

std::vector<std::exception_ptr> attached_failures(const std::exception_ptr& error) {
  std::vector<std::exception_ptr> beside;
  detail::with_traceback_record(error, false, [&](detail::traceback_record& record) { beside = record.beside; });
  return beside;
}

std::string format_traceback(const std::exception_ptr& error) {
  if (!error) return "no exception";
  std::string out;
  append_exception(out, error, 0);
  return out;
}

std::string describe(const std::exception_ptr& error) {
  if (!error) return "no exception";
  try {
    std::rethrow_exception(error);
  } catch (const penstock::error& e) {
    return type_name(error) + " [" + std::string(e.code()) + "]: " + e.what();
  } catch (const std::exception& e) {
    return type_name(error) + ": " + e.what();
  } catch (...) {
    return type_name(error);
  }
}

std::exception_ptr cause_of(const std::exception_ptr& error) {
  if (!error) return nullptr;
  try {
    std::rethrow_exception(error);
  } catch (const penstock::error& e) {
    return e.cause();
  } catch (const std::nested_exception& e) {
    return e.nested_ptr();
  } catch (...) {
    return nullptr;
  }
}

std::string short_function_name(const char* function) {
  std::string_view text = function;
  if (std::size_t with = text.find(" [with "); with != std::string_view::npos) text = text.substr(0, with);
  if (text.ends_with(']'))
    if (std::size_t bracket = text.find(" ["); bracket != std::string_view::npos) text = text.substr(0, bracket);
  for (std::string_view suffix : {" const", " noexcept"})
    if (text.ends_with(suffix)) text.remove_suffix(suffix.size());
  if (std::size_t group = trailing_group(text); group != std::string_view::npos && group > 0)
    text = text.substr(0, group);
  cut_return_type(text);
  constexpr std::string_view call = "::operator()";
  if (text.ends_with(call)) text.remove_suffix(call.size());
  return std::string(text);
}

}  // namespace penstock

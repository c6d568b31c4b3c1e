#include "penstock/http/router.h"

#include "field_syntax.h"
#include "penstock/http/error.h"

#include <algorithm>

// Invariant: `routes_` is sorted by `comes_before`, so the first route that fits is the one that wins; no two routes
// fit the same paths, and no method is twice in one.

namespace penstock::http {
namespace {

bool is_parameter(std::string_view segment) {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

std::string_view parameter_name(std::string_view segment) { return segment.substr(1, segment.size() - 2); }

std::vector<std::string> split(std::string_view pattern) {
  std::vector<std::string> segments;
  while (!pattern.empty()) {
    pattern.remove_prefix(1);
    std::size_t end = std::min(pattern.find('/'), pattern.size());
    segments.emplace_back(pattern.substr(0, end));
    pattern.remove_prefix(end);
  }
  return segments;
}

// Takes the next segment off a path that begins with '/'.
std::string_view next_segment(std::string_view& path) {
  path.remove_prefix(1);
  std::size_t end = std::min(path.find('/'), path.size());
  std::string_view segment = path.substr(0, end);
  path.remove_prefix(end);
  return segment;
}

bool is_literal(std::string_view given, const std::string& segment) {
  if (given.find('%') == std::string_view::npos) return given == segment;
  return percent_decode(given) == segment;
}

[[noreturn]] void refuse(const std::string& pattern, const std::string& why) {
  throw error(http_errc::bad_route, "route '" + pattern + "': " + why);
}

// Throws unless requests could match it.
void check_pattern(const std::string& pattern, const std::vector<std::string>& segments) {
  if (pattern.find_first_of("?#% \t\r\n", 0, 8) != std::string::npos)
    refuse(pattern, "a pattern is a path, written without percent-encoding");
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const std::string& segment = segments[i];
    std::string_view inner = is_parameter(segment) ? parameter_name(segment) : std::string_view(segment);
    if (inner.find_first_of("{}") != std::string::npos) refuse(pattern, "a parameter is a whole segment such as {id}");
    if (is_parameter(segment) && std::count(segments.begin(), segments.end(), segment) > 1)
      refuse(pattern, "two parameters are named " + segment);
  }
}

}  // namespace

void router::add(std::string method, std::string pattern, handler h) {
  if (!pattern.starts_with('/')) refuse(pattern, "a path begins with '/'");
  if (!is_token(method)) refuse(pattern, "'" + method + "' is no method");
  route added{pattern, routes_.size(), split(pattern), {}, {}};
  check_pattern(pattern, added.segments);
  for (const std::string& segment : added.segments) added.shape += is_parameter(segment) ? 'p' : 'l';

  auto same = std::find_if(routes_.begin(), routes_.end(), [&](const route& r) { return fits_the_same(r, added); });
  if (same == routes_.end())
    same = routes_.insert(std::upper_bound(routes_.begin(), routes_.end(), added, comes_before), std::move(added));
  else if (same->pattern != pattern)
    refuse(pattern, "it fits the same paths as '" + same->pattern + "': name the parameters alike");
  for (const method_handler& m : same->methods)
    if (m.method == method) refuse(pattern, method + " is there already");
  same->methods.push_back({std::move(method), std::move(h)});
}

void router::otherwise(handler h) { otherwise_ = std::move(h); }

std::string_view router::pattern(std::size_t number) const noexcept {
  auto found = std::find_if(routes_.begin(), routes_.end(), [&](const route& r) { return r.number == number; });
  return found == routes_.end() ? std::string_view() : found->pattern;
}

bool router::comes_before(const route& a, const route& b) {
  auto parameters = [](const route& r) { return std::count(r.shape.begin(), r.shape.end(), 'p'); };
  if (parameters(a) != parameters(b)) return parameters(a) < parameters(b);
  return a.shape < b.shape;
}

bool router::fits_the_same(const route& a, const route& b) {
  if (a.shape != b.shape) return false;
  for (std::size_t i = 0; i < a.segments.size(); ++i)
    if (a.shape[i] == 'l' && a.segments[i] != b.segments[i]) return false;
  return true;
}

bool router::fits(const route& candidate, std::string_view path) {
  for (std::size_t i = 0; i < candidate.segments.size(); ++i) {
    if (path.empty()) return false;
    std::string_view given = next_segment(path);
    if (candidate.shape[i] == 'p' ? given.empty() : !is_literal(given, candidate.segments[i])) return false;
  }
  return path.empty();
}

const handler* router::handler_of(const route& candidate, std::string_view method) {
  const handler* get = nullptr;
  for (const method_handler& m : candidate.methods) {
    if (m.method == method) return &m.call;
    if (m.method == "GET") get = &m.call;
  }
  return method == "HEAD" ? get : nullptr;
}

void router::take_parameters(const route& found, request& r) {
  std::string_view path = r.path_;
  for (std::size_t i = 0; i < found.segments.size(); ++i) {
    std::string_view given = next_segment(path);
    if (found.shape[i] == 'p') r.parameters_.emplace_back(parameter_name(found.segments[i]), percent_decode(given));
  }
}

router::match router::find(request& r) const {
  match m;
  m.number = routes_.size();
  if (r.path_ == "*") {
    m.allow = "GET, HEAD, POST, OPTIONS";
    return m;
  }
  for (const route& candidate : routes_) {
    if (!r.path_.starts_with('/') || !fits(candidate, r.path_)) continue;
    if (m.route.empty()) m.route = candidate.pattern, m.number = candidate.number;
    m.call = handler_of(candidate, r.method_);
    if (m.call == nullptr) continue;
    m.route = candidate.pattern;
    m.number = candidate.number;
    if (candidate.shape.find('p') != std::string::npos) take_parameters(candidate, r);
    return m;
  }
  if (!m.route.empty())
    m.allow = allowed_methods(r.path_);
  else if (otherwise_)
    m.call = &otherwise_;
  return m;
}

std::string router::allowed_methods(std::string_view path) const {
  std::vector<std::string_view> all;
  auto put = [&](std::string_view method) {
    if (std::find(all.begin(), all.end(), method) == all.end()) all.push_back(method);
  };
  for (const route& candidate : routes_) {
    if (!fits(candidate, path)) continue;
    for (const method_handler& m : candidate.methods) {
      put(m.method);
      if (m.method == "GET") put("HEAD");
    }
  }
  put("OPTIONS");
  std::string list(all.front());
  for (std::size_t i = 1; i < all.size(); ++i) list.append(", ").append(all[i]);
  return list;
}

}  // namespace penstock::http

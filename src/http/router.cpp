#include "penstock/http/router.h"

#include "penstock/http/error.h"

#include <algorithm>

namespace penstock::http {
namespace {

bool is_parameter(std::string_view segment) {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

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

}  // namespace

void router::add(std::string method, std::string pattern, handler h) {
  if (!pattern.starts_with('/')) throw error(http_errc::bad_route, "route '" + pattern + "': a path begins with '/'");
  std::vector<std::string> segments = split(pattern);
  for (const std::string& segment : segments)
    if (!is_parameter(segment) && segment.find_first_of("{}") != std::string::npos)
      throw error(http_errc::bad_route, "route '" + pattern + "': a parameter is a whole segment such as {id}");
  auto same = std::find_if(routes_.begin(), routes_.end(), [&](const route& r) { return r.pattern == pattern; });
  if (same == routes_.end()) {
    auto parameters = static_cast<std::size_t>(std::count_if(segments.begin(), segments.end(), is_parameter));
    auto place =
        std::find_if(routes_.begin(), routes_.end(), [&](const route& r) { return r.parameters > parameters; });
    same = routes_.insert(place, route{pattern, std::move(segments), parameters, {}});
  }
  for (const method_handler& m : same->methods)
    if (m.method == method)
      throw error(http_errc::bad_route, "route '" + method + " " + pattern + "' is there already");
  same->methods.push_back({std::move(method), std::move(h)});
}

void router::otherwise(handler h) { otherwise_ = std::move(h); }

bool router::fits(const route& candidate, std::string_view path) {
  for (const std::string& segment : candidate.segments) {
    if (path.empty()) return false;
    std::string_view given = next_segment(path);
    if (is_parameter(segment) ? given.empty() : given != segment) return false;
  }
  return path.empty();
}

void router::take_parameters(const route& found, request& r) {
  std::string_view path = r.path_;
  for (const std::string& segment : found.segments) {
    std::string_view given = next_segment(path);
    if (is_parameter(segment))
      r.parameters_.emplace_back(std::string_view(segment).substr(1, segment.size() - 2), percent_decode(given));
  }
}

router::match router::find(request& r) const {
  match m;
  auto found = routes_.end();
  if (r.path_.starts_with('/'))
    found = std::find_if(routes_.begin(), routes_.end(), [&](const route& c) { return fits(c, r.path_); });
  if (found == routes_.end()) {
    if (otherwise_) m.call = &otherwise_;
    if (r.path_ == "*") m.allow = "GET, HEAD, POST, OPTIONS";
    return m;
  }
  m.route = found->pattern;
  std::string_view wanted = r.method_ == "HEAD" ? "GET" : r.method_;
  for (const method_handler& candidate : found->methods) {
    if (candidate.method == r.method_ || candidate.method == wanted) m.call = &candidate.call;
    if (candidate.method == r.method_) break;
  }
  if (m.call != nullptr) {
    if (found->parameters > 0) take_parameters(*found, r);
    return m;
  }
  for (const method_handler& candidate : found->methods) {
    if (candidate.method == "GET")
      m.allow += "GET, HEAD, ";
    else
      m.allow += candidate.method + ", ";
  }
  m.allow += "OPTIONS";
  return m;
}

}  // namespace penstock::http

#pragma once

// Which handler answers which request.
//
//   router routes;
//   routes.add("POST", "/v1/{stream}", [&](request& r) { return store(r); });

#include "penstock/async/task.h"
#include "penstock/http/request.h"
#include "penstock/http/response.h"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::http {

/// Answers a request. It is kept by the router; the request lives until the task has ended.
using handler = std::function<task<response>(request&)>;

/// Routes by path, then by method. Of the patterns that fit a path, the one with fewest parameters wins, and among
/// those the one whose parameters stand further right; where it has no handler for the method, the next that has. HEAD
/// is answered by GET's handler, OPTIONS and 405 by the server, with Allow.
class router {
 public:
  /// A pattern is a path whose segments are literal or `{name}`, which matches one whole non-empty segment. Both sides
  /// are compared without percent-encoding; an encoded slash does not part segments. Throws `http_errc::bad_route` for
  /// a malformed method or pattern, and for a method and a pattern that fit the same requests as one that is there.
  void add(std::string method, std::string pattern, handler h);

  /// The handler of every request that no route's path fits, instead of a 404.
  void otherwise(handler h);

  /// What `find` found.
  struct match {
    const handler* call = nullptr;  ///< Null when no handler fits.
    std::string_view route;         ///< The pattern; empty when no path fits. For metrics.
    std::size_t number = 0;         ///< The pattern's place in the order of adding; `size()` when no path fits.
    std::string allow;              ///< The methods of the path when the method is another, or OPTIONS.
  };
  /// Finds the handler and puts the path's parameters into the request. Throws bad_request for malformed escapes.
  match find(request& r) const;

  /// How many patterns there are.
  std::size_t size() const noexcept { return routes_.size(); }
  /// The pattern that was added as the n-th, from 0.
  std::string_view pattern(std::size_t number) const noexcept;

 private:
  struct method_handler {
    std::string method;
    handler call;
  };
  struct route {
    std::string pattern;
    std::size_t number;
    std::vector<std::string> segments;
    std::string shape;  // a letter for each segment: 'l' literal, 'p' parameter
    std::vector<method_handler> methods;
  };
  static bool comes_before(const route& a, const route& b);
  static bool fits_the_same(const route& a, const route& b);
  static bool fits(const route& candidate, std::string_view path);
  static const handler* handler_of(const route& candidate, std::string_view method);
  static void take_parameters(const route& found, request& r);
  std::string allowed_methods(std::string_view path) const;

  handler otherwise_;
  std::vector<route> routes_;  // in the order in which they are tried
};

}  // namespace penstock::http

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

/// Routes by path, then by method. Literal segments win over parameters. HEAD is answered by GET's handler, OPTIONS
/// and 405 by the router, with Allow.
class router {
 public:
  /// A pattern is a path whose segments are literal or `{name}`, which matches one whole non-empty segment. Throws
  /// `http_errc::bad_route` for a malformed pattern and for one that is there already.
  void add(std::string method, std::string pattern, handler h);

  /// The handler of every request that no route's path fits, instead of a 404.
  void otherwise(handler h);

  /// What `find` found.
  struct match {
    const handler* call = nullptr;  ///< Null when no handler fits.
    std::string_view route;         ///< The pattern; empty when no path fits. For metrics.
    std::string allow;              ///< The methods of the path when the method is another, or OPTIONS.
  };
  /// Finds the handler and puts the path's parameters into the request. Throws bad_request for malformed escapes.
  match find(request& r) const;

 private:
  struct method_handler {
    std::string method;
    handler call;
  };
  struct route {
    std::string pattern;
    std::vector<std::string> segments;
    std::size_t parameters;
    std::vector<method_handler> methods;
  };
  static bool fits(const route& candidate, std::string_view path);
  static void take_parameters(const route& found, request& r);

  handler otherwise_;
  std::vector<route> routes_;  // fewest parameters first
};

}  // namespace penstock::http

// Invariant: a request does everything it says or, where a part of it makes no sense, nothing.

#include "app/chaos/control.h"

#include "app/chaos/toxic_table.h"
#include "app/error.h"
#include <penstock/core/nearest.h>
#include <penstock/core/units.h>
#include <penstock/http/problem.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <simdjson.h>

namespace penstock::app::chaos {
namespace {

namespace dom = simdjson::dom;
using testing::chaos_proxy;
using testing::flow;
using testing::toxics;

constexpr std::size_t most_body_bytes = 64 * 1024;

[[noreturn]] void refuse(std::string detail) { throw http::problem_error(400, app_errc::bad_usage, std::move(detail)); }

http::response as_json(std::string body) { return http::response::json(200, std::move(body) + "\n"); }

std::string toxics_json(const toxics& of) {
  std::string json;
  for (const toxic& t : toxic_table())
    json += (json.empty() ? "{\"" : ", \"") + std::string(t.name) + "\": " + t.to_json(of);
  return json + "}";
}

std::string all_toxics_json(const chaos_proxy& proxy) {
  return "{\"to_server\": " + toxics_json(proxy.toxics_of(flow::to_server)) +
         ",\n \"to_client\": " + toxics_json(proxy.toxics_of(flow::to_client)) + "}";
}

// The value as an option would have it.
std::string text_of(dom::element value) {
  std::string_view text;
  return value.get(text) == simdjson::SUCCESS ? std::string(text) : simdjson::minify(value);
}

toxics read_toxics(std::string_view direction, dom::element given) {
  dom::object members;
  if (given.get(members) != simdjson::SUCCESS) refuse(std::string(direction) + " must be an object of toxics");
  toxics result;
  for (auto [name, value] : members) {
    if (value.is_null()) continue;
    try {
      toxic_named(name).set(result, text_of(value));
    } catch (const error& e) {
      refuse(std::string(direction) + ", " + std::string(name) + ": " + e.message());
    }
  }
  try {
    check(result);
  } catch (const error& e) {
    refuse(std::string(direction) + ": " + e.message());
  }
  return result;
}

struct change {
  std::optional<toxics> to_server;
  std::optional<toxics> to_client;
};

change read_change(const std::string& body) {
  dom::parser parser;
  dom::object directions;
  if (parser.parse(body).get(directions) != simdjson::SUCCESS)
    refuse(R"(the body must be JSON such as {"to_client": {"latency": "50ms"}})");
  change result;
  for (auto [name, given] : directions) {
    if (name != "to_server" && name != "to_client")
      refuse("'" + std::string(name) + "': the directions are to_server and to_client");
    (name == "to_server" ? result.to_server : result.to_client) = read_toxics(name, given);
  }
  return result;
}

// A mistyped one would do to all connections what was meant for some.
void refuse_unknown_parameters(const http::request& r, std::initializer_list<std::string_view> known = {}) {
  for (auto& [key, value] : r.query_parameters())
    if (std::find(known.begin(), known.end(), key) == known.end())
      refuse("there is no parameter '" + key + "'" + suggestion(key, std::span(known.begin(), known.size())));
}

std::optional<std::string> query_parameter(const http::request& r, std::string_view name) {
  for (auto& [key, value] : r.query_parameters())
    if (key == name) return value;
  return std::nullopt;
}

chaos_proxy::applies_to which_connections(const http::request& r) {
  refuse_unknown_parameters(r, {"connections"});
  std::string which = query_parameter(r, "connections").value_or("all");
  if (which == "all") return chaos_proxy::applies_to::all_connections;
  if (which == "new") return chaos_proxy::applies_to::new_connections;
  refuse("connections is all or new, and not '" + which + "'");
}

task<http::response> put_toxics(chaos_proxy& proxy, http::request& r) {
  task<std::string> reading = r.body().read_all(most_body_bytes);
  std::string body = co_await std::move(reading);
  change asked = read_change(body);
  chaos_proxy::applies_to which = which_connections(r);
  if (asked.to_server) proxy.set_toxics(flow::to_server, *asked.to_server, which);
  if (asked.to_client) proxy.set_toxics(flow::to_client, *asked.to_client, which);
  co_return as_json(all_toxics_json(proxy));
}

std::string connections_json(const chaos_proxy& proxy) {
  std::string json;
  for (const testing::chaos_connection_info& c : proxy.connections())
    json += (json.empty() ? "\n  " : ",\n  ") + std::string("{\"number\": ") + std::to_string(c.number) +
            ", \"client\": " + http::json_string(c.client) + ", \"age\": \"" +
            format_duration(std::chrono::floor<std::chrono::milliseconds>(c.age)) +
            "\", \"bytes_to_server\": " + std::to_string(c.bytes_to_server) +
            ", \"bytes_to_client\": " + std::to_string(c.bytes_to_client) + "}";
  return "{\"connections\": [" + json + "]}";
}

std::string counters_json(const testing::chaos_counters& c) {
  auto member = [](std::string_view name, std::uint64_t value) {
    return "\"" + std::string(name) + "\": " + std::to_string(value);
  };
  return "{" + member("connections", c.connections) + ", " + member("failed_connects", c.failed_connects) + ", " +
         member("bytes_to_server", c.bytes_to_server) + ", " + member("bytes_to_client", c.bytes_to_client) + ", " +
         member("dropped_bytes", c.dropped_bytes) + ", " + member("corrupted_bytes", c.corrupted_bytes) + ", " +
         member("cut_connections", c.cut_connections) + ", " + member("lost_answers", c.lost_answers) + "}";
}

// Ends the connection that ?connection=N names, or all.
http::response end_connections(const http::request& r, chaos_proxy& proxy, bool by_reset) {
  refuse_unknown_parameters(r, {"connection"});
  std::size_t ended = 0;
  if (std::optional<std::string> given = query_parameter(r, "connection")) {
    std::uint64_t number = 0;
    auto [end, failure] = std::from_chars(given->data(), given->data() + given->size(), number);
    if (failure != std::errc() || end != given->data() + given->size())
      refuse("connection '" + *given + "' is no number; GET /connections lists them");
    ended = (by_reset ? proxy.reset(number) : proxy.cut(number)) ? 1 : 0;
  } else {
    ended = by_reset ? proxy.reset_all() : proxy.cut_all();
  }
  return as_json("{\"ended\": " + std::to_string(ended) + "}");
}

task<http::response> answer(http::response r) { co_return r; }

}  // namespace

void add_control_routes(http::router& routes, chaos_proxy& proxy) {
  routes.add("GET", "/toxics", [&](http::request& r) {
    refuse_unknown_parameters(r);
    return answer(as_json(all_toxics_json(proxy)));
  });
  routes.add("PUT", "/toxics", [&](http::request& r) { return put_toxics(proxy, r); });
  routes.add("DELETE", "/toxics", [&](http::request& r) {
    refuse_unknown_parameters(r);
    proxy.clear_toxics();
    return answer(as_json(all_toxics_json(proxy)));
  });
  routes.add("GET", "/connections", [&](http::request& r) {
    refuse_unknown_parameters(r);
    return answer(as_json(connections_json(proxy)));
  });
  routes.add("GET", "/counters", [&](http::request& r) {
    refuse_unknown_parameters(r);
    return answer(as_json(counters_json(proxy.counters())));
  });
  routes.add("POST", "/cut", [&](http::request& r) { return answer(end_connections(r, proxy, false)); });
  routes.add("POST", "/reset", [&](http::request& r) { return answer(end_connections(r, proxy, true)); });
}

}  // namespace penstock::app::chaos

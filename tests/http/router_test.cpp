// Which route a request takes, and what patterns are refused.

#include "test_server.h"
#include <penstock/http/router.h>

#include <gtest/gtest.h>

namespace penstock::http {
namespace {

handler naming(std::string name) {
  return [name](request& r) -> task<response> {
    std::string text = name;
    for (std::string_view parameter : {"a", "b"})
      if (!r.parameter(parameter).empty()) text += " " + std::string(r.parameter(parameter));
    co_return response::text(200, std::move(text));
  };
}

// What a request for each target is answered with: the body, or the status when it is not 200.
void expect_answers(router routes, const std::vector<std::pair<std::string, std::string>>& wanted) {
  with_server(std::move(routes), {}, [&](test_server& s) -> task<> {
    test_client c = s.connect();
    for (const auto& [request, body] : wanted) {
      c.send(request + " HTTP/1.1\r\nHost: t\r\n\r\n");
      answer a = co_await c.receive();
      EXPECT_EQ(a.status == 200 ? a.body : std::to_string(a.status), body) << request;
      if (a.field("Connection") == "close") c = s.connect();
    }
  });
}

TEST(router, parameters_are_whole_segments_and_decoded) {
  router routes;
  routes.add("GET", "/v1/{a}", naming("one"));
  routes.add("GET", "/v1/{a}/items/{b}", naming("two"));
  expect_answers(std::move(routes), {
                                        {"GET /v1/x", "one x"},
                                        {"GET /v1/x?y=z", "one x"},
                                        {"GET http://host/v1/x", "one x"},
                                        {"GET HTTPS://host:8080/v1/x?y=z", "one x"},
                                        {"GET http://[::1]:80/v1/x", "one x"},
                                        {"GET /v1/a%2Fb%20c+d", "one a/b c+d"},
                                        {"GET /v1/x/items/7", "two x 7"},
                                        {"GET /v1/", "404"},
                                        {"GET /v1", "404"},
                                        {"GET /v1/x/", "404"},
                                        {"GET /v1//items/7", "404"},
                                        {"GET /v1/%zz", "400"},
                                        {"GET /v1/%4", "400"},
                                        {"GET /V1/x", "404"},
                                    });
}

TEST(router, literals_win_from_the_left) {
  router routes;
  routes.add("GET", "/{a}/{b}", naming("both"));
  routes.add("GET", "/{a}/new", naming("right"));
  routes.add("GET", "/items/{a}", naming("left"));
  routes.add("GET", "/items/new/", naming("slash"));
  expect_answers(std::move(routes), {
                                        {"GET /items/new", "left new"},
                                        {"GET /other/new", "right other"},
                                        {"GET /other/old", "both other old"},
                                        {"GET /items/new/", "slash"},
                                    });
}

TEST(router, a_literal_is_found_however_it_is_encoded) {
  router routes;
  routes.add("GET", "/items", naming("items"));
  expect_answers(std::move(routes), {{"GET /%69tems", "items"}, {"GET /items%2F", "404"}});
}

TEST(router, a_method_is_looked_for_in_every_pattern_that_fits) {
  router routes;
  routes.add("GET", "/items/latest", naming("latest"));
  routes.add("POST", "/items/{a}", naming("post"));
  expect_answers(std::move(routes), {
                                        {"GET /items/latest", "latest"},
                                        {"POST /items/latest", "post latest"},
                                        {"GET /items/7", "405"},
                                        {"PUT /items/latest", "405"},
                                    });
}

TEST(router, refuses_patterns_that_no_request_or_two_routes_could_match) {
  const std::pair<const char*, const char*> rows[] = {
      {"GET", "items"},           {"GET", ""},       {"GET", "/a{id}"},         {"GET", "/{id}b"}, {"GET", "/{}"},
      {"GET", "/{a{b}}"},         {"GET", "/{id"},   {"GET", "/{id}/{id}"},     {"GET", "/a?b"},   {"GET", "/a b"},
      {"GET", "/a%20b"},          {"GET", "/taken"}, {"GET", "/taken/{other}"}, {"G ET", "/fine"}, {"", "/fine"},
      {"POST", "/taken/{other}"},
  };
  for (const auto& [method, pattern] : rows) {
    router routes;
    routes.add("GET", "/taken", naming("x"));
    routes.add("GET", "/taken/{id}", naming("x"));
    try {
      routes.add(method, pattern, naming("y"));
      ADD_FAILURE() << method << " " << pattern << " was taken";
    } catch (const error& e) {
      EXPECT_TRUE(e.is(http_errc::bad_route)) << e.what();
    }
  }
}

TEST(router, query_parameters_are_decoded_in_order) {
  router routes;
  routes.add("GET", "/q", [](request& r) -> task<response> {
    std::string text;
    for (const auto& [name, value] : r.query_parameters()) text += "[" + name + "=" + value + "]";
    co_return response::text(200, std::move(text));
  });
  expect_answers(std::move(routes), {
                                        {"GET /q?a=1&b=x+y%26z&&c&=d&a=2", "[a=1][b=x y&z][c=][=d][a=2]"},
                                        {"GET /q", ""},
                                        {"GET /q?a=%4", "400"},
                                    });
}

}  // namespace
}  // namespace penstock::http

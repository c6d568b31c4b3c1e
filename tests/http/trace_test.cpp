#include "test_server.h"
#include <penstock/observe/request_context.h>

#include <string>
#include <vector>

#include <gtest/gtest.h>

// What a server's handlers know of their request's trace (W3C Trace Context).

namespace penstock::http {
namespace {

const std::string trace = "0af7651916cd43dd8448eb211c80319c";
const std::string span = "b7ad6b7169203331";

struct known_trace {
  std::string trace_id, span_id, state;
  bool is_sampled;
  bool operator==(const known_trace&) const = default;
};

void PrintTo(const known_trace& t, std::ostream* out) {
  *out << t.trace_id << '-' << t.span_id << (t.is_sampled ? " sampled " : " not sampled ") << t.state;
}

const known_trace none{"", "", "", false};

// Of requests on one connection, each with these fields.
std::vector<known_trace> traces_of(const std::vector<std::string>& requests) {
  std::vector<known_trace> known;
  router routes;
  routes.add("GET", "/x", [&](request&) -> task<response> {
    const request_context* r = current_request.get();
    known.push_back({r->trace_id(), r->span_id(), r->trace_state(), r->is_sampled()});
    co_return response(204, "");
  });
  with_server(std::move(routes), {}, [&](test_server& s) -> task<> {
    test_client c = s.connect();
    for (const std::string& fields : requests) {
      c.send(get("/x", fields));
      answer a = co_await c.receive();
      EXPECT_EQ(a.status, 204) << fields;
    }
  });
  return known;
}

TEST(trace, of_a_request_is_known_to_its_handler_and_not_to_the_next_ones) {
  auto known = traces_of({"traceparent: 00-" + trace + "-" + span + "-01\r\ntracestate: a=1\r\nTraceState: b=2\r\n", "",
                          "TRACEPARENT: 00-" + trace + "-" + span + "-02\r\n"});
  std::vector<known_trace> expected{{trace, span, "a=1,b=2", true}, none, {trace, span, "", false}};
  EXPECT_EQ(known, expected);
}

TEST(trace, of_a_later_version_is_known_by_what_this_one_has) {
  auto known = traces_of({"traceparent: 01-" + trace + "-" + span + "-01\r\n",
                          "traceparent: cc-" + trace + "-" + span + "-ff-more-of it\r\n"});
  std::vector<known_trace> expected{{trace, span, "", true}, {trace, span, "", true}};
  EXPECT_EQ(known, expected);
}

TEST(trace, that_is_not_well_formed_or_given_twice_is_none) {
  const std::string good = "00-" + trace + "-" + span + "-01";
  std::vector<std::string> wrong{"",
                                 "00",
                                 good + "-",
                                 good + "-more",
                                 good.substr(0, 54),
                                 "ff" + good.substr(2),
                                 "0x" + good.substr(2),
                                 "01" + good.substr(2) + "more",
                                 "00-" + std::string(32, '0') + "-" + span + "-01",
                                 "00-" + trace + "-" + std::string(16, '0') + "-01",
                                 "00-0AF7651916CD43DD8448EB211C80319C-" + span + "-01",
                                 "00_" + trace + "-" + span + "-01",
                                 "00-" + trace + "_" + span + "-01",
                                 "00-" + trace + "-" + span + "_01",
                                 "00-" + trace + "-" + span + "-0g"};
  std::vector<std::string> requests;
  for (const std::string& parent : wrong) requests.push_back("traceparent: " + parent + "\r\ntracestate: a=1\r\n");
  requests.push_back("traceparent: " + good + "\r\ntraceparent: " + good + "\r\n");
  auto known = traces_of(requests);
  ASSERT_EQ(known.size(), requests.size());
  for (std::size_t i = 0; i < known.size(); ++i) EXPECT_EQ(known[i], none) << requests[i];
}

TEST(trace, whose_state_is_longer_than_all_must_send_on_is_known_without_it) {
  const std::string parent = "traceparent: 00-" + trace + "-" + span + "-01\r\n";
  auto known = traces_of({parent + "tracestate: a=" + std::string(510, 'x') + "\r\n",
                          parent + "tracestate: a=" + std::string(511, 'x') + "\r\n"});
  std::vector<known_trace> expected{{trace, span, "a=" + std::string(510, 'x'), true}, {trace, span, "", true}};
  EXPECT_EQ(known, expected);
}

}  // namespace
}  // namespace penstock::http

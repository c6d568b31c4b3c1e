#include "app/chaos/command.h"
#include "app/chaos/control.h"
#include <penstock/async/task_group.h>
#include <penstock/http/client.h>
#include <penstock/http/server.h>
#include <penstock/net/event_loop.h>

#include <functional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::app::chaos {
namespace {

using testing::chaos_proxy;
using testing::flow;
using ::testing::HasSubstr;

// What the control address answers to a request: the status and the body.
std::string ask(chaos_proxy& proxy, std::string method, std::string path, std::string body = {}) {
  auto asking = [&]() -> task<std::string> {
    http::router routes;
    add_control_routes(routes, proxy);
    http::server server(std::move(routes));
    std::unique_ptr<net::listener> at = net::listen(net::endpoint::parse("127.0.0.1:0"));
    std::string said;
    auto beside = [&](task_group& group) -> task<> {
      group.start_background(server.serve(*at));
      http::client client;
      http::client_request request(method, "http://" + at->local_endpoint().to_string() + path, body);
      task<http::client_response> sending = client.send(std::move(request));
      http::client_response answer = co_await std::move(sending);
      said = std::to_string(answer.status) + " " + answer.body;
    };
    task<> all = with_task_group(beside);
    co_await std::move(all);
    co_return said;
  };
  return net::run(asking());
}

const net::endpoint nowhere = net::endpoint::parse("127.0.0.1:1");

TEST(chaos_control, a_put_sets_the_directions_it_names_and_leaves_the_others) {
  chaos_proxy proxy(nowhere);
  proxy.set_toxics(flow::to_server, {.slice_bytes = 7});
  EXPECT_THAT(ask(proxy, "PUT", "/toxics", R"({"to_client": {"latency": "50ms", "corrupt": 0.25, "stop": true,
                                                             "cut_after_bytes": 10, "lose_answer_to": "a \"b\""}})"),
              HasSubstr(R"("latency": "50ms")"));
  EXPECT_EQ(proxy.toxics_of(flow::to_client), (testing::toxics{.stop = true,
                                                               .corrupt = 0.25,
                                                               .cut_after_bytes = 10,
                                                               .lose_answer_to = "a \"b\"",
                                                               .latency = std::chrono::milliseconds(50)}));
  EXPECT_EQ(proxy.toxics_of(flow::to_server).slice_bytes, 7u);
}

TEST(chaos_control, what_get_says_can_be_put_again) {
  chaos_proxy proxy(nowhere);
  testing::toxics all{.stop = true,
                      .drop = true,
                      .corrupt = 0.5,
                      .cut_after_bytes = 1,
                      .cut_by_reset = true,
                      .lose_answer_to = "COMMIT\n",
                      .lose_answer_every = 3,
                      .latency = std::chrono::seconds(1),
                      .jitter = std::chrono::milliseconds(2),
                      .bytes_per_second = 1000,
                      .slice_bytes = 1};
  proxy.set_toxics(flow::to_server, all);
  std::string said = ask(proxy, "GET", "/toxics").substr(4);
  EXPECT_THAT(ask(proxy, "DELETE", "/toxics"), HasSubstr("200 "));
  EXPECT_EQ(proxy.toxics_of(flow::to_server), testing::toxics());
  ask(proxy, "PUT", "/toxics", said);
  EXPECT_EQ(proxy.toxics_of(flow::to_server), all);
  EXPECT_EQ(proxy.toxics_of(flow::to_client), testing::toxics());
}

TEST(chaos_control, a_put_that_makes_no_sense_says_why_and_changes_nothing) {
  struct {
    const char* body;
    const char* why;
  } cases[] = {
      {"nonsense", "the body must be JSON"},
      {R"({"to_nobody": {}})", "'to_nobody': the directions are to_server and to_client"},
      {R"({"to_client": 1})", "to_client must be an object"},
      {R"({"to_client": {"latencyy": "1ms"}})", "did you mean 'latency'?"},
      {R"({"to_client": {"latency": "1 parsec"}})", "to_client, latency: "},
      {R"({"to_server": {"stop": true}, "to_client": {"corrupt": 2}})", "corrupt is a chance"},
      {R"({"to_client": {"stop": "perhaps"}})", "expected true or false"},
      {R"({"to_client": {"lose_answer_every": 0}})", "counts from 1"},
  };
  for (const auto& c : cases) {
    chaos_proxy proxy(nowhere);
    std::string said = ask(proxy, "PUT", "/toxics", c.body);
    EXPECT_THAT(said, HasSubstr("400 "));
    EXPECT_THAT(said, HasSubstr(c.why));
    EXPECT_EQ(proxy.toxics_of(flow::to_server), testing::toxics()) << c.body;
  }
}

TEST(chaos_control, ends_connections_by_number_or_all) {
  chaos_proxy proxy(nowhere);
  EXPECT_EQ(ask(proxy, "POST", "/cut"), "200 {\"ended\": 0}\n");
  EXPECT_EQ(ask(proxy, "POST", "/reset?connection=7"), "200 {\"ended\": 0}\n");
  EXPECT_THAT(ask(proxy, "POST", "/cut?connection=first"), HasSubstr("GET /connections lists them"));
  EXPECT_EQ(ask(proxy, "GET", "/connections"), "200 {\"connections\": []}\n");
  EXPECT_THAT(ask(proxy, "GET", "/counters"), HasSubstr(R"("cut_connections": 0)"));
}

TEST(chaos_control, an_unknown_parameter_is_refused_and_changes_nothing) {
  struct {
    const char* method;
    const char* path;
    const char* why;
  } cases[] = {
      {"POST", "/cut?conection=1", "there is no parameter 'conection'; did you mean 'connection'?"},
      {"POST", "/reset?connection=1&all", "there is no parameter 'all'"},
      {"PUT", "/toxics?connection=new", "there is no parameter 'connection'; did you mean 'connections'?"},
      {"DELETE", "/toxics?connections=new", "there is no parameter 'connections'"},
      {"GET", "/toxics?direction=to_client", "there is no parameter 'direction'"},
      {"GET", "/connections?number=1", "there is no parameter 'number'"},
      {"GET", "/counters?connection=1", "there is no parameter 'connection'"},
  };
  for (const auto& c : cases) {
    chaos_proxy proxy(nowhere);
    proxy.set_toxics(flow::to_client, {.slice_bytes = 7});
    std::string said = ask(proxy, c.method, c.path, R"({"to_client": {"stop": true}})");
    EXPECT_THAT(said, HasSubstr("400 ")) << c.path;
    EXPECT_THAT(said, HasSubstr(c.why)) << c.path;
    EXPECT_EQ(proxy.toxics_of(flow::to_client), testing::toxics{.slice_bytes = 7}) << c.path;
  }
}

TEST(chaos_command, says_what_is_wrong_with_its_options) {
  struct {
    std::vector<std::string> arguments;
    const char* why;
  } cases[] = {
      {{}, "--to is required"},
      {{"--to", "nowhere"}, "penstock-chaos: --to 'nowhere': the port is missing"},
      {{"--to", "127.0.0.1:1", "--latency", "long"}, "penstock-chaos: --latency 'long'"},
      {{"--to", "127.0.0.1:1", "--latencyy", "1s"}, "did you mean '--latency'?"},
      {{"--to", "127.0.0.1:1", "--corrupt", "2"}, "corrupt is a chance"},
      {{"--to", "127.0.0.1:1", "--direction", "up"}, "--direction"},
  };
  for (const auto& c : cases) {
    std::ostringstream out, err;
    EXPECT_EQ(run_command(c.arguments, out, err), 2) << c.why;
    EXPECT_THAT(err.str(), HasSubstr(c.why));
  }
}

}  // namespace
}  // namespace penstock::app::chaos

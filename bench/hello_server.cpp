// What bench/http_peers measures: one event loop that answers GET /json with a small constant document, and POST /json
// with it too once the body was read. Its answers are as long as those of nginx in that comparison, to the byte.
//
//   hello_server --listen 127.0.0.1:0

#include <penstock/async/task_group.h>
#include <penstock/http/server.h>
#include <penstock/net/event_loop.h>
#include <penstock/net/listener.h>
#include <penstock/net/signals.h>
#include <penstock/observe/metrics.h>

#include <csignal>
#include <cstring>
#include <iostream>

using namespace penstock;

task<http::response> hello(http::request&) { co_return http::response::json(200, R"({"message":"Hello, World!"})"); }

task<http::response> hello_after_body(http::request& r) {
  for (;;) {
    std::string_view piece = co_await r.body().read_some();
    if (piece.empty()) break;
  }
  co_return http::response::json(200, R"({"message":"Hello, World!"})");
}

task<int> serve(net::endpoint where) {
  http::router routes;
  routes.add("GET", "/json", hello);
  routes.add("POST", "/json", hello_after_body);
  // The name makes up for the "Connection: keep-alive" that nginx sends and HTTP/1.1 does without.
  http::server server(std::move(routes), {.server_name = "penstock hello_server (bench)"});
  server.measure(metrics::default_registry());
  net::signal_set quit{SIGINT, SIGTERM};
  std::unique_ptr<net::listener> listener = net::listen(where);
  std::cout << "listening on " << listener->local_endpoint().to_string() << std::endl;

  co_await with_task_group([&](task_group& group) -> task<> {
    group.start(server.serve(*listener), "server");
    co_await quit.wait();
    server.stop();
  });
  co_return 0;
}

int main(int count, char** arguments) try {
  bool named = count == 3 && std::strcmp(arguments[1], "--listen") == 0;
  return net::run(serve(net::endpoint::parse(named ? arguments[2] : "127.0.0.1:0")));
} catch (const std::exception& e) {
  std::cerr << "hello_server: " << e.what() << "\n";
  return 1;
}

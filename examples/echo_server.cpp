// A server of one's own: GET / says hello, POST / answers with the body as it comes in.
//
//   echo_server --listen 127.0.0.1:8081

#include <penstock/async/task_group.h>
#include <penstock/http/server.h>
#include <penstock/net/event_loop.h>
#include <penstock/net/listener.h>
#include <penstock/net/signals.h>

#include <csignal>
#include <cstring>
#include <iostream>
#include <string>

using namespace penstock;

task<http::response> hello(http::request&) { co_return http::response::text(200, "hello\n"); }

task<http::response> echo(http::request& r) {
  constexpr std::size_t most_bytes = 16 << 20;
  std::string body = co_await r.body().read_all(most_bytes);
  std::string type(r.header("Content-Type").value_or("application/octet-stream"));
  co_return http::response(200, std::move(body)).with("Content-Type", std::move(type));
}

task<int> serve(net::endpoint where) {
  http::router routes;
  routes.add("GET", "/", hello);
  routes.add("POST", "/", echo);
  http::server server(std::move(routes));
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
  return net::run(serve(net::endpoint::parse(named ? arguments[2] : "127.0.0.1:8081")));
} catch (const std::exception& e) {
  std::cerr << "echo_server: " << e.what() << "\n";
  return 1;
}

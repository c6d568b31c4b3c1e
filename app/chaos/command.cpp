// `penstock-chaos`: a proxy that does harm, driven by HTTP requests, until SIGINT or SIGTERM.

#include "app/chaos/command.h"

#include "app/chaos/control.h"
#include "app/chaos/toxic_table.h"
#include "app/command_line.h"
#include "app/commands.h"
#include "app/error.h"
#include <penstock/async/task_group.h>
#include <penstock/http/server.h>
#include <penstock/net/event_loop.h>
#include <penstock/net/listener.h>
#include <penstock/net/signals.h>
#include <penstock/observe/log.h>
#include <penstock/testing/chaos_proxy.h>

#include <csignal>
#include <cstdint>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <utility>

#include <CLI/CLI.hpp>

namespace penstock::app::chaos {
namespace {

using testing::chaos_proxy;
using testing::flow;
using testing::toxics;

struct chaos_arguments {
  std::string listen = "127.0.0.1:0";
  std::string to;
  std::string control;
  std::string direction = "both";
  std::uint64_t seed = 1;
  std::map<std::string_view, std::string> texts;  // by the toxic's name
};

toxics toxics_of(const chaos_arguments& given) {
  toxics result;
  for (const auto& [name, text] : given.texts) {
    if (text.empty()) continue;
    const toxic& t = toxic_named(name);
    try {
      t.set(result, text);
      check(result);
    } catch (const error& e) {
      throw error(app_errc::bad_usage, option_name(t) + " " + e.message(), std::current_exception());
    }
  }
  return result;
}

net::endpoint endpoint_of(const char* option, const std::string& text) {
  try {
    return net::endpoint::parse(text);
  } catch (const error& e) {
    throw error(app_errc::bad_usage, std::string(option) + " " + e.message(), std::current_exception());
  }
}

task<void> stop_on_signal(net::signal_set& signals, chaos_proxy& proxy, http::server& control) {
  task<int> first = signals.wait();
  co_await std::move(first);
  control.stop();
  proxy.stop();
}

task<void> proxy_until_signal(const chaos_arguments& given, std::ostream& out) {
  net::signal_set signals{SIGINT, SIGTERM};
  chaos_proxy proxy(endpoint_of("--to", given.to), {.seed = given.seed});
  toxics at_first = toxics_of(given);
  if (given.direction != "to-client") proxy.set_toxics(flow::to_server, at_first);
  if (given.direction != "to-server") proxy.set_toxics(flow::to_client, at_first);
  std::unique_ptr<net::listener> at = net::listen(endpoint_of("--listen", given.listen));
  out << "listening on " << at->local_endpoint().to_string() << std::endl;

  http::router routes;
  add_control_routes(routes, proxy);
  http::server control(std::move(routes), {.stop_linger = duration::zero()});
  std::unique_ptr<net::listener> control_at;
  if (!given.control.empty()) {
    control_at = net::listen(endpoint_of("--control", given.control));
    out << "control on http://" << control_at->local_endpoint().to_string() << std::endl;
  }
  auto serve_both = [&](task_group& group) -> task<void> {
    group.start(proxy.serve(*at), "proxy");
    if (control_at) group.start(control.serve(*control_at), "control");
    group.start_background(stop_on_signal(signals, proxy, control), "stop_on_signal");
    co_return;
  };
  task<void> serving = with_task_group(serve_both);
  co_await std::move(serving);
}

void add_options(CLI::App& app, chaos_arguments& into) {
  app.add_option("--listen", into.listen, "Where clients connect to; port 0 lets the system choose")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  app.add_option("--to", into.to, "The server")->type_name("HOST:PORT")->required();
  app.add_option("--control", into.control, "Where to take HTTP requests that change and watch it")
      ->type_name("HOST:PORT");
  app.add_option("--seed", into.seed, "Decides which bytes are corrupted, and the jitter")->capture_default_str();
  app.add_option("--direction", into.direction, "Which way the toxics below are for")
      ->check(CLI::IsMember({"to-server", "to-client", "both"}))
      ->capture_default_str();
  for (const toxic& t : toxic_table()) {
    std::string& text = into.texts[t.name];
    if (t.placeholder.empty())
      app.add_flag_callback(
             option_name(t), [&text] { text = "true"; }, std::string(t.help))
          ->group("Toxics");
    else
      app.add_option(option_name(t), text, std::string(t.help))->type_name(std::string(t.placeholder))->group("Toxics");
  }
}

}  // namespace

int run_command(std::span<const std::string> arguments, std::ostream& out, std::ostream& err) {
  CLI::App app("A TCP proxy that delays, cuts, drops and corrupts what a client and a server say, for tests.",
               "penstock-chaos");
  app.set_version_flag("--version", "penstock-chaos " PENSTOCK_VERSION);
  app.get_formatter()->column_width(36);
  app.footer("Requests to --control: GET, PUT, DELETE /toxics; GET /connections, /counters; POST /cut, /reset.");
  chaos_arguments given;
  add_options(app, given);
  app.callback([&] {
    log::set_level(log::level::warn);
    net::run(proxy_until_signal(given, out), {.worker_threads = 1});
  });
  return run(app, arguments, exit_ok, out, err);
}

}  // namespace penstock::app::chaos

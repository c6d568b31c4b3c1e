// A client belongs to the scheduler that it was made under. Used under another one it waited for ever, or used the
// memory of the loop that had ended.

#include "client_peers.h"
#include <penstock/async/error.h>
#include <penstock/async/yield.h>
#include <penstock/net/stream.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace penstock::http {
namespace {

const std::string good = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";

// Makes a client on the running loop; it has asked once.
task<> make_one(std::unique_ptr<client>& made, client_options options) {
  std::function<task<>(const net::endpoint&)> ask = [&](const net::endpoint& at) -> task<> {
    made = std::make_unique<client>(options);
    task<client_response> getting = made->get("http://" + at.to_string() + "/");
    client_response answer = co_await std::move(getting);
    EXPECT_EQ(answer.body, "good");
  };
  std::vector<testing::peer_script> scripts = {answers(good)};
  task<> asking = testing::with_scripted_peer(std::move(scripts), ask);
  co_await std::move(asking);
}

template <class T>
void expect_refused(task<T> what) {
  try {
    net::run(std::move(what));
    ADD_FAILURE() << "not refused";
  } catch (const error& e) {
    EXPECT_TRUE(e.is(async_errc::wrong_scheduler)) << e.what();
  }
}

client_options over_streams() {
  client_options options;
  options.connect = [](net::endpoint to) { return net::connect(std::move(to)); };
  return options;
}

TEST(client_scheduler, a_request_under_another_loop_is_refused_also_when_the_first_has_ended) {
  for (const client_options& options : {client_options{}, over_streams()}) {
    std::unique_ptr<client> of_the_ended;
    net::run(make_one(of_the_ended, options));
    expect_refused(of_the_ended->get("http://127.0.0.1:9/"));
    EXPECT_EQ(of_the_ended->stats().in_flight, 0u);

    net::event_loop first;
    std::unique_ptr<client> of_the_first;
    first.run(make_one(of_the_first, options));
    expect_refused(of_the_first->get("http://127.0.0.1:9/"));
    first.run(of_the_first->close());
  }
}

TEST(client_scheduler, closing_under_another_loop_is_refused_where_it_would_wait) {
  std::unique_ptr<client> c;
  net::event_loop first;
  first.run(make_one(c, {}));
  auto with_a_request = [&]() -> task<> {
    std::function<task<>(const net::endpoint&)> ask = [&](const net::endpoint& at) -> task<> {
      task_group group;
      auto get = [](client& of, std::string url) -> task<> {
        task<client_response> getting = of.get(std::move(url));
        co_await std::move(getting);
      };
      group.start(get(*c, "http://" + at.to_string() + "/"));
      while (c->stats().in_flight == 0) co_await yield();
      std::thread other([&] { expect_refused(c->close()); });
      other.join();
    };
    std::vector<testing::peer_script> scripts = {stays_silent()};
    task<> asking = testing::with_scripted_peer(std::move(scripts), ask);
    co_await std::move(asking);
  };
  first.run(with_a_request());
  net::run(c->close());
  expect_refused(c->get("http://127.0.0.1:9/"));
}

}  // namespace
}  // namespace penstock::http

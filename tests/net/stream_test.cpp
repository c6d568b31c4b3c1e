#include <penstock/async/gather.h>
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/net/error.h>
#include <penstock/net/event_loop.h>
#include <penstock/net/listener.h>

#include <gtest/gtest.h>

namespace penstock::net {
namespace {

using namespace std::chrono_literals;

task<> echo_once(listener& at) {
  std::unique_ptr<stream> peer = co_await at.accept();
  std::byte buffer[1024];
  while (std::size_t n = co_await peer->read_some(buffer)) co_await peer->write(std::span(buffer, n));
}

task<std::string> ask(endpoint where, std::string text) {
  std::unique_ptr<stream> s = co_await connect(where);
  co_await s->write(bytes_of(text));
  s->shutdown_send();
  std::string answer;
  std::byte buffer[64];
  while (std::size_t n = co_await s->read_some(buffer)) answer.append(reinterpret_cast<char*>(buffer), n);
  co_return answer;
}

task<std::string> echo_over(endpoint where) {
  std::unique_ptr<listener> at = listen(where);
  task<> server = echo_once(*at);
  task<std::string> client = ask(at->local_endpoint(), std::string(200'000, 'x') + "end");
  auto [nothing, answer] = co_await gather(std::move(server), std::move(client));
  co_return answer;
}

TEST(stream, echoes_over_tcp) {
  std::string answer = run(echo_over(endpoint::parse("127.0.0.1:0")));
  EXPECT_EQ(answer, std::string(200'000, 'x') + "end");
}

TEST(stream, echoes_over_a_unix_socket) {
  std::string path = ::testing::TempDir() + "penstock_echo_test.sock";
  std::string answer = run(echo_over(endpoint::unix_socket(path)));
  EXPECT_EQ(answer.size(), 200'003u);
}

task<> read_for_ever(endpoint where) {
  std::unique_ptr<stream> s = co_await connect(where);
  std::byte buffer[8];
  co_await s->read_some(buffer);
}

TEST(stream, a_read_that_nothing_answers_ends_with_its_deadline) {
  auto body = []() -> task<> {
    std::unique_ptr<listener> at = listen(endpoint::parse("127.0.0.1:0"));
    task<> reading = read_for_ever(at->local_endpoint());
    co_await with_timeout(20ms, std::move(reading));
  };
  EXPECT_THROW(run(body()), timed_out);
}

TEST(stream, a_refused_connection_names_the_endpoint) {
  auto body = []() -> task<> {
    endpoint gone = listen(endpoint::parse("127.0.0.1:0"))->local_endpoint();
    try {
      co_await connect(gone);
      ADD_FAILURE() << "connected to a closed port";
    } catch (const error& e) {
      EXPECT_TRUE(e.is(net_errc::connect_failed));
      EXPECT_NE(std::string(e.what()).find(gone.to_string()), std::string::npos);
    }
  };
  run(body());
}

}  // namespace
}  // namespace penstock::net

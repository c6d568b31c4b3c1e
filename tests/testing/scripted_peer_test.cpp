#include "chaos_fixture.h"
#include <penstock/net/event_loop.h>
#include <penstock/net/listener.h>
#include <penstock/testing/error.h>
#include <penstock/testing/scripted_peer.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Plays a script in a simulation, beside `body(client)`.
template <class Body>
std::string play(const peer_script& script, Body body, duration* took = nullptr) {
  simulation sim;
  memory_listener at;
  std::string heard;
  auto both = [&]() -> task<> {
    auto client = at.connect();
    auto accepting = at.accept();
    auto peer = co_await std::move(accepting);
    auto beside = [&](task_group& group) -> task<> {
      group.start_background(body(*client));
      auto playing = script.play(*peer);
      heard = co_await std::move(playing);
      peer->close();
    };
    auto all = with_task_group(beside);
    co_await std::move(all);
  };
  sim.run(both());
  if (took != nullptr) *took = sim.elapsed();
  return heard;
}

// How a client that says this, and then ends, goes off a script.
std::string mismatch(const peer_script& script, const std::string& said) {
  try {
    play(script, [&](memory_stream& client) -> task<> {
      auto saying = say(client, said);
      co_await std::move(saying);
      client.shutdown_send();
    });
  } catch (const error& e) {
    EXPECT_TRUE(e.is(testing_errc::off_script)) << e.what();
    return e.message();
  }
  return "no mismatch";
}

TEST(peer_script, follows_its_steps_and_gives_what_it_heard) {
  peer_script script;
  script.expect("HELLO ").read_until("\n").send("WEL").wait(50ms).send("COME").half_close().read_to_end();
  duration took;
  std::string heard = play(
      script,
      [](memory_stream& client) -> task<> {
        auto saying = say(client, "HELLO friend\nand");
        co_await std::move(saying);
        auto hearing = read_to_end(client);
        EXPECT_EQ(co_await std::move(hearing), "WELCOME");
        auto more = say(client, " more");
        co_await std::move(more);
        client.shutdown_send();
      },
      &took);
  EXPECT_EQ(heard, "HELLO friend\nand more");
  EXPECT_EQ(took, 50ms);
}

TEST(peer_script, shows_both_texts_of_a_mismatch) {
  peer_script script;
  script.expect("PING\r\n").expect("PONG\r\n");
  EXPECT_EQ(mismatch(script, "PING\r\nPANG\r\n"),
            "step 2 of the script: expected \"PONG\\r\\n\"\n  and got \"PANG\\r\\n\"");
}

TEST(peer_script, fails_at_the_first_byte_that_differs) {
  peer_script script;
  script.expect("0123456789");
  simulation sim;
  EXPECT_THROW(play(script,
                    [](memory_stream& client) -> task<> {
                      auto saying = say(client, "01x");  // and stays
                      co_await std::move(saying);
                      co_await sleep_for(1h);
                    }),
               error);
}

TEST(peer_script, says_that_the_connection_ended) {
  peer_script expects;
  expects.expect("PONG\r\n");
  EXPECT_THAT(mismatch(expects, "PO"), HasSubstr("got \"PO\"\n  before the connection ended"));
  peer_script reads;
  reads.read_until("\r\n\r\n");
  EXPECT_EQ(mismatch(reads, ""),
            "step 1 of the script: expected something up to \"\\r\\n\\r\\n\"\n  and got nothing\n  before the "
            "connection ended");
}

TEST(peer_script, shows_bytes_that_are_no_text_and_shortens_long_ones) {
  peer_script script;
  script.expect("a");
  EXPECT_THAT(mismatch(script, std::string("\0\"\\\xff", 4)), HasSubstr(R"(got "\x00\"\\\xff")"));
  std::string report = mismatch(script, std::string(10'000, 'b'));
  EXPECT_THAT(report, HasSubstr(" bytes … "));
  EXPECT_LT(report.size(), 600u);
}

TEST(peer_script, fails_for_what_is_left_unread_at_its_end) {
  peer_script ends, closes, reads;
  ends.expect("PING");
  closes.read_until("PING").close();
  reads.expect("PING").send("PONG").read_to_end();
  EXPECT_EQ(mismatch(ends, "PING and more"), "the end of the script: expected nothing more\n  and got \" and more\"");
  EXPECT_THAT(mismatch(closes, "a PING!"), HasSubstr("and got \"!\""));
  EXPECT_EQ(mismatch(reads, "PING and more"), "no mismatch");
}

TEST(peer_script, may_reset_before_all_is_read) {
  peer_script script;
  script.expect("PING").reset();
  EXPECT_EQ(mismatch(script, "PING and more"), "no mismatch");
}

TEST(peer_script, can_reset) {
  peer_script script;
  script.read_until("x").reset();
  play(script, [](memory_stream& client) -> task<> {
    auto saying = say(client, "x");
    co_await std::move(saying);
    auto hearing = read_to_end(client);
    EXPECT_EQ(co_await std::move(hearing), "RESET");
  });
}

TEST(scripted_peer, plays_a_script_for_each_connection_and_the_last_for_all_that_follow) {
  auto body = [](const net::endpoint& at) -> task<> {
    std::vector<std::string> answers;
    for (int i = 0; i < 3; ++i) {
      auto connecting = net::connect(at);
      auto client = co_await std::move(connecting);
      auto saying = say(*client, "?");
      co_await std::move(saying);
      auto hearing = read_to_end(*client);
      answers.push_back(co_await std::move(hearing));
    }
    EXPECT_THAT(answers, ElementsAre("first", "other", "other"));
  };
  peer_script first, other;
  first.expect("?").send("first");
  other.expect("?").send("other");
  std::vector<peer_script> scripts{first, other};
  net::run(with_scripted_peer(scripts, body));
}

// How `body(client)` goes off this script, whose client is closed at its end.
template <class Body>
std::string off_script(const peer_script& script, Body body) {
  auto whole = [&](const net::endpoint& at) -> task<> {
    auto connecting = net::connect(at);
    auto client = co_await std::move(connecting);
    task<void> running = body(*client);
    co_await std::move(running);
  };
  try {
    net::run(with_scripted_peer(script, whole));
  } catch (const error& e) {
    EXPECT_TRUE(e.is(testing_errc::off_script)) << e.what();
    return e.message();
  }
  return "";
}

TEST(scripted_peer, fails_a_test_that_ends_before_its_client_was_heard) {
  peer_script script;
  script.expect("HELLO\r\n").send("OK");
  std::string how = off_script(script, [](net::stream& client) { return say(client, "HULLO\r\n"); });
  EXPECT_THAT(how, HasSubstr("expected \"HELLO\\r\\n\"\n  and got \"HULLO\\r\\n\""));
}

TEST(scripted_peer, fails_a_test_whose_client_says_more_than_its_script) {
  peer_script script;
  script.expect("HELLO\r\n");
  std::string how = off_script(script, [](net::stream& client) { return say(client, "HELLO\r\nBYE\r\n"); });
  EXPECT_THAT(how, HasSubstr("the end of the script: expected nothing more\n  and got \"BYE\\r\\n\""));
}

TEST(scripted_peer, fails_a_test_whose_client_leaves_in_the_middle_of_the_script) {
  auto body = [](net::stream& client) -> task<> {
    auto saying = say(client, "HELLO\r\n");
    co_await std::move(saying);
    std::array<std::byte, 2> answer;
    auto reading = client.read_some(answer);
    co_await std::move(reading);
  };
  peer_script script;
  script.expect("HELLO\r\n").send("OK").expect("BYE\r\n");
  EXPECT_THAT(off_script(script, body), HasSubstr("step 3 of the script: expected \"BYE\\r\\n\""));
  peer_script reads;
  reads.expect("HELLO\r\n").send("OK").read_until("BYE\r\n");
  EXPECT_THAT(off_script(reads, body), HasSubstr("step 3 of the script"));
}

TEST(scripted_peer, fails_a_test_whose_clients_nobody_has_accepted_yet) {
  auto body = [](const net::endpoint& at) -> task<> {
    for (int i = 0; i < 100; ++i) {
      auto connecting = net::connect(at);
      auto client = co_await std::move(connecting);
    }
  };
  peer_script first, last;
  first.read_to_end();
  last.expect("?");
  std::vector<peer_script> scripts(99, first);
  scripts.push_back(last);
  EXPECT_THROW(net::run(with_scripted_peer(scripts, body)), error);
}

TEST(scripted_peer, breaks_off_what_waits_for_no_client) {
  auto silent = [](net::stream&) -> task<> { co_return; };
  peer_script waits, does_something, listens;
  waits.wait(1h).expect("?");
  does_something.then([](net::stream&) -> task<> { co_await sleep_for(1h); });
  listens.read_to_end();
  for (const peer_script& script : {waits, does_something, listens}) EXPECT_EQ(off_script(script, silent), "");
}

TEST(scripted_peer, does_not_wait_long_for_a_client_that_stays) {
  peer_script script;
  script.expect("?");
  scripted_peer peer({script});
  memory_listener at;
  simulation sim;
  auto body = [&]() -> task<> {
    auto beside = [&](task_group& group) -> task<> {
      group.start_background(peer.serve(at));
      auto client = at.connect();
      auto ending = peer.finish();
      co_await std::move(ending);
    };
    auto all = with_task_group(beside);
    co_await std::move(all);
  };
  try {
    sim.run(body());
    ADD_FAILURE() << "nothing was said of the client";
  } catch (const error& e) {
    EXPECT_TRUE(e.is(testing_errc::off_script)) << e.what();
    EXPECT_THAT(e.what(), HasSubstr("1 of 1 connections of a scripted peer stand in the middle"));
  }
}

TEST(scripted_peer, may_be_left_alone) {
  peer_script script;
  script.expect("?");
  net::run(with_scripted_peer(script, [](const net::endpoint&) -> task<> { co_return; }));
}

TEST(scripted_peer, fails_whoever_runs_beside_it_when_a_client_goes_off_script) {
  auto body = [](const net::endpoint& at) -> task<> {
    auto connecting = net::connect(at);
    auto client = co_await std::move(connecting);
    auto saying = say(*client, "PANG");
    co_await std::move(saying);
    co_await sleep_for(1h);
  };
  peer_script script;
  script.expect("PONG");
  std::vector<peer_script> scripts{script};
  try {
    net::run(with_scripted_peer(scripts, body));
    ADD_FAILURE() << "the mismatch was not noticed";
  } catch (const error& e) {
    EXPECT_THAT(e.what(), HasSubstr("expected \"PONG\"\n  and got \"PANG\""));
    EXPECT_THAT(e.what(), HasSubstr("connection 1"));
  }
}

}  // namespace
}  // namespace penstock::testing

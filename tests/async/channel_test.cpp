#include "virtual_time.h"
#include <penstock/async/cancel.h>
#include <penstock/async/channel.h>
#include <penstock/async/event.h>
#include <penstock/async/gather.h>
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/async/yield.h>

#include <memory>
#include <new>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

task<> send_all(channel<int>& c, std::vector<int> values) {
  for (int v : values) co_await c.send(v);
}

task<> receive_all(channel<int>& c, std::vector<int>& got) {
  while (std::optional<int> v = co_await c.receive()) got.push_back(*v);
}

class channel_of : public ::testing::TestWithParam<std::size_t> {};

TEST_P(channel_of, gives_values_in_the_order_they_were_sent) {
  in_virtual_time([]() -> task<> {
    channel<int> c(GetParam());
    std::vector<int> sent(100);
    std::iota(sent.begin(), sent.end(), 0);
    std::vector<int> got;
    auto send = [&]() -> task<> {
      task<> all = send_all(c, sent);
      co_await std::move(all);
      c.close();
    };
    auto both = gather(send(), receive_all(c, got));
    co_await std::move(both);
    EXPECT_EQ(got, sent);
  }());
}

TEST_P(channel_of, several_senders_and_receivers_lose_and_repeat_nothing) {
  in_virtual_time([]() -> task<> {
    channel<int> c(GetParam());
    std::vector<int> got;
    auto senders = [&]() -> task<> {
      std::vector<task<>> all;
      for (int i = 0; i < 10; ++i) all.push_back(send_all(c, std::vector<int>(10, i)));
      auto sent = gather(std::move(all));
      co_await std::move(sent);
      c.close();
    };
    auto all = gather(senders(), receive_all(c, got), receive_all(c, got), receive_all(c, got));
    co_await std::move(all);
    EXPECT_EQ(got.size(), 100u);
    EXPECT_EQ(std::accumulate(got.begin(), got.end(), 0), 450);
  }());
}

TEST_P(channel_of, never_holds_more_than_its_capacity) {
  in_virtual_time([]() -> task<> {
    channel<int> c(GetParam());
    int sent = 0;
    auto send = [&]() -> task<> {
      for (int i = 0; i < 1000; ++i, ++sent) co_await c.send(i);
    };
    task_group group;
    group.start(send());
    co_await sleep_for(1s);
    EXPECT_EQ(c.size(), GetParam());
    EXPECT_EQ(static_cast<std::size_t>(sent), GetParam());
  }());
}

INSTANTIATE_TEST_SUITE_P(capacities, channel_of, ::testing::Values(0, 1, 3, 64, 1000),
                         ::testing::PrintToStringParamName());

TEST(channel, close_gives_receivers_what_is_left_and_then_nothing) {
  in_virtual_time([]() -> task<> {
    channel<int> c(4);
    auto send = send_all(c, {1, 2});
    co_await std::move(send);
    c.close();
    c.close();
    EXPECT_TRUE(c.closed());
    EXPECT_EQ(co_await c.receive(), 1);
    EXPECT_EQ(co_await c.receive(), 2);
    EXPECT_EQ(co_await c.receive(), std::nullopt);
    auto refused = fails_with(send_all(c, {3}));
    EXPECT_THAT(co_await std::move(refused), HasSubstr("async.channel_closed"));
    int four = 4;
    EXPECT_FALSE(c.try_send(four));
  }());
}

TEST(channel, close_fails_waiting_senders_and_wakes_waiting_receivers) {
  in_virtual_time([]() -> task<> {
    channel<int> full(1);
    channel<int> empty(1);
    std::vector<int> got;
    auto close = [&]() -> task<> {
      co_await sleep_for(1s);
      full.close();
      empty.close();
    };
    auto all = gather(fails_with(send_all(full, {1, 2})), receive_all(empty, got), close());
    auto [text, none, nothing] = co_await std::move(all);
    EXPECT_THAT(text, HasSubstr("async.channel_closed"));
    EXPECT_EQ(full.try_receive(), 1);
    EXPECT_EQ(full.try_receive(), std::nullopt);
  }());
}

TEST(channel, a_receiver_handed_a_value_and_cancelled_in_one_turn_keeps_the_value) {
  in_virtual_time([]() -> task<> {
    channel<int> c(1);
    cancel_scope scope;
    std::optional<int> got;
    auto receive = [&]() -> task<> { got = co_await c.receive(); };
    auto both = [&]() -> task<> {
      co_await yield();
      int five = 5;
      EXPECT_TRUE(c.try_send(five));
      scope.cancel();
    };
    auto all = gather(scope.run(receive()), both());
    co_await std::move(all);
    EXPECT_EQ(got, 5);
  }());
}

TEST(channel, a_receiver_cancelled_before_the_value_comes_leaves_it_to_the_next) {
  in_virtual_time([]() -> task<> {
    channel<int> c(0);
    cancel_scope scope;
    std::vector<int> got;
    auto both = [&]() -> task<> {
      co_await yield();
      scope.cancel();
      co_await c.send(6);
      c.close();
    };
    std::vector<int> none;
    auto cancelled = fails_with(scope.run(receive_all(c, none)));
    auto all = gather(std::move(cancelled), receive_all(c, got), both());
    co_await std::move(all);
    EXPECT_THAT(got, ElementsAre(6));
    EXPECT_TRUE(none.empty());
  }());
}

TEST(channel, a_send_that_was_cancelled_sent_nothing) {
  in_virtual_time([]() -> task<> {
    channel<int> c(1);
    cancel_scope scope;
    auto cancelled = fails_with(scope.run(send_all(c, {1, 2})));
    auto both = [&]() -> task<> {
      co_await yield();
      scope.cancel();
      EXPECT_EQ(c.try_receive(), 1);
      EXPECT_EQ(c.try_receive(), std::nullopt);
    };
    auto all = gather(std::move(cancelled), both());
    co_await std::move(all);
  }());
}

TEST(channel, values_that_can_only_be_moved_are_neither_lost_nor_copied) {
  int alive = 0;
  in_virtual_time([&]() -> task<> {
    channel<counted> c(2);
    auto send = [&]() -> task<> {
      for (int i = 0; i < 20; ++i) {
        counted value(alive, i);
        co_await c.send(std::move(value));
      }
    };
    {
      task_group group;
      group.start(send());
      int next = 0;
      for (; next < 10; ++next) {
        std::optional<counted> got = co_await c.receive();
        EXPECT_EQ(got->value, next);
      }
      co_await yield();
    }
    EXPECT_EQ(c.size(), 2u);
    EXPECT_EQ(alive, 2);
  }());
  EXPECT_EQ(alive, 0);
}

TEST(channel, try_send_leaves_a_value_it_can_not_take) {
  channel<std::unique_ptr<int>> c(1);
  auto one = std::make_unique<int>(1);
  auto two = std::make_unique<int>(2);
  EXPECT_TRUE(c.try_send(one));
  EXPECT_FALSE(c.try_send(two));
  EXPECT_NE(two, nullptr);
}

// Its move throws when it is told to, once.
struct fragile {
  explicit fragile(bool& t) : throws(&t) {}
  fragile(fragile&& other) : throws(other.throws) {
    if (std::exchange(*throws, false)) throw std::bad_alloc();
  }
  fragile& operator=(fragile&&) = default;
  bool* throws;
};

TEST(channel, a_value_whose_move_throws_leaves_its_receiver_waiting_for_the_next) {
  in_virtual_time([]() -> task<> {
    channel<fragile> c(0);
    int received = 0;
    auto receive = [&]() -> task<> {
      std::optional<fragile> got = co_await c.receive();
      if (got) ++received;
    };
    auto send = [&]() -> task<> {
      co_await yield();
      bool throws = true;
      fragile value(throws);
      EXPECT_THROW(c.try_send(value), std::bad_alloc);
      EXPECT_TRUE(c.try_send(value));
    };
    auto both = gather(receive(), send());
    auto limited = with_timeout(std::chrono::seconds(1), std::move(both));
    co_await std::move(limited);
    EXPECT_EQ(received, 1);
  }());
}

TEST(channel, a_value_whose_move_throws_while_it_waits_fails_its_sender_alone) {
  for (std::size_t capacity : {0, 1})
    in_virtual_time([capacity]() -> task<> {
      channel<fragile> c(capacity);
      bool sound = false;
      bool breaks = false;
      if (capacity > 0) {
        fragile held(sound);
        EXPECT_TRUE(c.try_send(held));
      }
      auto send = [&](bool& throws) -> task<> { co_await c.send(fragile(throws)); };
      std::size_t received = 0;
      auto receive = [&]() -> task<> {
        co_await yield();
        breaks = true;
        while (c.try_receive()) ++received;
      };
      auto all = gather_settled(send(breaks), send(sound), receive());
      auto [broken, sent, done] = co_await std::move(all);
      EXPECT_THAT(describe(broken.exception()), HasSubstr("bad_alloc"));
      EXPECT_TRUE(sent);
      EXPECT_TRUE(done);
      EXPECT_EQ(received, capacity + 1);
    }());
}

}  // namespace
}  // namespace penstock

#include <penstock/db/pool_options.h>

#include <algorithm>
#include <functional>
#include <ostream>

#include <db/pool_state.h>
#include <gtest/gtest.h>

// The pool's decisions, one table row each: what has happened, and what is decided then.

namespace penstock::db {

std::ostream& operator<<(std::ostream& out, const pool_grant& g) {
  constexpr const char* names[] = {"use", "reset", "ping", "connect"};
  return out << names[static_cast<int>(g.step)] << " " << g.slot;
}
bool operator==(const pool_grant& a, const pool_grant& b) { return a.slot == b.slot && a.step == b.step; }

namespace {

using namespace std::chrono_literals;

constexpr time_point t0{1h};

pool_options two() {
  pool_options o;
  o.max_size = 2;
  return o;
}

// A slot that was connected and is idle again.
std::size_t add_idle(pool_state& s, time_point now, session_state how = session_state::clean) {
  std::size_t slot = s.admit(now)->slot;
  if (s.phase_of(slot) == pool_state::phase::connecting) s.connected(slot, now, 0);
  s.lent(slot, now);
  s.returned(slot, how, now);
  return slot;
}

struct admission_case {
  const char* name;
  std::function<void(pool_state&)> before;
  duration later;
  std::optional<pool_grant> expected;
};

TEST(pool_state, decides_who_gets_what) {
  const admission_case table[] = {
      {"an empty pool connects", [](pool_state&) {}, 0s, pool_grant{0, pool_step::connect}},
      {"a fresh session is used as it is", [](pool_state& s) { add_idle(s, t0); }, 0s, pool_grant{0, pool_step::use}},
      {"one not seen alive for long is pinged", [](pool_state& s) { add_idle(s, t0); }, 2s,
       pool_grant{0, pool_step::ping}},
      {"a dirty one is reset", [](pool_state& s) { add_idle(s, t0, session_state::dirty); }, 0s,
       pool_grant{0, pool_step::reset}},
      {"one that died is replaced", [](pool_state& s) { add_idle(s, t0, session_state::dead); }, 0s,
       pool_grant{0, pool_step::connect}},
      {"one past its life is replaced", [](pool_state& s) { add_idle(s, t0); }, 31min,
       pool_grant{0, pool_step::connect}},
      {"a suspect one is pinged",
       [](pool_state& s) {
         add_idle(s, t0);
         s.suspect_idle();
       },
       0s, pool_grant{0, pool_step::ping}},
      {"a full pool makes wait",
       [](pool_state& s) {
         s.admit(t0);
         s.admit(t0);
       },
       0s, std::nullopt},
      {"after a failed connect, a pause comes first", [](pool_state& s) { s.connect_failed(s.admit(t0)->slot, t0, 0); },
       99ms, std::nullopt},
      {"and when it is over, one connects", [](pool_state& s) { s.connect_failed(s.admit(t0)->slot, t0, 0); }, 100ms,
       pool_grant{0, pool_step::connect}},
      {"the pause grows",
       [](pool_state& s) {
         s.connect_failed(s.admit(t0)->slot, t0, 0);
         s.connect_failed(s.admit(t0 + 100ms)->slot, t0 + 100ms, 0);
       },
       299ms, std::nullopt},
      {"of several that fail together, one counts",
       [](pool_state& s) {
         std::size_t other = s.admit(t0)->slot;
         s.connect_failed(s.admit(t0)->slot, t0, 0);
         s.connect_failed(other, t0 + 1ms, 0);
       },
       100ms, pool_grant{0, pool_step::connect}},
      {"at random up to half is taken off the pause",
       [](pool_state& s) { s.connect_failed(s.admit(t0)->slot, t0, 50'000'000); }, 50ms,
       pool_grant{0, pool_step::connect}},
      {"only one tries while the database is away",
       [](pool_state& s) {
         s.connect_failed(s.admit(t0)->slot, t0, 0);
         s.admit(t0 + 1s);
       },
       2s, std::nullopt},
      {"all connect once it is back",
       [](pool_state& s) {
         s.connect_failed(s.admit(t0)->slot, t0, 0);
         s.connected(s.admit(t0 + 1s)->slot, t0 + 1s, 0);
       },
       1s, pool_grant{1, pool_step::connect}},
  };
  for (const admission_case& c : table) {
    pool_options options = two();
    pool_state s(options);
    c.before(s);
    std::optional<pool_grant> got = s.admit(t0 + c.later);
    EXPECT_EQ(got, c.expected) << c.name;
  }
}

TEST(pool_state, lends_the_session_used_last) {
  pool_options options = two();
  pool_state s(options);
  std::size_t a = s.admit(t0)->slot;
  std::size_t b = s.admit(t0)->slot;
  for (std::size_t slot : {a, b}) {
    s.connected(slot, t0, 0);
    s.lent(slot, t0);
  }
  s.returned(b, session_state::clean, t0 + 1ms);
  s.returned(a, session_state::clean, t0 + 2ms);
  EXPECT_EQ(s.admit(t0 + 2ms)->slot, a);
}

TEST(pool_state, who_comes_again_stands_before_who_came_later) {
  pool_options options = two();
  options.max_size = 1;
  pool_state s(options);
  std::size_t slot = s.admit(t0)->slot;
  pool_ticket first(1);
  pool_ticket second(2);
  pool_ticket third(3);
  for (pool_ticket* ticket : {&first, &second, &third}) s.enqueue(*ticket);
  s.dropped(slot);
  pool_state::handover one = s.hand_over(t0);
  ASSERT_EQ(one.to, &first);
  s.connect_failed(one.grant.slot, t0, 0);
  EXPECT_EQ(s.hand_over(t0).to, nullptr) << "the pause is not over";
  s.enqueue(first);
  EXPECT_EQ(s.pause_ends(t0), t0 + 100ms);
  for (pool_ticket* expected : {&first, &second, &third}) {
    pool_state::handover next = s.hand_over(t0 + 1s);
    ASSERT_EQ(next.to, expected);
    s.connected(next.grant.slot, t0 + 1s, 0);
    s.dropped(next.grant.slot);
  }
  EXPECT_EQ(s.waiting(), 0u);
}

TEST(pool_state, a_newcomer_waits_behind_those_who_wait) {
  pool_options options = two();
  pool_state s(options);
  std::size_t slot = s.admit(t0)->slot;
  s.admit(t0);
  pool_ticket waiting(1);
  s.enqueue(waiting);
  s.connected(slot, t0, 0);
  s.lent(slot, t0);
  s.returned(slot, session_state::clean, t0);
  EXPECT_EQ(s.admit(t0), std::nullopt);
  EXPECT_EQ(s.hand_over(t0).to, &waiting);
}

// What is due first, of both kinds.
pool_state::upkeep next_upkeep(pool_state& s, time_point now) {
  pool_state::upkeep check = s.next_check(now);
  if (check.grant) return check;
  pool_state::upkeep connect = s.next_connect(now);
  return {connect.grant, std::min(check.until, connect.until)};
}

struct upkeep_case {
  const char* name;
  std::function<void(pool_state&)> before;
  duration later;
  std::optional<pool_grant> expected;
  std::size_t idle;  // afterwards
};

TEST(pool_state, decides_what_upkeep_is_due) {
  auto idle_two = [](pool_state& s) {
    std::size_t a = s.admit(t0)->slot;
    std::size_t b = s.admit(t0)->slot;
    for (std::size_t slot : {a, b}) {
      s.connected(slot, t0, 0);
      s.lent(slot, t0);
    }
    for (std::size_t slot : {a, b}) s.returned(slot, session_state::clean, t0);
  };
  const upkeep_case table[] = {
      {"fill up to min", [](pool_state&) {}, 0s, pool_grant{0, pool_step::connect}, 0},
      {"nothing", [](pool_state& s) { add_idle(s, t0); }, 1min, std::nullopt, 1},
      {"reset a dirty one at once", [](pool_state& s) { add_idle(s, t0, session_state::dirty); }, 0s,
       pool_grant{0, pool_step::reset}, 0},
      {"keep one alive", [](pool_state& s) { add_idle(s, t0); }, 2min, pool_grant{0, pool_step::ping}, 0},
      {"close what is surplus and idle for long, and keep the rest alive", idle_two, 10min,
       pool_grant{1, pool_step::ping}, 0},
      {"replace one past its life", [](pool_state& s) { add_idle(s, t0); }, 30min, pool_grant{0, pool_step::connect},
       0},
      {"no storm on a database that is away", [](pool_state& s) { s.connect_failed(s.admit(t0)->slot, t0, 0); }, 50ms,
       std::nullopt, 0},
  };
  for (const upkeep_case& c : table) {
    pool_options options = two();
    pool_state s(options);
    c.before(s);
    pool_state::upkeep next = next_upkeep(s, t0 + c.later);
    EXPECT_EQ(next.grant, c.expected) << c.name;
    EXPECT_EQ(s.idle(), c.idle) << c.name;
    if (!next.grant) {
      EXPECT_GT(next.until, t0 + c.later) << c.name << ": would spin";
    }
  }
}

TEST(pool_state, jitter_takes_up_to_a_tenth_off_a_life) {
  pool_options options = two();
  options.max_lifetime = 10min;
  options.keepalive = 0s;
  options.idle_timeout = 0s;
  pool_state s(options);
  std::size_t slot = s.admit(t0)->slot;
  s.connected(slot, t0, static_cast<std::uint64_t>((duration(1min)).count()));
  s.returned(slot, session_state::clean, t0);
  EXPECT_EQ(next_upkeep(s, t0).until, t0 + 9min);
}

TEST(pool_state, a_ping_does_not_make_an_idle_session_young) {
  pool_options options = two();
  options.min_size = 0;
  pool_state s(options);
  add_idle(s, t0);
  for (duration later = 2min; later < 10min; later += 2min) {
    pool_state::upkeep next = next_upkeep(s, t0 + later);
    ASSERT_EQ(next.grant, (pool_grant{0, pool_step::ping}));
    s.returned(0, session_state::clean, t0 + later);
  }
  next_upkeep(s, t0 + 10min);
  EXPECT_EQ(s.idle(), 0u);
  EXPECT_EQ(s.take_retired(), std::vector<std::size_t>{0});
}

TEST(pool_state, an_overdue_lease_is_given_once) {
  pool_options options = two();
  pool_state s(options);
  std::size_t slot = s.admit(t0)->slot;
  s.connected(slot, t0, 0);
  s.lent(slot, t0);
  EXPECT_EQ(s.next_overdue(), t0 + 1min);
  EXPECT_TRUE(s.take_overdue(t0 + 59s).empty());
  EXPECT_EQ(s.take_overdue(t0 + 1min), std::vector<std::size_t>{slot});
  EXPECT_TRUE(s.take_overdue(t0 + 2min).empty());
  EXPECT_EQ(s.next_overdue(), std::nullopt);
}

TEST(pool_state, once_closed_nothing_stays) {
  pool_options options = two();
  pool_state s(options);
  std::size_t out = s.admit(t0)->slot;
  s.connected(out, t0, 0);
  s.lent(out, t0);
  std::size_t idle = add_idle(s, t0);
  s.close();
  EXPECT_EQ(s.take_retired(), std::vector<std::size_t>{idle});
  EXPECT_FALSE(s.all_empty());
  EXPECT_FALSE(s.returned(out, session_state::clean, t0));
  EXPECT_TRUE(s.all_empty());
}

}  // namespace
}  // namespace penstock::db

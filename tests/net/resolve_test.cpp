#include <penstock/async/gather.h>
#include <penstock/async/on_worker.h>
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/async/yield.h>
#include <penstock/net/error.h>
#include <penstock/net/event_loop.h>
#include <penstock/net/resolver.h>

#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <netdb.h>

namespace penstock::net {
namespace {

using namespace std::chrono_literals;

// Name servers that answer for names below "silent.test" only when they are told to.
class name_servers {
 public:
  // A lookup comes in, stays while the servers are silent, and goes; after a while by itself, so that whatever waits
  // for it in vain fails and does not hang.
  void ask() {
    std::unique_lock lock(mutex_);
    ++asked_;
    ++inside_;
    changed_.notify_all();
    if (!changed_.wait_for(lock, 5s, [this] { return !silent_; })) ADD_FAILURE() << "a lookup was waited for";
    --inside_;
    changed_.notify_all();
  }
  void fall_silent() {
    std::lock_guard lock(mutex_);
    silent_ = true;
    asked_ = 0;
  }
  // Lets all lookups go, and waits until they have.
  void answer() {
    std::unique_lock lock(mutex_);
    silent_ = false;
    changed_.notify_all();
    changed_.wait(lock, [this] { return inside_ == 0; });
  }
  void wait_until_asked(int times) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return asked_ >= times; });
  }
  int asked() {
    std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool silent_ = false;
  int asked_ = 0;
  int inside_ = 0;
};

// Never destroyed: a lookup that is left to itself may still be at it when the program ends.
name_servers& servers() {
  static auto* all = new name_servers;
  return *all;
}

// Those that nobody waits for any more; a test that leaves them behind lets them go at its end.
class silence {
 public:
  silence() { servers().fall_silent(); }
  silence(const silence&) = delete;
  silence& operator=(const silence&) = delete;
  ~silence() { servers().answer(); }
};

}  // namespace
}  // namespace penstock::net

// Takes the place of the C library's in this program.
extern "C" int getaddrinfo(const char* name, const char* service, const addrinfo* hints, addrinfo** found) {
  if (name != nullptr && std::string_view(name).ends_with(".silent.test")) {
    penstock::net::servers().ask();
    return EAI_AGAIN;
  }
  if (name != nullptr && std::string_view(name) == "starved.test") {
    errno = EMFILE;
    return EAI_SYSTEM;
  }
  auto* real = reinterpret_cast<decltype(&getaddrinfo)>(dlsym(RTLD_NEXT, "getaddrinfo"));
  return real(name, service, hints, found);
}

namespace penstock::net {
namespace {

task<> ask_in_vain(std::string name) {
  auto asking = resolve_host(std::move(name));
  auto limited = with_timeout(1ms, std::move(asking));
  try {
    co_await std::move(limited);
    ADD_FAILURE() << "a silent name server answered";
  } catch (const timed_out&) {
  }
}

task<> ask_in_vain_for_many(int names) {
  std::vector<task<>> all;
  for (int i = 0; i < names; ++i) all.push_back(ask_in_vain("h" + std::to_string(i) + ".silent.test"));
  auto together = gather(std::move(all));
  co_await std::move(together);
}

TEST(resolve, a_worker_does_not_wait_behind_lookups) {
  auto body = []() -> task<> {
    silence quiet;
    co_await ask_in_vain_for_many(8);
    auto there = on_worker([] { return 42; });
    EXPECT_EQ(co_await there, 42);
  };
  run(body());
}

TEST(resolve, a_name_that_answers_does_not_wait_behind_those_that_do_not) {
  auto body = []() -> task<> {
    silence quiet;
    co_await ask_in_vain_for_many(8);
    auto found = co_await resolve_host("localhost");
    EXPECT_FALSE(found.empty());
  };
  run(body());
}

TEST(resolve, the_end_of_the_loop_does_not_wait_for_lookups) {
  silence quiet;
  auto body = []() -> task<> {
    task_group abandoned;
    auto ask = []() -> task<> { co_await resolve_host("late.silent.test"); };
    abandoned.start(ask());
    co_await yield();
    servers().wait_until_asked(1);
  };
  run(body());
}

TEST(resolve, those_who_ask_for_one_name_share_a_lookup_and_each_gets_its_failure) {
  auto body = []() -> task<> {
    std::optional<silence> quiet(std::in_place);
    auto ask = []() -> task<> { co_await resolve_host("one.silent.test"); };
    auto answer = [&]() -> task<> {
      co_await ask_in_vain("one.silent.test");
      servers().wait_until_asked(1);
      quiet.reset();
    };
    auto [one, two, answered] = co_await gather_settled(ask(), ask(), answer());
    EXPECT_TRUE(answered);
    EXPECT_EQ(servers().asked(), 1);
    for (const auto& asked : {&one, &two}) {
      const error* failure = asked->error_as<error>();
      EXPECT_TRUE(failure != nullptr && failure->is(net_errc::resolve_failed));
    }
    EXPECT_NE(one.error_as<error>(), two.error_as<error>());
  };
  run(body());
}

TEST(resolve, a_lookup_that_the_system_fails_says_why) {
  auto body = []() -> task<> { co_await resolve_host("starved.test"); };
  try {
    run(body());
    ADD_FAILURE() << "an address of nothing";
  } catch (const error& e) {
    EXPECT_TRUE(e.is(net_errc::resolve_failed));
    EXPECT_EQ(e.message(), "'starved.test' can't be looked up: Too many open files");
  }
}

TEST(resolve, a_lookup_that_nobody_waits_for_any_more_never_starts) {
  auto body = []() -> task<> {
    {
      silence quiet;
      co_await ask_in_vain_for_many(500);
    }
    int asked = servers().asked();
    EXPECT_LT(asked, 200);
    // One that comes after all of them would go after all of them.
    auto found = co_await resolve_host("localhost");
    EXPECT_EQ(servers().asked(), asked);
  };
  run(body());
}

}  // namespace
}  // namespace penstock::net

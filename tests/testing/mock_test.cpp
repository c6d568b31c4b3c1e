#include <penstock/async/cancel.h>
#include <penstock/async/error.h>
#include <penstock/async/timeout.h>
#include <penstock/testing/error.h>
#include <penstock/testing/mock.h>
#include <penstock/testing/simulation.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

namespace penstock::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::_;
using ::testing::HasSubstr;
using ::testing::Return;

struct user {
  int id = 0;
  std::string name;
};

struct uncopyable {
  uncopyable() = default;
  uncopyable(const uncopyable&) = delete;
  std::string seen;
};

class repository {
 public:
  virtual ~repository() = default;
  virtual task<user> load(int id) = 0;
  virtual task<std::string> join(const std::string& a, std::string_view b) = 0;
  virtual task<> store(user u) = 0;
  virtual task<std::unique_ptr<int>> take(std::unique_ptr<int> p) = 0;
  virtual task<> look_at(uncopyable& u) = 0;
};

class mock_repository : public repository {
 public:
  MOCK_METHOD(task<user>, load, (int id), (override));
  MOCK_METHOD(task<std::string>, join, (const std::string& a, std::string_view b), (override));
  MOCK_METHOD(task<>, store, (user u), (override));
  MOCK_METHOD(task<std::unique_ptr<int>>, take, (std::unique_ptr<int> p), (override));
  MOCK_METHOD(task<>, look_at, (uncopyable & u), (override));
};

// The result of a task that runs alone.
template <class T>
T result_of(task<T> t, duration* took = nullptr) {
  simulation sim;
  if constexpr (std::is_void_v<T>) {
    sim.run(std::move(t));
    if (took != nullptr) *took = sim.elapsed();
  } else {
    T result = sim.run(std::move(t));
    if (took != nullptr) *took = sim.elapsed();
    return result;
  }
}

TEST(co_return_value, gives_its_value_to_each_call) {
  mock_repository users;
  EXPECT_CALL(users, load(_)).WillRepeatedly(co_return_value(user{7, "Ann of a long name, which is allocated"}));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(result_of(users.load(7)).name, "Ann of a long name, which is allocated");
}

TEST(co_return_value, converts_to_what_the_method_gives) {
  mock_repository users;
  EXPECT_CALL(users, join).WillOnce(co_return_value("a literal"));
  EXPECT_EQ(result_of(users.join("", "")), "a literal");
}

TEST(co_return_value, ends_a_call_that_gives_nothing) {
  mock_repository users;
  EXPECT_CALL(users, store).WillOnce(co_return_value());
  result_of(users.store({1, "Ann"}));
}

TEST(co_return_value, gives_a_value_that_can_only_be_moved_once) {
  mock_repository users;
  EXPECT_CALL(users, take).WillRepeatedly(co_return_value(std::make_unique<int>(7)));
  EXPECT_EQ(*result_of(users.take(nullptr)), 7);
  try {
    result_of(users.take(nullptr));
    ADD_FAILURE() << "was given twice";
  } catch (const error& e) {
    EXPECT_TRUE(e.is(testing_errc::value_was_given)) << e.what();
  }
}

TEST(co_return_value, may_be_the_default_action) {
  ::testing::NiceMock<mock_repository> users;
  ON_CALL(users, load).WillByDefault(co_return_value(user{1, "default"}));
  EXPECT_EQ(result_of(users.load(7)).name, "default");
}

TEST(co_throw, throws_when_it_is_awaited_and_not_when_it_is_called) {
  mock_repository users;
  EXPECT_CALL(users, load(7)).WillRepeatedly(co_throw(std::out_of_range("no such user")));
  for (int i = 0; i < 2; ++i) {
    task<user> loading = users.load(7);
    EXPECT_THROW(result_of(std::move(loading)), std::out_of_range);
  }
}

TEST(co_invoke, keeps_reference_arguments_and_captures_in_the_frame) {
  mock_repository users;
  task<std::string> joining;
  {
    // All of it is gone when the task runs: the lambda, what it captured, the arguments, the mock's action.
    std::string captured = "captured, and longer than what a string holds in itself";
    EXPECT_CALL(users, join)
        .WillOnce(co_invoke([captured](const std::string& a, std::string_view b) -> task<std::string> {
          co_await sleep_for(1s);
          std::string first = captured + a;
          co_await sleep_for(1s);
          co_return first + std::string(b);
        }));
    std::string a = "a, which is longer than what a string holds in itself";
    std::string b = "b, which is longer than what a string holds in itself";
    joining = users.join(a, b);
    a.assign(a.size(), 'x');
    b.assign(b.size(), 'x');
    ::testing::Mock::VerifyAndClearExpectations(&users);
  }
  duration took;
  EXPECT_EQ(result_of(std::move(joining), &took),
            "captured, and longer than what a string holds in itself"
            "a, which is longer than what a string holds in itself"
            "b, which is longer than what a string holds in itself");
  EXPECT_EQ(took, 2s);
}

TEST(co_invoke, takes_functions_that_are_no_coroutines_or_take_no_arguments) {
  mock_repository users;
  int stored = 0;
  EXPECT_CALL(users, load(_)).WillOnce(co_invoke([](int id) { return user{id, "plain"}; }));
  EXPECT_CALL(users, store(_)).WillOnce(co_invoke([&] { ++stored; }));
  EXPECT_EQ(result_of(users.load(3)).id, 3);
  result_of(users.store({}));
  EXPECT_EQ(stored, 1);
}

TEST(co_invoke, moves_arguments_that_can_only_be_moved) {
  mock_repository users;
  EXPECT_CALL(users, take).WillOnce(co_invoke([](std::unique_ptr<int> p) -> task<std::unique_ptr<int>> {
    ++*p;
    co_return std::move(p);
  }));
  EXPECT_EQ(*result_of(users.take(std::make_unique<int>(1))), 2);
}

TEST(co_invoke, passes_on_references_to_what_can_not_be_copied) {
  mock_repository users;
  EXPECT_CALL(users, look_at).WillOnce(co_invoke([](uncopyable& u) -> task<> {
    u.seen = "seen";
    co_return;
  }));
  uncopyable u;
  result_of(users.look_at(u));
  EXPECT_EQ(u.seen, "seen");
}

TEST(co_invoke, calls_when_it_is_awaited) {
  mock_repository users;
  bool called = false;
  EXPECT_CALL(users, store).WillOnce(co_invoke([&] { called = true; }));
  task<> storing = users.store({});
  EXPECT_FALSE(called);
  result_of(std::move(storing));
  EXPECT_TRUE(called);
}

TEST(co_delay, lets_virtual_time_pass_first) {
  mock_repository users;
  EXPECT_CALL(users, load(_))
      .WillOnce(co_delay(3s, user{1, "a value"}))
      .WillOnce(co_delay(1h, co_throw(std::runtime_error("late"))))
      .WillOnce(co_delay(1s, co_invoke([](int id) {
                           return user{id, "invoked"};
                         })));
  EXPECT_CALL(users, store(_)).WillOnce(co_delay(5s));
  duration took;
  EXPECT_EQ(result_of(users.load(1), &took).name, "a value");
  EXPECT_EQ(took, 3s);
  EXPECT_THROW(result_of(users.load(2)), std::runtime_error);
  EXPECT_EQ(result_of(users.load(3), &took).id, 3);
  EXPECT_EQ(took, 1s);
  result_of(users.store({}), &took);
  EXPECT_EQ(took, 5s);
}

TEST(co_never, waits_until_it_is_cancelled) {
  mock_repository users;
  EXPECT_CALL(users, load(_)).WillOnce(co_never());
  duration took;
  auto body = [&]() -> task<> {
    task<user> limited = with_timeout(1min, users.load(1));
    EXPECT_THROW(co_await std::move(limited), timed_out);
  };
  result_of(body(), &took);
  EXPECT_EQ(took, 1min);
}

TEST(co_never, is_a_deadlock_when_nothing_else_can_happen) {
  mock_repository users;
  EXPECT_CALL(users, load(_)).WillOnce(co_never());
  try {
    result_of(users.load(1));
    ADD_FAILURE() << "no deadlock";
  } catch (const error& e) {
    EXPECT_THAT(e.what(), HasSubstr("co_never"));
  }
}

TEST(mocked_call, that_is_made_and_never_awaited_fails_the_test) {
  mock_repository users;
  EXPECT_CALL(users, join).WillRepeatedly(co_return_value("unheard"));
  EXPECT_NONFATAL_FAILURE(static_cast<void>(users.join("a", "b")),
                          "a mocked call was made and never awaited: the task of this co_return_value, for the call "
                          "(\"a\", \"b\"), was destroyed before it began");
}

TEST(mocked_call, that_is_never_awaited_is_shown_at_the_line_of_its_action) {
  mock_repository users;
  ::testing::TestPartResultArray failures;
  int line = __LINE__ + 1;
  EXPECT_CALL(users, load(7)).WillOnce(co_never());
  {
    ::testing::ScopedFakeTestPartResultReporter reporter(
        ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &failures);
    static_cast<void>(users.load(7));
  }
  ASSERT_EQ(failures.size(), 1);
  EXPECT_EQ(failures.GetTestPartResult(0).line_number(), line);
  EXPECT_THAT(failures.GetTestPartResult(0).file_name(), HasSubstr("mock_test.cpp"));
}

TEST(mocked_call, that_began_and_was_cancelled_is_fine) {
  mock_repository users;
  EXPECT_CALL(users, load(_)).WillOnce(co_delay(1h, user{}));
  auto body = [&]() -> task<> {
    task<user> limited = with_timeout(1s, users.load(1));
    EXPECT_THROW(co_await std::move(limited), timed_out);
  };
  result_of(body());
}

TEST(mocked_call, that_an_exception_kept_from_being_awaited_is_fine) {
  mock_repository users;
  EXPECT_CALL(users, load(_)).WillOnce(co_return_value(user{}));
  auto body = [&]() -> task<> {
    task<user> loading = users.load(1);
    throw std::runtime_error("before it was awaited");
    co_await std::move(loading);
  };
  EXPECT_THROW(result_of(body()), std::runtime_error);
}

// The message of what a task throws.
template <class T>
std::string failure_of(task<T> t) {
  try {
    result_of(std::move(t));
  } catch (const error& e) {
    return std::string(e.code()) + ": " + e.what();
  }
  return "none";
}

TEST(mocked_call, that_no_expectation_takes_throws_when_it_is_awaited) {
  mock_repository users;
  EXPECT_CALL(users, load(7)).WillOnce(co_return_value(user{7, "Ann"}));
  task<user> other;
  EXPECT_NONFATAL_FAILURE(other = users.load(8), "Unexpected mock function call");
  EXPECT_THAT(failure_of(std::move(other)), HasSubstr("testing.unprovided_call: a mocked call was awaited that no "));
  EXPECT_EQ(result_of(users.load(7)).id, 7);
  task<user> one_too_many;
  EXPECT_NONFATAL_FAILURE(one_too_many = users.load(7), "called more times than expected");
  EXPECT_THAT(failure_of(std::move(one_too_many)), HasSubstr("testing.unprovided_call"));
}

TEST(mocked_call, that_a_nice_mock_passes_over_throws_when_it_is_awaited) {
  ::testing::NiceMock<mock_repository> users;
  EXPECT_THAT(failure_of(users.store({})), HasSubstr("testing.unprovided_call"));
  EXPECT_THAT(failure_of(users.take(nullptr)), HasSubstr("testing.unprovided_call"));
  static_cast<void>(users.load(7));  // and does nothing when it is not
}

}  // namespace
}  // namespace penstock::testing

#include "allocation_counter.h"
#include <penstock/core/error.h>
#include <penstock/core/traceback.h>

#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

struct user_failure {
  int number = 0;
};

template <class E>
std::exception_ptr thrown(E e) {
  try {
    throw e;
  } catch (...) {
    return std::current_exception();
  }
}

std::source_location here(std::source_location where = std::source_location::current()) { return where; }

TEST(traceback, of_nothing) {
  EXPECT_EQ(format_traceback(nullptr), "no exception");
  EXPECT_EQ(describe(nullptr), "no exception");
  EXPECT_EQ(cause_of(nullptr), nullptr);
  EXPECT_TRUE(traceback_of(nullptr).empty());
}

TEST(traceback, an_exception_that_crossed_no_await_is_its_type_and_message) {
  EXPECT_EQ(format_traceback(thrown(std::runtime_error("no"))), "std::runtime_error: no\n");
  EXPECT_EQ(format_traceback(thrown(user_failure{})), "penstock::(anonymous namespace)::user_failure\n");
  EXPECT_EQ(format_traceback(thrown(7)), "int\n");
  EXPECT_THAT(format_traceback(thrown(error(core_errc::bad_unit, "no size"))),
              EndsWith("penstock::error [core.bad_unit]: no size\n"));
}

template <class E>
class traceback_of_type : public ::testing::Test {};
struct a_penstock_error : error {
  a_penstock_error() : error(core_errc::bad_unit, "no size", {}, {}) {}
};
struct a_std_error : std::runtime_error {
  a_std_error() : std::runtime_error("no") {}
};
using thrown_types = ::testing::Types<a_penstock_error, a_std_error, user_failure, int, std::string, const char*>;
TYPED_TEST_SUITE(traceback_of_type, thrown_types);

TYPED_TEST(traceback_of_type, survives_being_stored_rethrown_and_caught_again) {
  std::exception_ptr stored = thrown(TypeParam{});
  add_traceback_frame(stored, here(), "first");
  try {
    std::rethrow_exception(stored);
  } catch (...) {
    std::exception_ptr again = std::current_exception();
    EXPECT_EQ(again, stored);
    add_traceback_frame(again, here());
  }
  std::vector<traceback_frame> steps = traceback_of(stored);
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_EQ(steps[0].note, "");
  EXPECT_EQ(steps[1].note, "first");
  EXPECT_THAT(steps[0].file, EndsWith("traceback_test.cpp"));
  EXPECT_LT(steps[1].line, steps[0].line);
}

TYPED_TEST(traceback_of_type, is_forgotten_with_the_exception) {
  for (int i = 0; i < 3; ++i) {
    // The same address most likely, and nothing left of the one before.
    std::exception_ptr fresh = thrown(TypeParam{});
    EXPECT_TRUE(traceback_of(fresh).empty());
    add_traceback_frame(fresh, here());
    attach_failure(fresh, thrown(1));
  }
}

TEST(traceback, the_exceptions_own_destructor_still_runs) {
  static int alive = 0;
  struct counts {
    counts() { ++alive; }
    counts(const counts&) { ++alive; }
    ~counts() { --alive; }
  };
  {
    std::exception_ptr e = thrown(counts());
    add_traceback_frame(e, here());
    EXPECT_EQ(alive, 1);
  }
  EXPECT_EQ(alive, 0);
}

TEST(traceback, prints_files_lines_and_functions_like_python) {
  std::exception_ptr e = thrown(std::runtime_error("no\nsecond line"));
  std::uint32_t line = here().line();
  add_traceback_frame(e, here(), "inner note");
  add_traceback_frame(e, here());
  std::string text = format_traceback(e);
  EXPECT_THAT(text, StartsWith("Traceback (most recent await last):\n  File \""));
  EXPECT_THAT(text, HasSubstr("core/traceback_test.cpp\", line " + std::to_string(line + 2) + ", in "));
  EXPECT_THAT(text, HasSubstr("line " + std::to_string(line + 1) + ", in "));
  EXPECT_THAT(text, HasSubstr(" [inner note]\nstd::runtime_error: no\nsecond line\n"));
}

TEST(traceback, of_a_penstock_error_ends_where_it_was_made) {
  std::uint32_t line = here().line() + 1;
  std::exception_ptr e = thrown(error(core_errc::bad_unit, "no size"));
  std::string text = format_traceback(e);
  EXPECT_THAT(text, StartsWith("Traceback (most recent await last):\n"));
  EXPECT_THAT(text, HasSubstr(", line " + std::to_string(line) + ", in "));
}

TEST(traceback, causes_come_first) {
  auto root = thrown(std::runtime_error("disk full"));
  add_traceback_frame(root, here(), "of the cause");
  auto middle = thrown(error(core_errc::bad_unit, "not written", root, {}));
  auto top = thrown(error(core_errc::bad_unit, "not stored", middle, {}));
  std::string text = format_traceback(top);
  EXPECT_THAT(text, StartsWith("Traceback"));
  std::size_t first = text.find("disk full");
  std::size_t second = text.find(
      "\nThe above happened while:\n\npenstock::error "
      "[core.bad_unit]: not written\n");
  std::size_t third = text.find(
      "\nThe above happened while:\n\npenstock::error "
      "[core.bad_unit]: not stored\n");
  EXPECT_LT(first, second);
  EXPECT_LT(second, third);
  EXPECT_NE(third, std::string::npos) << text;
}

TEST(traceback, nested_exceptions_are_causes) {
  std::exception_ptr e;
  try {
    try {
      throw std::runtime_error("inner");
    } catch (...) {
      std::throw_with_nested(std::logic_error("outer"));
    }
  } catch (...) {
    e = std::current_exception();
  }
  EXPECT_EQ(describe(cause_of(e)), "std::runtime_error: inner");
  std::string text = format_traceback(e);
  EXPECT_THAT(text, StartsWith("std::runtime_error: inner\n\nThe above happened while:\n\n"));
  EXPECT_THAT(text, EndsWith(": outer\n"));
}

TEST(traceback, attached_failures_are_printed_indented_and_many_are_counted) {
  auto e = thrown(std::runtime_error("first"));
  for (int i = 0; i < 12; ++i) attach_failure(e, thrown(std::runtime_error("other " + std::to_string(i))));
  std::string text = format_traceback(e);
  EXPECT_THAT(text, HasSubstr("  beside it, failure 1 of 12:\n    std::runtime_error: other 0\n"));
  EXPECT_THAT(text, HasSubstr("    std::runtime_error: other 9\n  and 2 more "
                              "failures beside it\n"));
  EXPECT_THAT(text, Not(HasSubstr("other 10")));
}

TEST(traceback, exceptions_are_never_attached_in_a_ring) {
  auto one = thrown(std::runtime_error("one"));
  auto two = thrown(error(core_errc::bad_unit, "two", one, {}));
  auto three = thrown(std::runtime_error("three"));
  attach_failure(one, one);
  attach_failure(one, two);
  EXPECT_TRUE(attached_failures(one).empty());
  attach_failure(one, three);
  attach_failure(three, two);
  attach_failure(three, one);
  attach_failure(one, three);
  EXPECT_EQ(attached_failures(one).size(), 1u);
  EXPECT_TRUE(attached_failures(three).empty());
  EXPECT_LT(format_traceback(two).size(), 1000u);
}

TEST(traceback, of_an_exception_that_is_kept_and_thrown_for_ever_is_bounded) {
  auto e = thrown(std::runtime_error("stored"));
  for (int i = 0; i < 10'000; ++i) add_traceback_frame(e, here(), std::to_string(i));
  std::vector<traceback_frame> steps = traceback_of(e);
  ASSERT_EQ(steps.size(), 200u);
  EXPECT_EQ(steps.front().note, "9999");
  EXPECT_EQ(steps[98].note, "9901");
  EXPECT_EQ(steps[99].note, "9900; 9800 steps after this one left out");
  EXPECT_EQ(steps[100].note, "99");
  EXPECT_EQ(steps.back().note, "0");
}

TEST(traceback, many_threads_throw_at_once) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([] {
      for (int i = 0; i < 500; ++i) {
        auto e = thrown(std::runtime_error(std::to_string(i)));
        for (int step = 0; step < 5; ++step) add_traceback_frame(e, here());
        attach_failure(e, thrown(user_failure{i}));
        EXPECT_EQ(traceback_of(e).size(), 5u);
        EXPECT_EQ(attached_failures(e).size(), 1u);
      }
    });
  for (std::thread& t : threads) t.join();
}

TEST(traceback, many_threads_share_one_exception) {
  auto shared = thrown(std::runtime_error("shared"));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([shared] {
      for (int i = 0; i < 100; ++i) {
        add_traceback_frame(shared, here());
        EXPECT_THAT(format_traceback(shared), EndsWith("std::runtime_error: shared\n"));
      }
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(traceback_of(shared).size(), 200u);
}

TEST(traceback, asking_for_one_that_is_not_there_makes_none) {
  auto e = thrown(std::runtime_error("plain"));
  EXPECT_TRUE(traceback_of(e).empty());  // the first one of a process makes the table
  std::uint64_t before = allocations;
  EXPECT_TRUE(traceback_of(e).empty());
  EXPECT_TRUE(attached_failures(e).empty());
  EXPECT_EQ(allocations - before, 0u);
}

TEST(short_function_name, leaves_the_qualified_name) {
  struct row {
    const char* whole;
    const char* name;
  };
  for (const row& r : {
           row{"penstock::task<int> fetch(std::string)", "fetch"},
           row{"int main(int, char**)", "main"},
           row{"penstock::task<std::vector<T> > "
               "penstock::gather(std::vector<task<T> >) [with T = int]",
               "penstock::gather"},
           row{"task<> store::put(int) const", "store::put"},
           row{"task<T> with_timeout(duration, task<T>) [T = int]", "with_timeout"},
           row{"task<> (anonymous namespace)::work()", "(anonymous namespace)::work"},
           row{"main()::<lambda(int)>", "main()::<lambda(int)>"},
           row{"task<> serve(int)::<lambda()>::operator()() const", "serve(int)::<lambda()>"},
           row{"", ""},
       })
    EXPECT_EQ(short_function_name(r.whole), r.name) << r.whole;
}

}  // namespace
}  // namespace penstock

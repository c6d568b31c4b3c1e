#pragma once

// Runs tests that have to fail, and gives what they would have reported.

#include <penstock/testing/test.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest-spi.h>

namespace penstock::testing {

using namespace std::chrono_literals;

class lambda_case final : public test_detail::async_case {
 public:
  using part = std::function<task<void>()>;
  explicit lambda_case(part body, test_options options = {}) : body_(std::move(body)), options_(std::move(options)) {}

  task<void> penstock_set_up() override { return nothing(); }
  task<void> penstock_body() override { return body_(); }
  task<void> penstock_tear_down() override { return nothing(); }
  test_options penstock_options() override { return options_; }
  void penstock_plain_set_up() override {}
  void penstock_plain_tear_down() override {}

 private:
  static task<void> nothing() { co_return; }
  part body_;
  test_options options_;
};

// The messages of all failures of what `run` does.
inline std::string failures_of(const std::function<void()>& run) {
  ::testing::TestPartResultArray caught;
  {
    ::testing::ScopedFakeTestPartResultReporter reporter(
        ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &caught);
    run();
  }
  std::string text;
  for (int i = 0; i < caught.size(); ++i) text += std::string(caught.GetTestPartResult(i).message()) + "\n";
  return text;
}

inline std::string failures_of_test(lambda_case::part body, test_options options = {}) {
  return failures_of([&] {
    lambda_case one(body, options);
    test_detail::run_simulated(one, [&] { return std::make_unique<lambda_case>(body, options); });
  });
}

inline std::string failures_of_seeds(int count, lambda_case::part body, test_options options = {}) {
  return failures_of(
      [&] { test_detail::run_seeds(count, [&] { return std::make_unique<lambda_case>(body, options); }); });
}

// An environment variable, set until the end of the scope.
class environment_variable {
 public:
  environment_variable(const char* name, const std::string& value) : name_(name) { setenv(name, value.c_str(), 1); }
  environment_variable(const environment_variable&) = delete;
  environment_variable& operator=(const environment_variable&) = delete;
  ~environment_variable() { unsetenv(name_); }

 private:
  const char* name_;
};

inline ::testing::AssertionResult contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "no '" << part << "' in:\n" << text;
}

}  // namespace penstock::testing

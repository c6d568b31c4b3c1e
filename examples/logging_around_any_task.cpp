// traced("name", fn, args…) logs, times and counts a call of any function that
// gives a task, without touching the function. A failure is logged with its
// traceback and passed on unchanged; a secret argument is never shown.

#include <penstock/async/timeout.h>
#include <penstock/observe/log_capture.h>
#include <penstock/observe/traced.h>
#include <penstock/testing/simulation.h>

#include <chrono>
#include <iostream>
#include <stdexcept>
#include <string>
#include <utility>

using namespace penstock;
using namespace std::chrono_literals;

task<int> withdraw(std::string account, int amount, std::string pin) {
  co_await sleep_for(250ms);
  if (pin != "1234") throw std::invalid_argument("wrong pin for " + account);
  co_return 100 - amount;
}

task<bool> at_the_counter() {
  auto first = traced("withdraw", withdraw, std::string("anna"), 30, log::secret(std::string("1234")));
  int left = co_await std::move(first);
  bool refused = false;
  try {
    auto second = traced("withdraw", withdraw, std::string("anna"), 30, log::secret(std::string("9999")));
    co_await std::move(second);
  } catch (const std::invalid_argument&) {
    refused = true;
  }
  std::cout << left << " left; the second attempt was " << (refused ? "refused" : "let through") << "\n";
  co_return left == 70 && refused;
}

int main() {
  penstock::testing::simulation clock;
  log::capture logged;
  bool as_expected = clock.run(at_the_counter());
  std::string lines = logged.text();
  std::cout << lines;
  bool shows_no_secret = lines.find("1234") == std::string::npos && lines.find("9999") == std::string::npos;
  return as_expected && shows_no_secret && lines.find("wrong pin for anna") != std::string::npos ? 0 : 1;
}

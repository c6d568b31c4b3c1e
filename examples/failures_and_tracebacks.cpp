// When one task of a gather fails, the others are cancelled and waited for, and
// the exception carries the way it came: each co_await, through every
// combinator. gather_settled lets each end as it will and gives an outcome per
// task.

#include <penstock/async/gather.h>
#include <penstock/async/timeout.h>
#include <penstock/core/traceback.h>
#include <penstock/testing/simulation.h>

#include <chrono>
#include <iostream>
#include <stdexcept>
#include <string>
#include <utility>

using namespace penstock;
using namespace std::chrono_literals;

task<int> read_price(std::string item) {
  co_await sleep_for(1s);
  if (item == "pearls") throw std::runtime_error("no price for " + item);
  co_return static_cast<int>(item.size());
}

task<int> price_with_tax(std::string item) {
  task<int> price = read_price(std::move(item));
  co_return 2 * co_await std::move(price);
}

task<bool> shop() {
  std::string traceback;
  try {
    auto prices = gather(price_with_tax("bread"), price_with_tax("pearls"), price_with_tax("salt"));
    co_await std::move(prices);
  } catch (const std::exception&) {
    traceback = format_traceback(std::current_exception());
  }
  std::cout << traceback << "\n";

  auto each = gather_settled(price_with_tax("bread"), price_with_tax("pearls"));
  auto [bread, pearls] = co_await std::move(each);
  std::cout << "bread:  " << bread.value() << "\npearls: " << describe(pearls.exception()) << "\n";
  auto shows = [&](const char* part) { return traceback.find(part) != std::string::npos; };
  co_return shows("gather, task 2 of 3") && shows("in price_with_tax") && bread.value() == 10 && !pearls;
}

int main() {
  penstock::testing::simulation clock;
  return clock.run(shop()) ? 0 : 1;
}

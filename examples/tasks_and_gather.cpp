// A task is a coroutine that runs when it is awaited, and gather runs several
// at once: three seconds of waiting take as long as the longest. The simulation
// is a scheduler whose clock jumps, so the program itself takes no time.

#include <penstock/async/gather.h>
#include <penstock/async/timeout.h>
#include <penstock/testing/simulation.h>

#include <chrono>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

using namespace penstock;
using namespace std::chrono_literals;

task<std::string> brew(std::string drink, duration time) {
  co_await sleep_for(time);
  co_return drink + " is ready";
}

task<int> count_words(std::string text) {
  co_await sleep_for(100ms);
  int words = 0;
  for (char c : text) words += c == ' ' ? 1 : 0;
  co_return words + 1;
}

task<bool> breakfast() {
  // Tasks of different types give a tuple …
  auto both = gather(brew("coffee", 3s), count_words("toast with butter and jam"));
  auto [coffee, words] = co_await std::move(both);
  std::cout << coffee << "; the order has " << words << " words\n";

  // … and any number of one type a vector, in the order they were given.
  std::vector<task<std::string>> drinks;
  drinks.push_back(brew("green tea", 2s));
  drinks.push_back(brew("black tea", 4s));
  drinks.push_back(brew("water", 0s));
  auto all = gather(std::move(drinks));
  std::vector<std::string> ready = co_await std::move(all);
  for (const std::string& drink : ready) std::cout << drink << "\n";
  co_return words == 5 && ready.size() == 3 && ready[2] == "water is ready";
}

int main() {
  penstock::testing::simulation clock;
  bool as_expected = clock.run(breakfast());
  std::chrono::duration<double> seconds = clock.elapsed();
  std::cout << "took " << seconds.count() << " s of virtual time, not 9.1\n";
  return as_expected && clock.elapsed() == 7s ? 0 : 1;
}

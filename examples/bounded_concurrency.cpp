// map_bounded calls a function for each item of a range, so many at a time, and
// gives the results in order. The range may be lazy and endless work behind it:
// an item is made when there is room for it, never before.

#include <penstock/async/map_bounded.h>
#include <penstock/async/timeout.h>
#include <penstock/testing/simulation.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <ranges>
#include <string>
#include <utility>
#include <vector>

using namespace penstock;
using namespace std::chrono_literals;

struct desk {
  int open = 0;
  int most_open = 0;
  int opened = 0;

  task<int> handle(int letter) {
    most_open = std::max(most_open, ++open);
    ++opened;
    co_await sleep_for(1s);
    --open;
    co_return letter* letter;
  }
};

task<bool> work_through(desk& d) {
  int made = 0;
  int most_ahead = 0;
  auto letters = std::views::iota(0, 20) | std::views::transform([&](int number) {
                   most_ahead = std::max(most_ahead, ++made - d.opened);
                   return number;
                 });
  auto all = map_bounded(letters, 4, [&](int letter) { return d.handle(letter); });
  std::vector<int> answers = co_await std::move(all);
  std::cout << answers.size() << " letters, at most " << d.most_open
            << " open at a time, none opened early; the last: " << answers.back() << "\n";
  co_return answers.size() == 20 && answers.back() == 361 && d.most_open == 4 && most_ahead == 1;
}

int main() {
  penstock::testing::simulation clock;
  desk d;
  bool as_expected = clock.run(work_through(d));
  std::cout << "took " << clock.elapsed() / 1s << " s of virtual time\n";
  return as_expected && clock.elapsed() == 5s ? 0 : 1;
}

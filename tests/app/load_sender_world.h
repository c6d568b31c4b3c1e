#pragma once

// Sending, in virtual time, to a server that is made up.

#include "app/load/sender.h"
#include <penstock/async/timeout.h>
#include <penstock/testing/simulation.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <unistd.h>

namespace penstock::app::load {

using namespace std::chrono_literals;

inline std::string all_stored(std::size_t items) {
  return R"({"stored":)" + std::to_string(items) + R"(,"rejected":0,"duplicates":0,"results":[]})";
}

// Gives `batches` batches of one item each, then posts them to what `serve` makes of the n-th attempt.
struct world {
  explicit world(std::size_t batch_count, const send_options& how = {}, duration each = 10ms)
      : batches(batch_count), options(how), latency(each) {}

  std::size_t batches;
  send_options options;
  std::function<attempt(std::size_t attempt_number)> serve = [](std::size_t) {
    return attempt{.status = 200, .body = all_stored(1)};
  };
  // Instead of `serve`, where it is set.
  std::function<attempt(const batch& sent)> serve_batch = {};
  std::size_t items_a_batch = 1;
  std::string padding = {};  // behind an item's number
  duration latency;

  std::size_t filled = 0;
  std::size_t attempts = 0;
  std::size_t in_flight = 0;
  std::size_t most_in_flight = 0;
  std::map<std::string, std::vector<std::string>> keys_by_item;
  std::filesystem::path rejects =
      std::filesystem::temp_directory_path() / ("load_sender_test." + std::to_string(getpid()) + ".ndjson");
  report result{{"file"}, rejects.string()};
  stop_flag reading;
  penstock::testing::simulation sim;

  ~world() { std::filesystem::remove(rejects); }

  bool fill(batch& into) {
    if (reading.is_set() || filled == batches) return false;
    into.clear();
    for (std::size_t i = 0; i < items_a_batch; ++i) {
      std::size_t number = filled * items_a_batch + i + 1;
      into.add(std::to_string(number) + padding, number);
    }
    ++filled;
    return true;
  }
  task<attempt> post(const batch& b, const std::string& key) {
    keys_by_item[std::string(b.text_of(0))].push_back(key);
    std::size_t number = ++attempts;
    most_in_flight = std::max(most_in_flight, ++in_flight);
    auto flight = sleep_for(latency);
    try {
      co_await flight;
    } catch (...) {
      --in_flight;
      throw;
    }
    --in_flight;
    co_return serve_batch ? serve_batch(b) : serve(number);
  }
  sender make() {
    return sender([this](batch& into) { return fill(into); },
                  [this](const batch& b, const std::string& key) { return post(b, key); }, options, result, reading);
  }
  void run() {
    sender s = make();
    sim.run(s.run());
    stopped = s.stopped_because();
  }
  std::string stopped;
};

// A server that fails for some of the items, while it is away for all, and notes how often.
struct upset_server {
  std::function<bool(int item, std::size_t attempts)> fails;
  world& w;

  attempt operator()(const batch& sent) const {
    for (std::size_t i = 0; i < sent.items.size(); ++i)
      if (fails(std::stoi(std::string(sent.text_of(i))), w.attempts))
        return attempt{.status = 503, .body = R"({"code":"db.other","detail":"upset"})"};
    return attempt{.status = 200, .body = all_stored(sent.items.size())};
  }
};

}  // namespace penstock::app::load

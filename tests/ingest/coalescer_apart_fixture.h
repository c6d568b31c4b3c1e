#pragma once

// A coalescer with a lane for what waits, and a store in which items can be locked.

#include "coalescer_fixture.h"
#include <penstock/async/gather.h>
#include <penstock/ingest/error.h>

#include <functional>
#include <map>
#include <set>

namespace penstock::ingest {

// A store that sets submissions with locked items apart, and gives these up at the last try. It numbers what it stores.
struct locking_store {
  duration latency = 10ms;
  std::map<std::string, duration> takes;  // of single items, longer than that
  std::set<std::string> locked;
  std::map<std::string, std::vector<std::int64_t>> stored;
  std::vector<std::vector<std::string>> tried;          // of all commits,
  std::vector<std::vector<std::string>> tried_in_lane;  // and of those in the lane
  std::function<bool()> fails = [] { return false; };
  std::function<bool()> runs_out_of_time = [] { return false; };
  std::int64_t last = 0;

  static std::string item(const batch& b, std::size_t row) { return std::string(b.rows.row(row)[0].text()); }

  task<void> commit(batch& b, bool in_lane) {
    duration longest = latency;
    for (std::size_t r = 0; r < b.rows.rows(); ++r)
      if (auto slow = takes.find(item(b, r)); slow != takes.end() && find_apart(b, r, r + 1) == nullptr)
        longest = std::max(longest, slow->second);
    co_await sleep_for(longest);
    if (fails()) throw std::runtime_error("disk on fire");
    std::vector<std::string> now;
    for (std::size_t r = 0; r < b.rows.rows(); ++r)
      if (find_apart(b, r, r + 1) == nullptr) now.push_back(item(b, r));
    (in_lane ? tried_in_lane : tried).push_back(now);
    b.report.rows.resize(b.rows.rows());
    std::set<std::uint64_t> waiting;
    bool out_of_time = runs_out_of_time();
    for (const batch_share& s : b.shares)
      for (std::size_t r = s.first; r < s.first + s.count; ++r)
        if (locked.contains(item(b, r)) && !s.last_try) waiting.insert(s.of);
    std::vector<rows_set_apart> apart;
    for (const batch_share& s : b.shares) {
      if (find_apart(b, s.first, s.first + s.count) != nullptr) continue;
      bool untried = out_of_time && !s.last_try;
      if (untried || waiting.contains(s.of)) {
        apart.push_back({s.first, s.count, {}, !untried});
        continue;
      }
      for (std::size_t r = s.first; r < s.first + s.count; ++r) {
        if (locked.contains(item(b, r)))
          apart.push_back({r, 1, std::make_exception_ptr(std::runtime_error("locked"))});
        else
          stored[item(b, r)].push_back(b.report.rows[r].id = ++last);
      }
    }
    b.apart.insert(b.apart.end(), apart.begin(), apart.end());
    std::sort(b.apart.begin(), b.apart.end(), [](const auto& x, const auto& y) { return x.first < y.first; });
  }

  std::size_t times_stored(const std::string& item) const {
    auto found = stored.find(item);
    return found == stored.end() ? 0 : found->second.size();
  }
};

inline coalescer_options lane_options(coalescer_options options) {
  options.commits_in_flight = 1;
  options.linger = 20ms;
  return options;
}

// A coalescer, and the lane for what waits.
struct two_lanes {
  coalescer lane;
  coalescer main;

  two_lanes(locking_store& store, const coalescer_options& options)
      : lane(
            1, [&store](batch& b) { return store.commit(b, true); }, lane_options(options)),
        main(
            1, [&store](batch& b) { return store.commit(b, false); }, options) {
    main.set_lane(lane);
  }
  void expect_nothing_left() const {
    EXPECT_EQ(main.stats().queued_rows, 0u);
    EXPECT_EQ(main.stats().queued_bytes, 0u);
    EXPECT_EQ(main.stats().rows_apart, 0u);
  }
};

template <class Body>
void with_locks(locking_store& store, const coalescer_options& options, Body body) {
  penstock::testing::simulation sim;
  auto main = [&]() -> task<> {
    two_lanes both(store, options);
    co_await with_task_group([&](task_group& group) -> task<> {
      group.start(both.main.run(), "coalescer");
      group.start(both.lane.run(), "lane");
      co_await body(both.main);
      both.main.stop();
    });
    both.expect_nothing_left();
  };
  sim.run(main());
}

inline task<void> unlock_after(duration wait, locking_store& store) {
  co_await sleep_for(wait);
  store.locked.clear();
}

// The outcomes of some items in their order: their ids, or -1 of those that failed.
inline task<std::vector<std::int64_t>> ids_of(coalescer& to, std::vector<std::string> list, duration pace = 0ms) {
  submission s(to);
  std::vector<std::int64_t> ids;
  auto take = [&](const db::row_outcome& o, const db::row_refusal*, const std::exception_ptr* failure) {
    ids.push_back(failure == nullptr ? o.id : -1);
  };
  for (const std::string& item : list) {
    while (s.should_wait()) {
      co_await s.wait_for_room();
      s.collect(take);
    }
    if (s.is_in_vain()) {
      s.add_failed();
    } else {
      db::row_batch& rows = s.rows();
      rows.add_text(item);
      rows.commit_row();
      s.row_added();
    }
    if (pace > duration::zero()) co_await sleep_for(pace);
  }
  co_await s.committed();
  s.collect(take);
  EXPECT_EQ(s.outstanding(), 0u);
  co_return ids;
}

inline task<duration> time_of(coalescer& to, std::string item) {
  time_point begun = scheduler::current().now();
  std::vector<std::string> one(1, item);
  task<std::vector<std::int64_t>> storing = ids_of(to, std::move(one));
  std::vector<std::int64_t> ids = co_await std::move(storing);
  EXPECT_GT(ids.at(0), 0) << item;
  co_return scheduler::current().now() - begun;
}

}  // namespace penstock::ingest

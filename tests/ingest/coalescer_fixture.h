#pragma once

// A coalescer in virtual time, a store that it commits to, and clients that submit to it.

#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/ingest/coalescer.h>
#include <penstock/testing/simulation.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace penstock::ingest {

using namespace std::chrono_literals;

// A database that takes some time for each batch and remembers what it got.
struct fake_store {
  duration latency = 10ms;
  std::optional<duration> of_the_first;
  duration of_a_row{};
  std::vector<std::vector<std::string>> batches;
  std::vector<bool> wanted_ids;  // of each batch
  bool fails = false;

  coalescer::commit_function commit() {
    return [this](batch& b) { return store(b.rows, b.report); };
  }
  task<void> store(const db::row_batch& rows, db::batch_report& report) {
    duration fixed = std::exchange(of_the_first, {}).value_or(latency);
    co_await sleep_for(fixed + of_a_row * rows.rows());
    if (fails) throw std::runtime_error("disk on fire");
    wanted_ids.push_back(report.wants_ids);
    auto& stored = batches.emplace_back();
    report.rows.resize(rows.rows());
    for (std::size_t i = 0; i < rows.rows(); ++i) stored.emplace_back(rows.row(i)[0].text());
  }
};

// GCC 12 can't put a braced list into a coroutine's frame.
template <class... Text>
std::vector<std::string> items(Text... text) {
  std::vector<std::string> list;
  (list.emplace_back(text), ...);
  return list;
}

struct tally {
  int stored = 0;
  int failed = 0;
};

inline task<tally> submit(coalescer& to, std::vector<std::string> list, bool wants_ids = true) {
  submission s(to, wants_ids);
  tally t;
  auto count = [&](const db::row_outcome&, const db::row_refusal*, const std::exception_ptr* failure) {
    ++(failure == nullptr ? t.stored : t.failed);
  };
  for (const std::string& item : list) {
    while (s.should_wait()) {
      co_await s.wait_for_room();
      s.collect(count);
    }
    db::row_batch& rows = s.rows();
    rows.add_text(item);
    rows.commit_row();
    s.row_added();
  }
  co_await s.committed();
  s.collect(count);
  EXPECT_EQ(s.outstanding(), 0u);
  co_return t;
}

template <class Body>
void with_coalescer(fake_store& store, const coalescer_options& options, Body body) {
  penstock::testing::simulation sim;
  auto main = [&]() -> task<> {
    coalescer c(1, store.commit(), options);
    co_await with_task_group([&](task_group& group) -> task<> {
      group.start(c.run(), "coalescer");
      co_await body(c);
      c.stop();
    });
    EXPECT_EQ(c.stats().queued_rows, 0u);
    EXPECT_EQ(c.stats().queued_bytes, 0u);
  };
  sim.run(main());
}

}  // namespace penstock::ingest

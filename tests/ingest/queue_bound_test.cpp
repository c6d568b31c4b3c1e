// The queue's bounds hold however many requests were let in before it was full.

#include "marked_database.h"
#include "service_fixture.h"
#include <penstock/async/gather.h>
#include <penstock/ingest/processor.h>
#include <penstock/testing/simulation.h>

#include <algorithm>

namespace penstock::ingest {
namespace {

class queue_bound : public service_test {
 protected:
  queue_bound() : server_(std::make_shared<marked_server>()) {
    server_->pause = [this](const std::string& what) {
      most_rows_ = std::max(most_rows_, gauge("penstock_queue_rows"));
      most_bytes_ = std::max(most_bytes_, gauge("penstock_queue_bytes"));
      return what.starts_with("ROWS") ? duration(50ms) : duration(1ms);
    };
  }

  double gauge(const std::string& name) const {
    std::string page = registry_.render();
    std::size_t at = page.find("\n" + name + "{");
    return at == std::string::npos ? 0 : std::stod(page.substr(page.find(' ', at)));
  }
  void expect_bounded(const coalescer_options& bounds, std::size_t bytes_of_a_row) const {
    EXPECT_GT(most_rows_, 0);
    EXPECT_LE(most_rows_, static_cast<double>(bounds.queue_rows));
    EXPECT_LE(most_bytes_, static_cast<double>(bounds.queue_bytes + bytes_of_a_row));
  }

  std::shared_ptr<marked_server> server_;
  double most_rows_ = 0;
  double most_bytes_ = 0;
};

TEST_F(queue_bound, holds_for_requests_whose_heads_came_before_it_was_full) {
  service_options options = options_of(whole_items());
  options.batch.queue_rows = 4;
  options.batch.queue_bytes = 12'000;
  const std::string body = '"' + std::string(5'000, 'x') + '"';
  serve(db::database(std::make_shared<marked_driver>(server_)), options, [&]() -> task<void> {
    event all_begun;
    std::size_t begun = 0;
    auto one = [&]() -> task<answer> {
      task<answer> posting = post_when(all_begun, begun, "/v1/items", body);
      co_return co_await std::move(posting);
    };
    auto start = [&]() -> task<answer> {
      while (begun < 20) co_await yield();
      all_begun.set();
      co_return answer{200, "", ""};
    };
    std::vector<task<answer>> all;
    for (int i = 0; i < 20; ++i) all.push_back(one());
    all.push_back(start());
    auto asking = gather(std::move(all));
    std::vector<answer> answers = co_await std::move(asking);
    for (const answer& a : answers) EXPECT_EQ(a.status, 200) << a.body;
  });
  expect_bounded(options.batch, body.size() + 32);
}

TEST_F(queue_bound, holds_for_batches_of_a_processor) {
  processor_options options;
  options.max_batches = 20;
  options.commits.queue_rows = 4;
  auto step = [](std::string item) -> task<std::string> {
    co_await sleep_for(1ms);
    co_return item;
  };
  penstock::testing::simulation sim;
  auto main = [&]() -> task<void> {
    processor p(db::database(std::make_shared<marked_driver>(server_)), options, step, &registry_);
    co_await p.open();
    std::vector<task<batch_result>> all;
    for (int i = 0; i < 20; ++i) all.push_back(p.process({"1", "2"}));
    auto processing = gather(std::move(all));
    co_await std::move(processing);
    EXPECT_EQ(p.processed_count(), 40u);
    co_await p.close();
  };
  sim.run(main());
  expect_bounded(options.commits, 100);
}

}  // namespace
}  // namespace penstock::ingest

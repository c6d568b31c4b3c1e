// Answers that name very many items: what they take, and whom they hold up.

#include "ingest/long_answers.h"

#include "ingest/idempotency_table.h"
#include "ingest/write_batch.h"
#include "marked_database.h"
#include "service_fixture.h"
#include <penstock/async/gather.h>
#include <penstock/testing/simulation.h>

#include <algorithm>

namespace penstock::ingest {
namespace {

constexpr std::size_t mebibyte = std::size_t{1} << 20;

// Counts the turns of the loop while `body` runs, one for each time that others get.
task<void> while_counting(std::size_t& turns, task<void> body) {
  task_group beside;
  auto count = [&turns]() -> task<void> {
    for (;; ++turns) co_await sleep_for(duration::zero());
  };
  beside.start_background(count(), "turns");
  co_await std::move(body);
  co_await beside.join();
}

TEST(long_answers, come_one_a_turn_of_the_loop) {
  penstock::testing::simulation sim;
  std::size_t turns = 0;
  std::vector<std::size_t> made_in;
  auto main = [&]() -> task<void> {
    long_answers answers;
    auto answer = [&]() -> task<void> {
      task<void> waiting = answers.turn();
      co_await std::move(waiting);
      made_in.push_back(turns);
    };
    auto all = [&]() -> task<void> {
      task_group answering;
      for (int i = 0; i < 5; ++i) answering.start(answer());
      co_await answering.join();
    };
    task<void> counting = while_counting(turns, all());
    co_await std::move(counting);
  };
  sim.run(main());
  ASSERT_EQ(made_in.size(), 5u);
  for (std::size_t i = 1; i < made_in.size(); ++i) EXPECT_GT(made_in[i], made_in[i - 1]);
}

TEST(long_answers, of_a_batch_are_rendered_with_turns_between_and_inserted_in_parts) {
  auto server = std::make_shared<marked_server>();
  server->latency = duration::zero();  // of time, which stands still while turns are counted
  std::size_t turns = 0;
  std::vector<std::size_t> rendered_in;
  penstock::testing::simulation sim;
  auto main = [&]() -> task<void> {
    coalescer home(1, [](batch&) -> task<void> { co_return; });
    batch b(home, 1);
    for (int i = 0; i < 10; ++i) {
      b.rows.add_text("1");
      b.rows.commit_row();
      auto with = std::make_shared<keyed_request>();
      with->key = std::to_string(i);
      with->answer = [&](const db::batch_report&, std::size_t, std::size_t) {
        rendered_in.push_back(turns);
        return kept_answer{"", 200, std::string(mebibyte, 'x'), true};
      };
      b.groups.push_back({static_cast<std::size_t>(i), 1, std::move(with)});
    }
    marked_connection session(server);
    db::table_definition into;
    into.name = "items";
    const std::string stream = "items";
    commit_outcome outcome;
    task<void> counting = while_counting(turns, write_batch(session, into, stream, b, outcome));
    co_await std::move(counting);
    EXPECT_EQ(outcome.made.back().body.size(), mebibyte);
    b.groups.clear();
  };
  sim.run(main());
  ASSERT_EQ(rendered_in.size(), 10u);
  for (std::size_t i = 1; i < rendered_in.size(); ++i) EXPECT_GT(rendered_in[i], rendered_in[i - 1]) << i;
  auto insertions = std::count(server->operations.begin(), server->operations.end(), "ROWS penstock_idempotency");
  EXPECT_EQ(insertions, 3) << "of four, four and two answers";
}

class long_answers_of_a_service : public service_test {
 protected:
  long_answers_of_a_service() {
    for (int i = 0; i < 9'999; ++i) bad_ += "{\"a\":broken\n";
  }
  double gauge(const std::string& name) const {
    std::string page = registry_.render();
    std::size_t at = page.find("\n" + name + "{");
    return at == std::string::npos ? 0 : std::stod(page.substr(page.find(' ', at)));
  }
  task<answer> post_lines(std::string lines, std::string key = {}) {
    header_list more;
    if (!key.empty()) more.emplace_back("Idempotency-Key", std::move(key));
    task<answer> posting = post("/v1/items", std::move(lines), "application/x-ndjson", std::move(more));
    co_return co_await std::move(posting);
  }

  std::string bad_;
};

TEST_F(long_answers_of_a_service, count_for_what_a_batch_holds) {
  auto server = std::make_shared<marked_server>();
  event unlocked;
  bool is_first = true;
  server->barrier = [&](const std::string& what) {
    return what == "ROWS processed_data" && std::exchange(is_first, false) ? &unlocked : nullptr;
  };
  service_options options = options_of(whole_items());
  options.batch.commits_in_flight = 1;
  serve(db::database(std::make_shared<marked_driver>(server)), options, [&]() -> task<void> {
    auto unlock_when_all_wait = [&]() -> task<answer> {
      while (gauge("penstock_queue_rows") < 8) co_await yield();
      unlocked.set();
      co_return answer{200, "", ""};
    };
    std::vector<task<answer>> all;
    all.push_back(post_lines("0\n"));
    for (int i = 1; i < 8; ++i) all.push_back(post_lines(bad_ + "1\n", "k" + std::to_string(i)));
    all.push_back(unlock_when_all_wait());
    auto posting = gather(std::move(all));
    std::vector<answer> answers = co_await std::move(posting);
    for (const answer& a : answers) EXPECT_EQ(a.status, 200);
    EXPECT_EQ(answers[7].json("/stored"), "1");
    EXPECT_EQ(answers[7].json("/rejected"), "9999");
  });
  auto batches = std::count(server->operations.begin(), server->operations.end(), "ROWS processed_data");
  EXPECT_GE(batches, 3) << "seven answers of a megabyte each take more than one batch of four";
}

TEST_F(long_answers_of_a_service, name_what_fits_into_a_bound_however_many_results_are_wanted) {
  service_options options = options_of(whole_items());
  options.max_results = 1'000'000;
  serve(options, [&]() -> task<void> {
    auto posting = post_lines(bad_ + bad_ + bad_ + "1\n");
    answer a = co_await std::move(posting);
    EXPECT_EQ(a.status, 200);
    EXPECT_EQ(a.json("/rejected"), "29997");
    EXPECT_EQ(a.json("/results_truncated"), "true");
    EXPECT_GT(a.body.size(), mebibyte);
    EXPECT_LT(a.body.size(), 2 * mebibyte);
  });
}

}  // namespace
}  // namespace penstock::ingest

// Sending to a server whose answers do not name all items that it rejected.

#include "load_sender_world.h"
#include <penstock/async/gather.h>

#include <fstream>

#include <gtest/gtest.h>

namespace penstock::app::load {
namespace {

// Rejects what is not divisible by three, and names so many.
struct terse_server {
  std::size_t most_named;
  bool says_which = true;
  std::vector<std::string> stored = {};
  std::vector<std::size_t> sizes = {};

  attempt operator()(const batch& sent) {
    sizes.push_back(sent.items.size());
    std::size_t good = 0;
    std::size_t bad = 0;
    std::string results;
    std::string unnamed;
    for (std::size_t i = 0; i < sent.items.size(); ++i) {
      std::string at = std::to_string(i);
      if (std::stoi(std::string(sent.text_of(i))) % 3 == 0) {
        ++good;
        stored.emplace_back(sent.text_of(i));
      } else if (bad++ < most_named) {
        results += (results.empty() ? "" : ",") + (R"({"index":)" + at) + R"(,"error":{"code":"x.bad"}})";
      } else {
        unnamed += (unnamed.empty() ? "[" : ",[") + at + "," + at + "]";
      }
    }
    std::string body = R"({"stored":)" + std::to_string(good) + R"(,"rejected":)" + std::to_string(bad) +
                       R"(,"duplicates":0,"results":[)" + results + "]";
    if (says_which && bad > most_named) body += ",\"unnamed\":[" + unnamed + "]";
    return {.status = 200, .body = body + "}"};
  }
};

std::size_t lines_with(const std::string& text, report& in) {
  in.finish(true, true);
  std::ifstream file(in.rejects_path());
  std::size_t count = 0;
  for (std::string line; std::getline(file, line);)
    if (line.find(text) != std::string::npos) ++count;
  return count;
}

TEST(load_sender, rejected_items_that_an_answer_does_not_name_go_again_alone) {
  world w(10, {.concurrency = 2});
  w.items_a_batch = 60;
  terse_server server{.most_named = 12};
  w.serve_batch = std::ref(server);
  w.run();
  EXPECT_EQ(w.result.counts().stored, 200u);
  EXPECT_EQ(w.result.counts().rejected, 400u);
  EXPECT_EQ(w.result.counts().unnamed, 0u);
  EXPECT_EQ(server.stored.size(), 200u) << "each good item once";
  EXPECT_EQ(lines_with("\"code\":\"x.bad\"", w.result), 400u);
  EXPECT_LE(std::count(server.sizes.begin(), server.sizes.end(), std::size_t{60}), 2) << "fewer at a time from then on";
}

TEST(load_sender, fewer_items_go_at_a_time_where_an_answer_does_not_say_which_were_rejected) {
  world w(10, {.concurrency = 1});
  w.items_a_batch = 60;
  terse_server server{.most_named = 20, .says_which = false};
  w.serve_batch = std::ref(server);
  w.run();
  EXPECT_EQ(w.result.counts().rejected, 400u);
  EXPECT_EQ(w.result.counts().unnamed, 20u);
  EXPECT_EQ(server.stored.size(), 200u);
  EXPECT_EQ(lines_with("\"code\":\"x.bad\"", w.result), 380u);
}

TEST(load_sender, a_server_that_never_says_why_has_each_rejected_item_named_all_the_same) {
  world w(1, {.concurrency = 1});
  w.items_a_batch = 30;
  terse_server server{.most_named = 0};
  w.serve_batch = std::ref(server);
  w.run();
  EXPECT_EQ(w.result.counts().stored, 10u);
  EXPECT_EQ(w.result.counts().rejected, 20u);
  EXPECT_EQ(w.result.counts().unnamed, 0u);
  EXPECT_EQ(lines_with("\"code\":\"load.rejected\"", w.result), 20u);
}

TEST(load_sender, rejected_items_that_go_again_count_once_when_the_load_ends) {
  for (bool stopped : {true, false}) {
    world w(1, {.concurrency = 1}, 1s);
    w.items_a_batch = 60;
    terse_server server{.most_named = 12};
    w.serve_batch = std::ref(server);
    sender s = w.make();
    auto end_it = [&]() -> task<> {
      auto soon = sleep_for(1500ms);
      co_await soon;
      s.stop("enough");
    };
    if (stopped)
      w.sim.run(gather(s.run(), end_it()));
    else
      EXPECT_THROW(w.sim.run(with_timeout(1500ms, s.run())), timed_out);
    const totals& t = w.result.counts();
    EXPECT_EQ(t.stored, 20u);
    EXPECT_EQ(t.items(), 60u);
    EXPECT_EQ(w.attempts, 2u);
    EXPECT_EQ(lines_with("", w.result), 40u);
  }
}

}  // namespace
}  // namespace penstock::app::load

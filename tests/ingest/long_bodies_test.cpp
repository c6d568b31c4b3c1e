// Bodies with very much in them, of which nothing waits: whom they hold up.

#include "service_fixture.h"

#include <optional>
#include <string>
#include <utility>

namespace penstock::ingest {
namespace {

class long_bodies : public service_test {
 protected:
  // How many requests are answered, one after another, while one with this body is.
  task<int> others_answered_beside(std::string body, header_list more) {
    std::optional<answer> first;
    int others = 0;
    co_await with_task_group([&](task_group& group) -> task<void> {
      auto asking_for_others = [&]() -> task<void> {
        for (; !first; ++others) {
          auto asking = get("/nowhere");
          EXPECT_EQ((co_await std::move(asking)).status, 404);
        }
      };
      group.start(asking_for_others(), "others");
      auto asking = post("/v1/items", std::move(body), "application/x-ndjson", std::move(more));
      first = co_await std::move(asking);
      EXPECT_EQ(first->status, 200) << first->body;
    });
    co_return others;
  }
};

// The lines are blank, so that none of them waits for anything.
TEST_F(long_bodies, that_expand_to_very_much_let_others_be_answered) {
  service_options options = options_of(whole_items());
  options.max_body_bytes = std::uint64_t{1} << 30;
  serve(options, [&]() -> task<void> {
    header_list coded;
    coded.emplace_back("Content-Encoding", "zstd");
    task<int> asking = others_answered_beside(zstd(std::string(std::size_t{128} << 20, '\n')), std::move(coded));
    EXPECT_GE(co_await std::move(asking), 100);
  });
}

TEST_F(long_bodies, are_committed_at_once_where_they_come_at_once) {
  std::string lines;
  for (int i = 0; i < 100; ++i) lines += "1\n";
  service_options options = options_of(whole_items());
  options.batch.linger = std::chrono::minutes(1);  // however slow this machine is
  serve(options, [&]() -> task<void> {
    for (int i = 0; i < 3; ++i) {
      auto asking = post("/v1/items", lines, "application/x-ndjson");
      EXPECT_EQ((co_await std::move(asking)).json("/stored"), "100");
    }
    EXPECT_EQ(registry_.histogram("penstock_batch_rows", "", metrics::count_buckets(), {{"stream", "items"}}).count(),
              3u);
  });
}

TEST_F(long_bodies, of_very_many_items_let_others_be_answered) {
  std::string lines;
  for (int i = 0; i < 1'000'000; ++i) lines += "x\n";
  serve(options_of(whole_items()), [&]() -> task<void> {
    task<int> asking = others_answered_beside(lines, {});
    EXPECT_GE(co_await std::move(asking), 80);
  });
}

}  // namespace
}  // namespace penstock::ingest

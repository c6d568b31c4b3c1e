#include "ingest/idempotency_table.h"

#include <penstock/net/event_loop.h>

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace penstock::ingest {
namespace {

constexpr const char* long_ago = "2001-01-01T00:00:00.000000Z";
constexpr const char* far_ahead = "2999-01-01T00:00:00.000000Z";

// Consecutive answers of one time.
struct answers_of {
  int count;
  const char* when;
};

struct forgetting {
  std::vector<bool> more;  // what each call said
  std::int64_t left = 0;
};

// Calls it so often on a table of these answers.
task<forgetting> forget(std::vector<answers_of> table, int calls, duration retention = std::chrono::hours(24)) {
  db::database memory("sqlite::memory:");
  task<std::unique_ptr<db::connection>> connecting = memory.connect();
  std::unique_ptr<db::connection> session = co_await std::move(connecting);
  co_await session->prepare_table(idempotency_table());
  co_await session->begin();
  int key = 0;
  for (const answers_of& some : table) {
    for (int i = 0; i < some.count; ++i) {
      task<std::uint64_t> inserting = session->execute(
          "INSERT INTO penstock_idempotency (stream, request_key, request_hash, status, answer, created_at) "
          "VALUES ('items', ?, 'h', 200, '', ?)",
          db::parameters_of(std::to_string(key++), some.when));
      co_await std::move(inserting);
    }
  }
  co_await session->commit();
  forgetting seen;
  std::int64_t after = 0;
  for (int i = 0; i < calls; ++i) {
    task<bool> one = forget_some_answers(*session, retention, after);
    seen.more.push_back(co_await std::move(one));
  }
  task<db::result> counting = session->query("SELECT count(*) FROM penstock_idempotency");
  seen.left = std::get<std::int64_t>((co_await std::move(counting)).rows[0][0]);
  co_return seen;
}

TEST(idempotency_table, answers_are_forgotten_a_few_at_a_time_once_they_are_old) {
  std::vector<answers_of> table{{1'000, long_ago}, {100, far_ahead}};
  forgetting seen = net::run(forget(table, 4));
  EXPECT_EQ(seen.more, (std::vector<bool>{true, true, false, false}));
  EXPECT_EQ(seen.left, 100);
}

TEST(idempotency_table, answers_of_a_clock_that_was_ahead_do_not_keep_those_behind_them) {
  for (int ahead : {1, 500, 1'200}) {
    std::vector<answers_of> table{{ahead, far_ahead}, {1'300, long_ago}};
    forgetting seen = net::run(forget(table, 6));
    EXPECT_EQ(seen.left, ahead);
    std::vector<bool> in_one_go(seen.more.begin(), seen.more.begin() + (ahead + 1'300) / 500);
    EXPECT_EQ(in_one_go, std::vector<bool>(in_one_go.size(), true)) << ahead;
  }
}

TEST(idempotency_table, young_answers_are_not_looked_through) {
  std::vector<answers_of> table{{2'000, long_ago}};
  forgetting seen = net::run(forget(table, 1, std::chrono::hours(24 * 365 * 200)));
  EXPECT_EQ(seen.more, std::vector<bool>{false});
  EXPECT_EQ(seen.left, 2'000);
}

TEST(idempotency_table, an_answer_is_read_only_for_the_request_that_it_was_given_to) {
  auto body = []() -> task<> {
    db::database memory("sqlite::memory:");
    std::unique_ptr<db::connection> session = co_await memory.connect();
    co_await session->prepare_table(idempotency_table());
    const std::string stream = "items";
    db::row_batch rows(idempotency_table().columns.size());
    for (const char* key : {"same", "another"}) add_kept_answer(rows, stream, key, {"its hash", 200, "its answer"});
    db::batch_report kept;
    co_await session->begin();
    co_await session->insert_rows(idempotency_table(), rows, kept);
    std::vector<batch_group> groups;
    for (const char* key : {"unknown", "another", "same"}) {
      groups.push_back({0, 0, std::make_shared<keyed_request>()});
      groups.back().with->key = key;
      groups.back().with->hash = "its hash";
    }
    groups[1].with->hash = "of another request";
    auto looking = find_kept_answers(*session, stream, groups);
    std::vector<std::optional<kept_answer>> found = co_await std::move(looking);
    EXPECT_FALSE(found.at(0).has_value());
    EXPECT_EQ(found.at(1).value().request_hash, "its hash");
    EXPECT_EQ(found.at(1).value().body, "");
    EXPECT_EQ(found.at(2).value().body, "its answer");
  };
  net::run(body());
}

}  // namespace
}  // namespace penstock::ingest

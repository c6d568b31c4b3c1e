// What the service tells when its table is upset by an item, or its disk refuses a commit.

#include "failing_writes.h"
#include "service_fixture.h"
#include <penstock/async/gather.h>
#include <penstock/observe/log_capture.h>

#include <map>
#include <string>
#include <vector>

namespace penstock::ingest {

using store_failures = service_test;

// A load balancer would take the service away from all others.
TEST_F(store_failures, one_item_that_upsets_the_table_does_not_make_the_service_unready) {
  log::capture quiet;
  serve(options_of(whole_items()), [&]() -> task<void> {
    EXPECT_EQ(sql("CREATE TRIGGER g BEFORE INSERT ON processed_data WHEN new.data LIKE '13%' BEGIN "
                  "SELECT RAISE(ROLLBACK, 'upset'); END"),
              "");
    struct step {
      std::string item;
      int answer, readiness;
    };
    const std::vector<step> steps = {{"13", 503, 200}, {"13", 503, 200}, {"131", 503, 503},
                                     {"13", 503, 503}, {"1", 200, 200},  {"131", 503, 200}};
    for (const step& s : steps) {
      auto asking = post("/v1/items", s.item);
      answer got = co_await std::move(asking);
      EXPECT_EQ(got.status, s.answer) << got.body;
      auto probing = get("/readyz");
      EXPECT_EQ((co_await std::move(probing)).status, s.readiness) << s.item;
    }
  });
}

// A client that got 503 may send it again in ever smaller requests, as `penstock load` does.
TEST_F(store_failures, an_item_that_upsets_the_table_in_one_request_after_another_is_one) {
  log::capture quiet;
  serve(options_of(whole_items()), [&]() -> task<void> {
    sql("CREATE TRIGGER g BEFORE INSERT ON processed_data WHEN new.data LIKE '13%' BEGIN "
        "SELECT RAISE(ROLLBACK, 'upset'); END");
    int number = 0;
    auto post_with_key = [&](std::string body) {
      header_list key = {{"Idempotency-Key", "\"k" + std::to_string(++number) + "\""}};
      return post("/v1/items", std::move(body), "application/json", std::move(key));
    };
    struct step {
      std::string items;
      int readiness;
    };
    const std::vector<step> steps = {{"[1,13,2,3]", 200}, {"[1,13]", 200}, {"[13]", 200}, {"[1,131]", 503}};
    for (const step& s : steps) {
      auto asking = post_with_key(s.items);
      EXPECT_EQ((co_await std::move(asking)).status, 503) << s.items;
      auto probing = get("/readyz");
      EXPECT_EQ((co_await std::move(probing)).status, s.readiness) << s.items;
    }
  });
}

TEST_F(store_failures, one_request_with_a_key_that_upsets_the_table_does_not_make_the_service_unready) {
  log::capture quiet;
  serve(options_of(whole_items()), [&]() -> task<void> {
    sql("CREATE TRIGGER g BEFORE INSERT ON processed_data WHEN new.data = '13' BEGIN SELECT RAISE(ROLLBACK, 'upset'); "
        "END");
    header_list key = {{"Idempotency-Key", "\"k\""}};
    auto asking = post("/v1/items", "[1,2,13,4]", "application/json", key);
    answer refused = co_await std::move(asking);
    EXPECT_EQ(refused.status, 503) << refused.body;
    auto probing = get("/readyz");
    EXPECT_EQ((co_await std::move(probing)).status, 200);
  });
}

// Of which nothing becomes a row: its key is looked up by itself.
TEST_F(store_failures, a_request_whose_key_can_not_be_looked_up_gets_the_databases_code) {
  log::capture said;
  serve(options_of(orders()), [&]() -> task<void> {
    EXPECT_EQ(sql("DROP TABLE penstock_idempotency"), "");
    for (const char* items : {"[{}]", R"([{"number":1}])"}) {
      auto asking = post("/v1/orders", items, "application/json", {{"Idempotency-Key", "\"k\""}});
      answer refused = co_await std::move(asking);
      EXPECT_EQ(refused.status, 503) << items;
      EXPECT_EQ(refused.json("/code"), R"("db.syntax")") << refused.body;
      EXPECT_EQ(refused.header("Retry-After"), "1");
    }
  });
}

// `penstock load` would reject an item that was never tried.
TEST_F(store_failures, items_that_are_not_tried_since_all_others_failed_get_a_code_of_their_own) {
  log::capture quiet;
  service_options options = options_of(whole_items());
  options.batch.linger = std::chrono::seconds(60);
  options.batch.max_rows = 40;
  serve(options, [&]() -> task<void> {
    sql("CREATE TRIGGER g BEFORE INSERT ON processed_data BEGIN SELECT RAISE(ROLLBACK, 'upset'); END");
    std::vector<task<answer>> all;
    for (int i = 0; i < 40; ++i) all.push_back(post("/v1/items", std::to_string(i)));
    task<std::vector<answer>> gathering = gather(std::move(all));
    std::vector<answer> answers = co_await std::move(gathering);
    std::map<std::string, int> codes;
    for (const answer& a : answers) ++codes[a.json("/code")];
    EXPECT_EQ(codes[R"("db.other")"], 16);
    EXPECT_EQ(codes[R"("ingest.commit_failed")"], 24);
  });
}

TEST_F(store_failures, a_commit_that_the_disk_refuses_is_tried_again_and_stored_once) {
  log::capture quiet;
  failing_writes disk;
  serve(db::database("sqlite:" + database_file()), options_of(whole_items()), [&]() -> task<void> {
    disk.fail_next(3);
    auto asking = post("/v1/items", "1");
    answer stored = co_await std::move(asking);
    EXPECT_EQ(stored.status, 200) << stored.body;
    EXPECT_EQ(disk.left(), 0);
  });
  EXPECT_EQ(sql("SELECT count(*) FROM processed_data"), "1");
}

TEST_F(store_failures, of_a_commit_that_the_disk_goes_on_refusing_nobody_is_told_that_it_is_not_stored) {
  log::capture quiet;
  failing_writes disk;
  service_options options = options_of(whole_items());
  options.batch.commit_retry = std::chrono::milliseconds(1);
  serve(db::database("sqlite:" + database_file()), options, [&]() -> task<void> {
    disk.fail_next(1'000'000);
    auto asking = post("/v1/items", "1");
    answer refused = co_await std::move(asking);
    EXPECT_EQ(refused.status, 503);
    EXPECT_EQ(refused.json("/code"), R"("ingest.outcome_unknown")") << refused.body;
    disk.fail_next(0);
    auto again = post("/v1/items", "2");
    EXPECT_EQ((co_await std::move(again)).status, 200);
  });
  EXPECT_EQ(sql("SELECT group_concat(data) FROM processed_data"), "2");
}

}  // namespace penstock::ingest

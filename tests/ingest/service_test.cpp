#include "service_fixture.h"
#include <penstock/async/gather.h>
#include <penstock/async/map_bounded.h>
#include <penstock/db/error.h>
#include <penstock/ingest/error.h>
#include <penstock/observe/log_capture.h>

namespace penstock::ingest {

TEST_F(service_test, a_single_item_is_answered_once_it_is_in_the_table) {
  serve(options_of(whole_items()), [&]() -> task<void> {
    auto asking = post("/v1/items", R"( {"a": 1} )");
    answer a = co_await std::move(asking);
    EXPECT_EQ(a.status, 200);
    EXPECT_EQ(a.body, "{\"stored\":1,\"rejected\":0,\"duplicates\":0,\"results\":[]}\n");
    EXPECT_EQ(sql("SELECT data FROM processed_data WHERE id = 1"), R"({"a": 1})");
    EXPECT_EQ(sql("SELECT created_at LIKE '20__-__-__T__:__:__.______Z' FROM processed_data"), "1");
  });
}

TEST_F(service_test, all_results_are_given_when_asked_for) {
  serve(options_of(orders()), [&]() -> task<void> {
    auto asking = post("/v1/orders?results=all", R"([{"number":7},{"number":"x"},{"number":7},{"number":8}])");
    answer a = co_await std::move(asking);
    EXPECT_EQ(a.status, 200);
    EXPECT_EQ(a.json("/stored"), "2");
    EXPECT_EQ(a.json("/rejected"), "1");
    EXPECT_EQ(a.json("/duplicates"), "1");
    EXPECT_EQ(a.json("/results/0"), R"({"index":0,"line":1,"status":"stored","id":1})");
    EXPECT_EQ(a.json("/results/1/status"), R"("rejected")");
    EXPECT_EQ(a.json("/results/1/error/code"), R"("item.type")");
    EXPECT_EQ(a.json("/results/1/error/pointer"), R"("/number")");
    EXPECT_EQ(a.json("/results/2/status"), R"("duplicate")");
    EXPECT_EQ(a.json("/results/3/status"), R"("stored")");
  });
}

TEST_F(service_test, a_mapped_item_becomes_typed_columns) {
  serve(options_of(orders()), [&]() -> task<void> {
    auto asking = post(
        "/v1/orders", R"({"number":1,"sum":{"total":2.5},"paid":true,"at":"2026-01-31T10:00:00+01:00","note":"café"})");
    answer a = co_await std::move(asking);
    EXPECT_EQ(a.status, 200) << a.body;
    EXPECT_EQ(sql("SELECT total || '|' || paid || '|' || at || '|' || note FROM orders"),
              "2.5|1|2026-01-31T09:00:00.000000Z|café");
  });
}

TEST_F(service_test, a_single_rejected_item_is_a_422_that_names_the_place) {
  serve(options_of(orders()), [&]() -> task<void> {
    auto asking = post("/v1/orders", R"({"sum":{}})");
    answer missing = co_await std::move(asking);
    EXPECT_EQ(missing.status, 422);
    EXPECT_EQ(missing.header("Content-Type"), "application/problem+json");
    EXPECT_EQ(missing.json("/code"), R"("item.missing")");
    EXPECT_EQ(missing.json("/pointer"), R"("/number")");
    auto again = post("/v1/orders", R"({"number":1,})");
    answer broken = co_await std::move(again);
    EXPECT_EQ(broken.status, 422);
    EXPECT_EQ(broken.json("/code"), R"("item.syntax")");
    EXPECT_EQ(broken.json("/offset"), "12");
    EXPECT_EQ(sql("SELECT count(*) FROM orders"), "0");
  });
}

TEST_F(service_test, a_single_rejected_item_is_a_422_also_where_no_results_are_wanted) {
  service_options options = options_of(whole_items());
  options.max_results = 0;
  serve(options, [&]() -> task<void> {
    auto posting = post("/v1/items", "{\"a\":");
    answer a = co_await std::move(posting);
    EXPECT_EQ(a.status, 422);
    EXPECT_EQ(a.json("/code"), "\"item.syntax\"");
  });
}

TEST_F(service_test, a_broken_line_of_ndjson_harms_no_other) {
  serve(options_of(whole_items()), [&]() -> task<void> {
    std::string body;
    for (int i = 1; i <= 10; ++i) body += i == 7 ? "{\"n\":\n" : "{\"n\":" + std::to_string(i) + "}\n";
    auto asking = post("/v1/items", body, "application/x-ndjson");
    answer a = co_await std::move(asking);
    EXPECT_EQ(a.status, 200);
    EXPECT_EQ(a.json("/stored"), "9");
    EXPECT_EQ(a.json("/rejected"), "1");
    EXPECT_EQ(a.json("/results/0/index"), "6");
    EXPECT_EQ(a.json("/results/0/line"), "7");
    EXPECT_EQ(a.json("/results/0/error/code"), R"("item.syntax")");
  });
}

TEST_F(service_test, what_stands_before_the_break_in_an_array_is_stored_and_said_to_be) {
  serve(options_of(whole_items()), [&]() -> task<void> {
    auto asking = post("/v1/items", "[1,\n2,\n3 4]");
    answer a = co_await std::move(asking);
    EXPECT_EQ(a.status, 400);
    EXPECT_EQ(a.json("/code"), R"("ingest.malformed_body")");
    EXPECT_EQ(a.json("/line"), "3");
    EXPECT_EQ(std::to_string(std::stoi(a.json("/stored"))), sql("SELECT count(*) FROM processed_data"));
  });
}

TEST_F(service_test, a_row_that_the_database_refuses_is_rejected_alone) {
  sql("CREATE TABLE orders (id INTEGER PRIMARY KEY, number INTEGER UNIQUE, total REAL CHECK (total < 100), paid "
      "INTEGER, at TEXT, note TEXT, raw TEXT)");
  serve(options_of(orders()), [&]() -> task<void> {
    auto asking =
        post("/v1/orders", R"([{"number":1,"sum":{"total":1}},{"number":2,"sum":{"total":100}},{"number":3}])");
    answer a = co_await std::move(asking);
    EXPECT_EQ(a.status, 200);
    EXPECT_EQ(a.json("/stored"), "2");
    EXPECT_EQ(a.json("/results/0/index"), "1");
    EXPECT_EQ(a.json("/results/0/error/code"), R"("db.constraint")");
    EXPECT_EQ(sql("SELECT group_concat(number) FROM orders"), "1,3");
  });
}

TEST_F(service_test, compressed_bodies_are_read) {
  serve(options_of(whole_items()), [&]() -> task<void> {
    std::string body;
    for (int i = 0; i < 5000; ++i) body += "{\"n\":" + std::to_string(i) + "}\n";
    header_list coded;
    coded.emplace_back("Content-Encoding", "gzip");
    auto gzipped = post("/v1/items", gzip(body), "application/x-ndjson", coded);
    answer a = co_await std::move(gzipped);
    EXPECT_EQ(a.json("/stored"), "5000") << a.body;
    coded[0].second = "zstd";
    auto zstded = post("/v1/items", zstd(body), "application/x-ndjson", coded);
    answer b = co_await std::move(zstded);
    EXPECT_EQ(b.json("/stored"), "5000") << b.body;
    EXPECT_EQ(sql("SELECT sum(json_extract(data, '$.n')) FROM processed_data"), std::to_string(2 * 12497500));
  });
}

TEST_F(service_test, several_content_encodings_are_refused_in_one_line_or_in_several) {
  serve(options_of(whole_items()), [&]() -> task<void> {
    header_list coded;
    coded.emplace_back("Content-Encoding", "identity, gzip");
    auto in_one = post("/v1/items", gzip("1"), "application/json", coded);
    EXPECT_EQ((co_await std::move(in_one)).status, 415);
    coded[0].second = "identity";
    coded.emplace_back("Content-Encoding", "gzip");
    auto in_two = post("/v1/items", gzip("1"), "application/json", coded);
    EXPECT_EQ((co_await std::move(in_two)).status, 415);
    EXPECT_EQ(sql("SELECT count(*) FROM processed_data"), "0");
  });
}

TEST_F(service_test, an_element_however_deep_is_rejected_alone) {
  serve(options_of(whole_items()), [&]() -> task<void> {
    const std::string deep = std::string(400'000, '[') + std::string(400'000, ']');
    auto asking = post("/v1/items", "[\"before\"," + deep + ",\"behind\"]");
    answer a = co_await std::move(asking);
    EXPECT_EQ(a.status, 200);
    EXPECT_EQ(a.json("/stored"), "2");
    EXPECT_EQ(a.json("/results/0/index"), "1");
    EXPECT_EQ(a.json("/results/0/error/code"), R"("item.too_large")");
  });
}

TEST_F(service_test, a_damaged_encoding_is_a_400_that_says_what_was_stored) {
  serve(options_of(whole_items()), [&]() -> task<void> {
    header_list coded;
    coded.emplace_back("Content-Encoding", "gzip");
    auto asking = post("/v1/items", gzip("[1,2,3]").substr(0, 12), "application/json", coded);
    answer a = co_await std::move(asking);
    EXPECT_EQ(a.status, 400);
    EXPECT_EQ(a.json("/code"), R"("ingest.bad_encoding")");
    EXPECT_EQ(a.json("/stored"), sql("SELECT count(*) FROM processed_data"));
  });
}

TEST_F(service_test, a_body_that_is_too_long_is_a_413_that_says_what_was_stored) {
  service_options options = options_of(whole_items());
  options.max_body_bytes = 300'000;
  serve(options, [&]() -> task<void> {
    std::string body;
    for (int i = 0; i < 20'000; ++i) body += "{\"n\":123456789}\n";
    auto asking = post("/v1/items", body, "application/x-ndjson");
    answer a = co_await std::move(asking);
    EXPECT_EQ(a.status, 413);
    EXPECT_EQ(a.json("/code"), R"("ingest.body_too_large")");
    EXPECT_NE(a.json("/stored"), "0");
    EXPECT_EQ(a.json("/stored"), sql("SELECT count(*) FROM processed_data"));
  });
}

TEST_F(service_test, what_a_page_of_another_site_can_send_unasked_stores_nothing) {
  const std::vector<header_list> of_pages = {{{"Origin", "https://elsewhere.example"}},
                                             {{"Origin", "null"}},
                                             {{"Sec-Fetch-Site", "cross-site"}},
                                             {{"Sec-Fetch-Site", "same-site"}},
                                             {{"Sec-Fetch-Site", "none"}, {"Origin", "https://elsewhere.example"}}};
  const header_list of_the_user = {{"Sec-Fetch-Site", "none"}};
  serve(options_of(whole_items()), [&]() -> task<void> {
    for (const header_list& fields : of_pages) {
      for (const char* type : {"", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded"}) {
        auto unasked = post("/v1/items", "{}", type, fields);
        answer a = co_await std::move(unasked);
        EXPECT_EQ(a.status, 415) << fields.front().first << ": " << fields.front().second << ", " << type;
        EXPECT_EQ(a.json("/code"), R"("ingest.unsupported_media")");
      }
    }
    auto from_a_program = post("/v1/items", "{}", "");
    EXPECT_EQ((co_await std::move(from_a_program)).status, 200);
    auto from_the_user = post("/v1/items", "{}", "", of_the_user);
    EXPECT_EQ((co_await std::move(from_the_user)).status, 200);
    auto asked_before = post("/v1/items", "{}", "application/json", of_pages.front());
    EXPECT_EQ((co_await std::move(asked_before)).status, 200);
  });
}

TEST_F(service_test, types_and_encodings_that_are_not_read_get_a_415) {
  serve(options_of(whole_items()), [&]() -> task<void> {
    auto form = post("/v1/items", "a=1", "application/x-www-form-urlencoded");
    answer a = co_await std::move(form);
    EXPECT_EQ(a.status, 415);
    header_list coded;
    coded.emplace_back("Content-Encoding", "br");
    auto brotli = post("/v1/items", "[]", "application/json", coded);
    answer b = co_await std::move(brotli);
    EXPECT_EQ(b.status, 415);
    EXPECT_EQ(b.json("/code"), R"("ingest.unsupported_media")");
    auto untyped = post("/v1/items", "[]", "");
    answer c = co_await std::move(untyped);
    EXPECT_EQ(c.status, 200);
  });
}

TEST_F(service_test, an_unknown_stream_is_a_404_with_the_nearest_name) {
  serve(options_of(whole_items()), [&]() -> task<void> {
    auto asking = post("/v1/item", "{}");
    answer a = co_await std::move(asking);
    EXPECT_EQ(a.status, 404);
    EXPECT_NE(a.json("/detail").find("did you mean 'items'?"), std::string::npos) << a.body;
  });
}

TEST_F(service_test, items_larger_than_allowed_are_rejected_and_their_neighbours_stored) {
  service_options options = options_of(whole_items());
  options.max_item_bytes = 100;
  serve(options, [&]() -> task<void> {
    auto asking = post("/v1/items", "[\"" + std::string(101, 'x') + "\",\"ok\"]");
    answer a = co_await std::move(asking);
    EXPECT_EQ(a.json("/stored"), "1");
    EXPECT_EQ(a.json("/results/0/error/code"), R"("item.too_large")");
  });
}

TEST_F(service_test, a_full_queue_refuses_at_once_with_retry_after) {
  service_options options = options_of(whole_items());
  options.batch.queue_rows = 0;
  serve(options, [&]() -> task<void> {
    auto asking = post("/v1/items", "{}");
    answer a = co_await std::move(asking);
    EXPECT_EQ(a.status, 503);
    EXPECT_EQ(a.header("Retry-After"), "1");
    EXPECT_EQ(a.json("/code"), R"("ingest.overloaded")");
  });
}

TEST_F(service_test, a_batch_that_can_not_be_committed_is_a_503_and_the_service_heals) {
  service_options options = options_of(whole_items());
  options.batch.commit_retry = std::chrono::milliseconds(1);
  serve(options, [&]() -> task<void> {
    EXPECT_EQ(sql("ALTER TABLE processed_data RENAME TO away"), "");
    auto asking = post("/v1/items", "[1,2]");
    answer a = co_await std::move(asking);
    EXPECT_EQ(a.status, 503) << a.body;
    EXPECT_EQ(a.json("/failed"), "2");
    EXPECT_EQ(a.json("/results/1/status"), R"("failed")");
    auto probing = get("/readyz");
    answer ready = co_await std::move(probing);
    EXPECT_EQ(ready.status, 503);
    EXPECT_EQ(sql("ALTER TABLE away RENAME TO processed_data"), "");
    auto again = post("/v1/items", "[1,2]");
    answer b = co_await std::move(again);
    EXPECT_EQ(b.status, 200) << b.body;
    auto probing_again = get("/readyz");
    answer ready_again = co_await std::move(probing_again);
    EXPECT_EQ(ready_again.status, 200);
  });
}

TEST_F(service_test, a_file_that_stays_locked_makes_the_service_unready_until_it_is_written_to_again) {
  service_options options = options_of(whole_items());
  options.batch.commit_retry = std::chrono::milliseconds(1);
  serve(db::database("sqlite:" + database_file() + "?busy_timeout=20ms"), options, [&]() -> task<void> {
    db::database file("sqlite:" + database_file());
    task<std::unique_ptr<db::connection>> connecting = file.connect();
    std::unique_ptr<db::connection> other = co_await std::move(connecting);
    co_await other->begin();
    auto asking = post("/v1/items", "1");
    answer refused = co_await std::move(asking);
    EXPECT_EQ(refused.status, 503);
    EXPECT_EQ(refused.json("/code"), R"("db.lock_timeout")") << refused.body;
    auto probing = get("/readyz");
    EXPECT_EQ((co_await std::move(probing)).status, 503);
    co_await other->rollback();
    auto again = post("/v1/items", "1");
    EXPECT_EQ((co_await std::move(again)).status, 200);
    auto probing_again = get("/readyz");
    EXPECT_EQ((co_await std::move(probing_again)).status, 200);
  });
}

TEST_F(service_test, failures_alike_are_logged_once_with_a_count_of_the_others) {
  log::capture logged;
  service_options options = options_of(whole_items());
  serve(options, [&]() -> task<void> {
    EXPECT_EQ(sql("ALTER TABLE processed_data RENAME TO away"), "");
    for (int time = 0; time < 5; ++time) {
      auto asking = post("/v1/items", "1");
      EXPECT_EQ((co_await std::move(asking)).status, 503);
    }
    EXPECT_EQ(sql("ALTER TABLE away RENAME TO processed_data"), "");
    auto asking = post("/v1/items", "1");
    EXPECT_EQ((co_await std::move(asking)).status, 200);
  });
  const std::string text = logged.text();
  std::size_t first = text.find("batch was not committed");
  ASSERT_NE(first, std::string::npos);
  EXPECT_EQ(text.find("batch was not committed", first + 1), std::string::npos) << text;
  EXPECT_NE(text.find("failures_not_logged=4"), std::string::npos) << text;
}

TEST_F(service_test, many_clients_share_commits_and_each_gets_its_own_answer) {
  serve(options_of(whole_items()), [&]() -> task<void> {
    std::vector<int> clients(200);
    for (int i = 0; i < 200; ++i) clients[static_cast<std::size_t>(i)] = i;
    auto all = map_bounded(clients, 64, [&](int n) { return post("/v1/items", n % 10 == 3 ? "{" : "{\"n\":1}"); });
    std::vector<answer> answers = co_await std::move(all);
    for (int n : clients) EXPECT_EQ(answers[static_cast<std::size_t>(n)].status, n % 10 == 3 ? 422 : 200);
    EXPECT_EQ(sql("SELECT count(*) FROM processed_data"), "180");
    EXPECT_LT(registry_.histogram("penstock_batch_rows", "", metrics::count_buckets(), {{"stream", "items"}}).count(),
              120u);
  });
}

TEST_F(service_test, health_and_metrics_are_served) {
  serve(options_of(whole_items()), [&]() -> task<void> {
    auto storing = post("/v1/items", "[1,2,3]");
    co_await std::move(storing);
    auto health = get("/healthz");
    answer healthy = co_await std::move(health);
    EXPECT_EQ(healthy.status, 200);
    auto asking = get("/metrics");
    answer a = co_await std::move(asking);
    EXPECT_NE(a.body.find(R"(penstock_items_total{result="stored",stream="items"} 3)"), std::string::npos) << a.body;
    service_->stop_being_ready();
    auto ready = get("/readyz");
    answer leaving = co_await std::move(ready);
    EXPECT_EQ(leaving.status, 503);
  });
}

TEST_F(service_test, a_table_that_does_not_fit_is_said_at_the_start) {
  sql("CREATE TABLE orders (id INTEGER PRIMARY KEY, number INTEGER)");
  try {
    serve(options_of(orders()), []() -> task<void> { co_return; });
    FAIL() << "served a table without its columns";
  } catch (const db::database_error& e) {
    EXPECT_EQ(e.errc(), db::db_errc::table_drift);
    EXPECT_NE(e.message().find("column 'total'"), std::string::npos);
  }
}

TEST_F(service_test, the_tables_that_it_uses_are_known_beforehand) {
  std::vector<std::string> used;
  for (const db::used_table& table : used_tables(options_of(whole_items()))) {
    used.push_back(table.name + ":");
    for (const std::string& right : table.rights) used.back() += " " + right;
  }
  EXPECT_EQ(used,
            (std::vector<std::string>{"processed_data: SELECT INSERT", "penstock_writer: SELECT INSERT UPDATE DELETE",
                                      "penstock_idempotency: SELECT INSERT DELETE"}));
}

TEST_F(service_test, definitions_that_clash_are_refused) {
  service_options options = options_of(whole_items());
  options.streams.push_back(whole_items());
  EXPECT_THROW(service(db::database("sqlite::memory:"), options, &registry_), error);
  options.streams.back().table = "other";
  EXPECT_THROW(service(db::database("sqlite::memory:"), options, &registry_), error);
}

}  // namespace penstock::ingest

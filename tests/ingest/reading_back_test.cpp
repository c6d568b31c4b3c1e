#include "service_fixture.h"
#include <penstock/observe/log_capture.h>

#include <algorithm>

// Items that were stored: one by its id, by page, and as an export.

namespace penstock::ingest {
namespace {

using reading_back = service_test;

TEST_F(reading_back, an_item_is_read_back_by_its_id) {
  serve(options_of(orders()), [&]() -> task<void> {
    auto storing = post("/v1/orders", R"({"number":1,"sum":{"total":2},"paid":true})");
    co_await std::move(storing);
    auto asking = get("/v1/orders/1");
    answer a = co_await std::move(asking);
    EXPECT_EQ(a.status, 200);
    EXPECT_EQ(a.json("/number"), "1");
    EXPECT_EQ(a.json("/total"), "2.0");
    EXPECT_EQ(a.json("/paid"), "true");
    EXPECT_EQ(a.json("/at"), "null");
    EXPECT_EQ(a.json("/raw/sum/total"), "2");
    for (const char* unknown : {"/v1/orders/2", "/v1/orders/x", "/v1/orders/99999999999999999999"}) {
      auto missing = get(unknown);
      answer none = co_await std::move(missing);
      EXPECT_EQ(none.status, 404) << unknown;
    }
  });
}

TEST_F(reading_back, a_truth_is_one_from_a_column_that_keeps_reals) {
  EXPECT_EQ(sql("CREATE TABLE orders (id INTEGER PRIMARY KEY, number INTEGER UNIQUE, total REAL, paid DOUBLE, at TEXT, "
                "note TEXT, raw TEXT)"),
            "");
  serve(options_of(orders()), [&]() -> task<void> {
    auto storing = post("/v1/orders", R"([{"number":1,"paid":true},{"number":2,"paid":false}])");
    answer stored = co_await std::move(storing);
    EXPECT_EQ(stored.json("/stored"), "2") << stored.body;
    EXPECT_EQ(sql("INSERT INTO orders (number, paid, raw) VALUES (3, 2, '3')"), "");
    for (auto [path, paid] : {std::pair("/v1/orders/1", "true"), {"/v1/orders/2", "false"}, {"/v1/orders/3", "2.0"}}) {
      auto asking = get(path);
      answer a = co_await std::move(asking);
      EXPECT_EQ(a.json("/paid"), paid) << a.body;
    }
  });
}

TEST_F(reading_back, a_column_that_is_gone_is_not_read_as_its_name) {
  serve(options_of(orders()), [&]() -> task<void> {
    auto storing = post("/v1/orders", R"({"number":1,"note":"fragile"})");
    co_await std::move(storing);
    db::database file("sqlite:" + database_file());
    task<std::unique_ptr<db::connection>> connecting = file.connect();
    std::unique_ptr<db::connection> other = co_await std::move(connecting);
    co_await other->execute("ALTER TABLE orders RENAME COLUMN note TO remark");
    for (const char* path : {"/v1/orders/1", "/v1/orders", "/v1/orders?format=ndjson"}) {
      auto asking = get(path);
      answer a = co_await std::move(asking);
      EXPECT_EQ(a.status, 503) << path << ": " << a.body;
    }
  });
}

// As items are that can't be stored for it.
TEST_F(reading_back, what_the_database_fails_to_read_is_a_503_with_its_code_and_without_its_words) {
  log::capture said;
  serve(options_of(whole_items()), [&]() -> task<void> {
    EXPECT_EQ(sql("ALTER TABLE processed_data RENAME TO elsewhere"), "");
    for (const char* path : {"/v1/items/1", "/v1/items", "/v1/items?format=ndjson"}) {
      auto asking = get(path);
      answer a = co_await std::move(asking);
      EXPECT_EQ(a.status, 503) << path;
      EXPECT_EQ(a.json("/code"), R"("db.syntax")") << a.body;
      EXPECT_EQ(a.header("Retry-After"), "1");
      EXPECT_EQ(a.body.find("processed_data"), std::string::npos) << a.body;
    }
  });
  EXPECT_NE(said.text().find("ERROR items could not be read"), std::string::npos) << said.text();
}

TEST_F(reading_back, pages_follow_one_another_by_keyset) {
  serve(options_of(whole_items()), [&]() -> task<void> {
    auto storing = post("/v1/items", "[1,2,3,4,5]");
    co_await std::move(storing);
    auto first = get("/v1/items?limit=2");
    answer a = co_await std::move(first);
    EXPECT_EQ(a.json("/items/1/data"), "2");
    EXPECT_EQ(a.json("/next"), "2");
    EXPECT_EQ(a.header("Link"), "</v1/items?after=2&limit=2>; rel=\"next\"");
    auto second = get("/v1/items?after=4&limit=2");
    answer b = co_await std::move(second);
    EXPECT_EQ(b.json("/items/0/data"), "5");
    EXPECT_EQ(b.json("/next"), "null");
  });
}

TEST_F(reading_back, an_item_takes_no_parameters) {
  serve(options_of(whole_items()), [&]() -> task<void> {
    auto asking = get("/v1/items/1?after=1");
    answer a = co_await std::move(asking);
    EXPECT_EQ(a.status, 400);
    EXPECT_EQ(a.json("/code"), R"("ingest.bad_query")") << a.body;
  });
}

TEST_F(reading_back, a_parameter_that_is_unknown_malformed_or_given_twice_is_named) {
  serve(options_of(whole_items()), [&]() -> task<void> {
    for (auto [query, why] : {std::pair{"limits=4", "unknown parameter 'limits'; did you mean 'limit'?"},
                              std::pair{"after=x", "after=x: expected the id of an item"},
                              std::pair{"limit=-1", "limit=-1: expected a whole number"},
                              std::pair{"format=xml", "format=xml: expected json or ndjson"},
                              std::pair{"limit=1&after=0&limit=2", "parameter 'limit' is given twice"}}) {
      auto asking = get("/v1/items?" + std::string(query));
      answer a = co_await std::move(asking);
      EXPECT_EQ(a.status, 400) << query;
      EXPECT_EQ(a.json("/code"), R"("ingest.bad_query")") << a.body;
      EXPECT_NE(a.body.find(why), std::string::npos) << a.body;
    }
  });
}

TEST_F(reading_back, an_export_is_made_only_where_the_client_takes_one) {
  serve(options_of(whole_items()), [&]() -> task<void> {
    auto storing = post("/v1/items", "[1]");
    co_await std::move(storing);
    std::pair<const char*, bool> accepted[] = {{"application/x-ndjson", true},
                                               {"text/html, Application/NDJSON ; q=0.5", true},
                                               {"application/jsonl", true},
                                               {"application/x-jsonlines, application/json;q=0.1", true},
                                               {"application/json-lines", true},
                                               {"application/x-ndjson;q=0.001", true},
                                               {"application/x-ndjson;q=0, application/json", false},
                                               {"application/x-ndjson;q=0.9, application/json", false},
                                               {"application/json;q=0.9, application/x-ndjson;q=0.9", true},
                                               {"application/x-ndjson ; q=0.000", false},
                                               {"application/x-ndjson-seq", false}};
    for (auto [accept, is_export] : accepted) {
      auto asking = get("/v1/items", accept);
      answer a = co_await std::move(asking);
      EXPECT_EQ(a.header("Content-Type").starts_with("application/x-ndjson"), is_export) << accept;
    }
  });
}

TEST_F(reading_back, a_page_of_long_items_ends_early_and_the_next_goes_on_behind_it) {
  service_options options = options_of(whole_items());
  options.max_item_bytes = 2'000'000;
  serve(options, [&]() -> task<void> {
    std::string body;
    for (int i = 0; i < 12; ++i) body += '"' + std::string(1'000'000, static_cast<char>('a' + i)) + "\"\n";
    auto storing = post("/v1/items", body, "application/x-ndjson");
    EXPECT_EQ((co_await std::move(storing)).json("/stored"), "12");
    std::string after = "0";
    std::vector<std::size_t> pages;
    for (; after != "null";) {
      auto asking = get("/v1/items?limit=50&after=" + after);
      answer a = co_await std::move(asking);
      EXPECT_EQ(a.status, 200);
      pages.push_back(a.body.size() / 1'000'000);
      after = a.json("/next");
    }
    EXPECT_EQ(pages, (std::vector<std::size_t>{5, 5, 2}));
    auto exporting = get("/v1/items", "application/x-ndjson");
    answer all = co_await std::move(exporting);
    EXPECT_EQ(std::count(all.body.begin(), all.body.end(), '\n'), 12);
    auto few = get("/v1/items?limit=7", "application/x-ndjson");
    answer seven = co_await std::move(few);
    EXPECT_EQ(std::count(seven.body.begin(), seven.body.end(), '\n'), 7);
  });
}

TEST_F(reading_back, an_item_that_came_in_several_lines_is_one_in_an_export) {
  stream_definition mapped{.name = "mapped", .table = "mapped"};
  mapped.columns = {{.name = "n", .pointer = "/n", .type = db::column_type::integer},
                    {.name = "raw", .pointer = "", .type = db::column_type::json}};
  service_options options = options_of(whole_items());
  options.streams.push_back(mapped);
  serve(options, [&]() -> task<void> {
    for (const std::string path : {"/v1/items", "/v1/mapped"}) {
      auto storing = post(path, "{\n  \"n\":\r\n  1\n}");
      EXPECT_EQ((co_await std::move(storing)).status, 200);
      auto asking = get(path, "application/x-ndjson");
      answer a = co_await std::move(asking);
      EXPECT_EQ(std::count(a.body.begin(), a.body.end(), '\n'), 1) << a.body;
      EXPECT_EQ(a.body.find('\r'), std::string::npos) << a.body;
      EXPECT_NE(a.body.find("{   \"n\":    1 }"), std::string::npos) << a.body;
    }
  });
}

TEST_F(reading_back, an_export_streams_every_item_as_ndjson) {
  serve(options_of(whole_items()), [&]() -> task<void> {
    std::string body;
    for (int i = 0; i < 2500; ++i) body += std::to_string(i) + "\n";
    auto storing = post("/v1/items", body, "application/x-ndjson");
    co_await std::move(storing);
    auto asking = get("/v1/items", "application/x-ndjson");
    answer a = co_await std::move(asking);
    EXPECT_EQ(std::count(a.body.begin(), a.body.end(), '\n'), 2500);
    EXPECT_NE(a.body.find("\"data\":2499,"), std::string::npos);
    auto cut = get("/v1/items?format=ndjson&after=10&limit=3");
    answer b = co_await std::move(cut);
    EXPECT_EQ(std::count(b.body.begin(), b.body.end(), '\n'), 3);
    EXPECT_EQ(b.body.find("{\"id\":11,"), 0u);
  });
}

}  // namespace
}  // namespace penstock::ingest

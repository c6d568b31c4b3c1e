// Idempotency-Key: whatever is repeated is stored once and answered alike.

#include "ingest/idempotency_table.h"
#include "marked_database.h"
#include "service_fixture.h"
#include <penstock/async/gather.h>
#include <penstock/observe/log_capture.h>

namespace penstock::ingest {
namespace {

class idempotency : public service_test {
 protected:
  task<answer> post_keyed(std::string key, std::string body, std::string path = "/v1/items",
                          std::string type = "application/json") {
    header_list with_key;
    with_key.emplace_back("Idempotency-Key", std::move(key));
    task<answer> posting = post(std::move(path), std::move(body), std::move(type), std::move(with_key));
    co_return co_await std::move(posting);
  }
  std::string stored() const { return sql("SELECT count(*) FROM processed_data"); }

  // That it is a 413 of this code and stores nothing, and that its key may then come with a smaller request.
  void expect_too_large(const service_options& options, std::string body, const char* code) {
    serve(options, [&]() -> task<void> {
      auto large = post_keyed("k", body);
      answer a = co_await std::move(large);
      EXPECT_EQ(a.status, 413);
      EXPECT_EQ(a.json("/code"), code);
      EXPECT_EQ(stored(), "0");
      auto fitting = post_keyed("k", "[1,2,3]");
      EXPECT_EQ((co_await std::move(fitting)).status, 200);
      EXPECT_EQ(stored(), "3");
    });
  }
};

TEST_F(idempotency, a_repeat_gets_the_first_answer_and_stores_nothing) {
  serve(options_of(whole_items()), [&]() -> task<void> {
    auto first = post_keyed("\"a-1\"", R"([{"n":1},{"n":2},{"n":])");
    answer a = co_await std::move(first);
    EXPECT_EQ(a.status, 400);
    EXPECT_EQ(a.header("Idempotency-Replayed"), "");
    auto again = post_keyed("a-1", R"([{"n":1},{"n":2},{"n":])");
    answer b = co_await std::move(again);
    EXPECT_EQ(b.status, 400);
    EXPECT_EQ(b.body, a.body);
    EXPECT_EQ(b.header("Content-Type"), a.header("Content-Type"));
    EXPECT_EQ(b.header("Idempotency-Replayed"), "true");
    EXPECT_EQ(stored(), a.json("/stored"));
  });
}

TEST_F(idempotency, a_repeat_to_another_process_gets_the_first_answer_too) {
  std::string first_body;
  serve(options_of(whole_items()), [&]() -> task<void> {
    auto first = post_keyed("k", R"({"n":1})", "/v1/items?results=all");
    answer a = co_await std::move(first);
    EXPECT_EQ(a.status, 200);
    EXPECT_EQ(a.json("/results/0/id"), "1");
    first_body = a.body;
  });
  serve(options_of(whole_items()), [&]() -> task<void> {
    auto again = post_keyed("k", R"({"n":1})", "/v1/items?results=all");
    answer b = co_await std::move(again);
    EXPECT_EQ(b.status, 200);
    EXPECT_EQ(b.body, first_body);
    EXPECT_EQ(b.header("Idempotency-Replayed"), "true");
    EXPECT_EQ(stored(), "1");
  });
}

TEST_F(idempotency, a_key_that_comes_with_another_request_is_a_422) {
  serve(options_of(whole_items()), [&]() -> task<void> {
    auto first = post_keyed("k", R"({"n":1})");
    EXPECT_EQ((co_await std::move(first)).status, 200);
    struct {
      const char* path;
      const char* body;
      const char* type;
    } others[] = {{"/v1/items", R"({"n":2})", "application/json"},
                  {"/v1/items?results=all", R"({"n":1})", "application/json"},
                  {"/v1/items", R"({"n":1})", "application/x-ndjson"}};
    for (auto& other : others) {
      auto posting = post_keyed("k", other.body, other.path, other.type);
      answer a = co_await std::move(posting);
      EXPECT_EQ(a.status, 422) << other.path;
      EXPECT_EQ(a.json("/code"), R"("ingest.idempotency_key_reused")");
    }
    EXPECT_EQ(stored(), "1");
  });
}

TEST_F(idempotency, a_key_that_comes_with_another_request_of_which_nothing_is_an_item_is_a_422_too) {
  serve(options_of(whole_items()), [&]() -> task<void> {
    auto first = post_keyed("k", "[1,2]");
    EXPECT_EQ((co_await std::move(first)).status, 200);
    for (const char* body : {"[x]", "{bad", "[]"}) {
      auto posting = post_keyed("k", body);
      answer a = co_await std::move(posting);
      EXPECT_EQ(a.status, 422) << body;
      EXPECT_EQ(a.json("/code"), R"("ingest.idempotency_key_reused")") << body;
    }
  });
}

TEST_F(idempotency, a_request_of_which_nothing_is_an_item_is_refused_while_its_key_can_not_be_looked_up) {
  log::capture quiet;
  auto server = std::make_shared<marked_server>();
  server->cuts = [](std::size_t, const std::string& what) {
    return what == "SELECT" ? std::optional<cut>(cut::before) : std::nullopt;
  };
  serve(db::database(std::make_shared<marked_driver>(server)), options_of(whole_items()), [&]() -> task<void> {
    server->armed = true;
    auto posting = post_keyed("k", "{bad");
    answer a = co_await std::move(posting);
    EXPECT_EQ(a.status, 503);
    EXPECT_EQ(a.json("/code"), R"("ingest.store_unreachable")");
  });
}

TEST_F(idempotency, repeats_while_the_first_is_under_way_wait_for_its_answer) {
  serve(options_of(whole_items()), [&]() -> task<void> {
    std::vector<task<answer>> all;
    for (int i = 0; i < 10; ++i) all.push_back(post_keyed("same", R"([1,2,3])"));
    auto posting = gather(std::move(all));
    std::vector<answer> answers = co_await std::move(posting);
    int replayed = 0;
    for (const answer& a : answers) {
      EXPECT_EQ(a.status, 200);
      EXPECT_EQ(a.body, answers.front().body);
      replayed += a.header("Idempotency-Replayed") == "true" ? 1 : 0;
    }
    EXPECT_EQ(replayed, 9);
    EXPECT_EQ(stored(), "3");
  });
}

TEST_F(idempotency, requests_of_other_keys_and_of_none_share_its_batches) {
  serve(options_of(whole_items()), [&]() -> task<void> {
    std::vector<task<answer>> all;
    for (int i = 0; i < 30; ++i)
      all.push_back(i % 3 == 0 ? post("/v1/items", "[1,2]") : post_keyed("key-" + std::to_string(i / 6), "[1,2]"));
    auto posting = gather(std::move(all));
    std::vector<answer> answers = co_await std::move(posting);
    for (const answer& a : answers) EXPECT_EQ(a.body, answers.front().body);
    EXPECT_EQ(stored(), "30");  // ten requests without a key, and five keys
  });
}

TEST_F(idempotency, a_key_belongs_to_its_stream) {
  service_options two = options_of(whole_items());
  two.streams.push_back({.name = "others", .table = "others"});
  serve(two, [&]() -> task<void> {
    auto both = gather(post_keyed("k", "1"), post_keyed("k", "1", "/v1/others"));
    auto [a, b] = co_await std::move(both);
    EXPECT_EQ(a.header("Idempotency-Replayed") + b.header("Idempotency-Replayed"), "");
    EXPECT_EQ(sql("SELECT (SELECT count(*) FROM processed_data) + (SELECT count(*) FROM others)"), "2");
  });
}

TEST_F(idempotency, a_request_that_stored_nothing_may_be_corrected_under_its_key) {
  serve(options_of(whole_items()), [&]() -> task<void> {
    auto first = post_keyed("k", "{broken");
    EXPECT_EQ((co_await std::move(first)).status, 422);
    auto corrected = post_keyed("k", "{}");
    EXPECT_EQ((co_await std::move(corrected)).status, 200);
    EXPECT_EQ(stored(), "1");
  });
}

TEST_F(idempotency, a_request_that_no_batch_holds_is_a_413_and_stores_nothing) {
  service_options options = options_of(whole_items());
  options.batch.max_rows = 3;
  expect_too_large(options, "[1,2,3,4]", R"("ingest.keyed_request_too_large")");
}

// As after a change of its settings, or behind another server.
TEST_F(idempotency, a_repeat_that_no_batch_holds_any_more_gets_the_first_answer) {
  service_options smaller = options_of(whole_items());
  smaller.batch.max_rows = 3;
  const std::string items = "[1,2,3,4,5]";
  serve(options_of(whole_items()), [&]() -> task<void> {
    auto first = post_keyed("k", items);
    EXPECT_EQ((co_await std::move(first)).status, 200);
  });
  serve(smaller, [&]() -> task<void> {
    auto again = post_keyed("k", items);
    answer b = co_await std::move(again);
    EXPECT_EQ(b.status, 200);
    EXPECT_EQ(b.header("Idempotency-Replayed"), "true");
    auto other = post_keyed("k", "[1,2,3,4,6]");
    EXPECT_EQ((co_await std::move(other)).status, 422);
    auto unknown = post_keyed("n", items);
    EXPECT_EQ((co_await std::move(unknown)).status, 413);
    EXPECT_EQ(stored(), "5");
  });
}

TEST_F(idempotency, a_body_that_is_too_long_is_a_413_and_stores_nothing) {
  service_options options = options_of(whole_items());
  options.max_body_bytes = 300'000;
  std::string body = "[1";
  while (body.size() <= options.max_body_bytes) body += ",\"" + std::string(1'000, 'x') + "\"";
  expect_too_large(options, body + "]", R"("ingest.body_too_large")");
}

TEST_F(idempotency, a_malformed_key_is_a_400_that_names_the_rule) {
  serve(options_of(whole_items()), [&]() -> task<void> {
    const std::pair<std::string, const char*> wrong[] = {{"", "empty"},
                                                         {"\"\"", "empty"},
                                                         {"\"a", "closing quote"},
                                                         {"a b", "double quotes"},
                                                         {"a,b", "commas"},
                                                         {R"("a\b")", "backslash"},
                                                         {"\"a\" b", "closing quote"},
                                                         {"\"\xc3\xa4\"", "ASCII"},
                                                         {std::string(256, 'k'), "255"}};
    for (const auto& [key, rule] : wrong) {
      auto posting = post_keyed(key, "1");
      answer a = co_await std::move(posting);
      EXPECT_EQ(a.status, 400) << key;
      EXPECT_NE(a.json("/detail").find(rule), std::string::npos) << key << ": " << a.body;
    }
    header_list twice;
    twice.emplace_back("Idempotency-Key", "a");
    twice.emplace_back("idempotency-key", "b");
    auto posting = post("/v1/items", "1", "application/json", twice);
    EXPECT_EQ((co_await std::move(posting)).status, 400);
    EXPECT_EQ(stored(), "0");
    const std::string right[] = {"\"8e03978e-40d5-43dd-bc93-6894a57f9324\"", "\"with \\\"quotes\\\" in it\";a=1",
                                 std::string(255, 'k')};
    for (const std::string& key : right) {
      auto good = post_keyed(key, "1");
      EXPECT_EQ((co_await std::move(good)).status, 200) << key;
    }
    EXPECT_EQ(
        sql("SELECT group_concat(n) FROM (SELECT length(request_key) AS n FROM penstock_idempotency ORDER BY id)"),
        "36,19,255");
  });
}

TEST_F(idempotency, a_request_that_the_database_refused_may_be_sent_again_once_it_fits) {
  service_options options = options_of(whole_items());
  serve(options, [&]() -> task<void> {
    sql("CREATE TRIGGER early BEFORE INSERT ON processed_data WHEN NOT EXISTS (SELECT 1 FROM parent) "
        "BEGIN SELECT RAISE(ABORT, 'no parent'); END");
    sql("CREATE TABLE parent (id INTEGER)");
    auto first = post_keyed("k", R"({"n":1})");
    EXPECT_EQ((co_await std::move(first)).status, 422);
    sql("INSERT INTO parent VALUES (1)");
    auto again = post_keyed("k", R"({"n":1})");
    answer b = co_await std::move(again);
    EXPECT_EQ(b.status, 200);
    EXPECT_EQ(b.header("Idempotency-Replayed"), "");
    EXPECT_EQ(stored(), "1");
  });
}

TEST_F(idempotency, an_array_of_which_the_database_refused_every_item_may_be_corrected_under_its_key) {
  serve(options_of(whole_items()), [&]() -> task<void> {
    sql("CREATE TRIGGER positive BEFORE INSERT ON processed_data WHEN NEW.data LIKE '%-%' "
        "BEGIN SELECT RAISE(ABORT, 'negative'); END");
    for (int time = 0; time < 2; ++time) {
      auto wrong = post_keyed("k", R"([{"n":-1},{"n":-2}])");
      answer a = co_await std::move(wrong);
      EXPECT_EQ(a.status, 200);
      EXPECT_EQ(a.json("/rejected"), "2");
      EXPECT_EQ(a.header("Idempotency-Replayed"), "");
    }
    auto corrected = post_keyed("k", R"([{"n":1},{"n":-2}])");
    EXPECT_EQ((co_await std::move(corrected)).json("/stored"), "1");
    auto again = post_keyed("k", R"([{"n":1},{"n":-2}])");
    EXPECT_EQ((co_await std::move(again)).header("Idempotency-Replayed"), "true");
    EXPECT_EQ(stored(), "1");
  });
}

TEST_F(idempotency, an_answer_that_the_database_does_not_take_is_kept_without_results_and_harms_no_neighbour) {
  serve(options_of(whole_items()), [&]() -> task<void> {
    sql("CREATE TRIGGER short BEFORE INSERT ON penstock_idempotency WHEN length(NEW.answer) > 100 "
        "BEGIN SELECT RAISE(ABORT, 'too long'); END");
    const std::string body = "1\n{broken\n";
    auto all = gather(post_keyed("k", body, "/v1/items", "application/x-ndjson"), post_keyed("other", "[2]"),
                      post("/v1/items", "[3]"));
    auto [first, other, neighbour] = co_await std::move(all);
    EXPECT_EQ(other.status, 200) << other.body;
    EXPECT_EQ(neighbour.status, 200) << neighbour.body;
    EXPECT_EQ(first.body, "{\"stored\":1,\"rejected\":1,\"duplicates\":0,\"results\":[],\"results_truncated\":true}\n");
    auto again = post_keyed("k", body, "/v1/items", "application/x-ndjson");
    answer repeated = co_await std::move(again);
    EXPECT_EQ(repeated.header("Idempotency-Replayed"), "true");
    EXPECT_EQ(repeated.body, first.body);
    EXPECT_EQ(stored(), "3");
  });
}

TEST_F(idempotency, a_request_whose_answer_can_not_be_kept_at_all_is_told_which_items_failed) {
  log::capture quiet;
  serve(options_of(whole_items()), [&]() -> task<void> {
    sql("CREATE TRIGGER never BEFORE INSERT ON penstock_idempotency BEGIN SELECT RAISE(ABORT, 'no'); END");
    auto posting = post_keyed("k", "[1,2]");
    answer a = co_await std::move(posting);
    EXPECT_EQ(a.status, 503);
    EXPECT_EQ(a.json("/failed"), "2");
    EXPECT_EQ(a.json("/results/1/status"), "\"failed\"");
    EXPECT_EQ(stored(), "0");
  });
}

TEST_F(idempotency, an_answer_names_no_more_results_than_a_megabyte_holds) {
  serve(options_of(whole_items()), [&]() -> task<void> {
    std::string body = "1\n";
    for (int i = 0; i < 9'999; ++i) body += "{\"a\":broken\n";
    auto posting = post_keyed("k", body, "/v1/items", "application/x-ndjson");
    answer first = co_await std::move(posting);
    EXPECT_EQ(first.json("/rejected"), "9999");
    EXPECT_EQ(first.json("/results_truncated"), "true");
    EXPECT_GT(first.body.size(), std::size_t{1'000'000});
    EXPECT_LT(first.body.size(), (std::size_t{1} << 20) + 200);
    auto again = post_keyed("k", body, "/v1/items", "application/x-ndjson");
    answer repeated = co_await std::move(again);
    EXPECT_EQ(repeated.header("Idempotency-Replayed"), "true");
    EXPECT_TRUE(repeated.body == first.body);
  });
}

std::string keyed_head(std::size_t length, const std::string& more) {
  return "POST /v1/items HTTP/1.0\r\nHost: test\r\nIdempotency-Key: k\r\nContent-Type: application/json\r\n" + more +
         "Content-Length: " + std::to_string(length) + "\r\n\r\n";
}

TEST_F(idempotency, a_broken_request_is_the_same_however_the_network_cuts_it) {
  const std::string body = R"([{"n":1},{"n":2} {"n":3},{"n":4}])";
  serve(options_of(whole_items()), [&]() -> task<void> {
    auto first = ask(keyed_head(body.size(), "") + body);
    answer a = co_await std::move(first);
    EXPECT_EQ(a.status, 400);
    for (std::size_t cut : {12, 18, 25}) {
      auto again = ask_in_two(keyed_head(body.size(), "") + body.substr(0, cut), body.substr(cut));
      answer b = co_await std::move(again);
      EXPECT_EQ(b.status, 400);
      EXPECT_EQ(b.body, a.body);
      EXPECT_EQ(b.header("Idempotency-Replayed"), "true") << cut;
    }
  });
}

TEST_F(idempotency, a_damaged_gzip_body_stores_nothing_under_a_key) {
  std::string numbers = "[1";
  for (int i = 0; i < 40'000; ++i) numbers += "," + std::to_string(i * 7'919 % 100'003);
  std::string packed = gzip(numbers + "]");
  packed[packed.size() - 20] = static_cast<char>(packed[packed.size() - 20] ^ 0x55);
  service_options options = options_of(whole_items());
  options.batch.max_rows = 100'000;
  serve(options, [&]() -> task<void> {
    auto asking = ask(keyed_head(packed.size(), "Content-Encoding: gzip\r\n") + packed);
    answer a = co_await std::move(asking);
    EXPECT_EQ(a.status, 400);
    EXPECT_NE(a.body.find("ingest.bad_encoding"), std::string::npos) << a.body;
    EXPECT_EQ(stored(), "0");
  });
}

TEST_F(idempotency, a_broken_body_stores_nothing_under_a_key) {
  serve(options_of(whole_items()), [&]() -> task<void> {
    auto cut =
        ask("POST /v1/items HTTP/1.0\r\nHost: test\r\nIdempotency-Key: k\r\nContent-Type: application/x-ndjson\r\n"
            "Transfer-Encoding: chunked\r\n\r\n4\r\n1\n2\n\r\nzz\r\n");
    answer a = co_await std::move(cut);
    EXPECT_EQ(a.status, 400);
    EXPECT_EQ(stored(), "0");
  });
}

// The first attempt's COMMIT has lost its connection, and arrives while the second one is under way.
TEST_F(idempotency, the_answer_is_the_committed_attempts_in_a_cluster_too) {
  auto server = std::make_shared<marked_server>();
  server->certifies = true;
  server->slow_commit = 1s;
  int commits = 0;
  server->cuts = [&](std::size_t, const std::string& what) {
    return what == "COMMIT" && commits++ == 0 ? std::optional(cut::during) : std::nullopt;
  };
  server->pause = [&](const std::string& what) -> duration { return what == "COMMIT" && commits == 1 ? 2500ms : 1ms; };
  serve(db::database(std::make_shared<marked_driver>(server)), options_of(whole_items()), [&]() -> task<void> {
    server->armed = true;
    auto posting = post_keyed("k", R"([{"n":1},{"n":2}])", "/v1/items?results=all");
    answer a = co_await std::move(posting);
    EXPECT_EQ(a.status, 200);
    EXPECT_EQ(commits, 3);  // the third is behind the one that was found
    EXPECT_EQ(a.body, server->stored.back()) << "what is kept";
  });
}

}  // namespace
}  // namespace penstock::ingest

// What is told of a load: answers, rejects, summary, exit code, progress.

#include "app/load/http_post.h"
#include "app/load/progress.h"
#include "app/load/report.h"
#include "app/load/summary.h"
#include <penstock/async/timeout.h>
#include <penstock/testing/simulation.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <gmock/gmock.h>
#include <unistd.h>

namespace penstock::app::load {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(load_answer, counts_and_refused_items_are_read) {
  std::optional<answer> a =
      parse_answer(R"({"stored":1,"rejected":1,"duplicates":1,"results":[{"index":2,"line":3,"status":422,)"
                   R"("error":{"code":"item.type","message":"no number","pointer":"/a","offset":7}}]})",
                   3);
  ASSERT_TRUE(a.has_value());
  EXPECT_EQ(a->stored, 1u);
  EXPECT_EQ(a->duplicates, 1u);
  ASSERT_EQ(a->refused.size(), 1u);
  EXPECT_EQ(a->refused[0].index, 2u);
  EXPECT_EQ(a->refused[0].code, "item.type");
  EXPECT_EQ(a->refused[0].pointer, "/a");
}

TEST(load_answer, one_that_does_not_add_up_is_not_believed) {
  EXPECT_FALSE(parse_answer("hello", 1));
  EXPECT_FALSE(parse_answer("{}", 0));
  EXPECT_FALSE(parse_answer(R"({"stored":2,"rejected":0,"duplicates":0})", 3));
  EXPECT_FALSE(parse_answer(R"({"stored":0,"rejected":1,"duplicates":0,"results":[{"index":1,"error":{}}]})", 1));
  EXPECT_FALSE(parse_answer(R"({"stored":18446744073709551615,"rejected":4,"duplicates":0})", 3));
  EXPECT_FALSE(parse_answer(R"({"stored":0,"rejected":18446744073709551615,"duplicates":2})", 1));
}

TEST(load_answer, one_that_names_an_item_twice_or_more_than_it_counts_is_not_believed) {
  auto with = [](const std::string& results) {
    return parse_answer(R"({"stored":1,"rejected":2,"duplicates":0,"results":[)" + results + "]}", 3);
  };
  EXPECT_TRUE(with(R"({"index":2,"error":{}},{"index":0,"error":{}})"));
  EXPECT_FALSE(with(R"({"index":0,"error":{}},{"index":0,"error":{}})"));
  EXPECT_FALSE(with(R"({"index":0,"error":{}},{"index":1,"error":{}},{"index":2,"error":{}})"));
}

TEST(load_answer, says_which_items_were_rejected_though_they_are_not_named) {
  auto with = [](const std::string& more) {
    return parse_answer(R"({"stored":2,"rejected":4,"duplicates":0,"results":[{"index":0,"error":{}}])" + more + "}",
                        6);
  };
  std::optional<answer> a = with(R"(,"unnamed":[[2,3],[5,5]])");
  ASSERT_TRUE(a.has_value());
  EXPECT_THAT(a->unnamed, ElementsAre(2u, 3u, 5u));
  EXPECT_TRUE(with("")->unnamed.empty());
  EXPECT_FALSE(with(R"(,"unnamed":[[0,1]])")) << "the first is named";
  EXPECT_FALSE(with(R"(,"unnamed":[[2,2],[2,2]])"));
  EXPECT_FALSE(with(R"(,"unnamed":[[3,2]])"));
  EXPECT_FALSE(with(R"(,"unnamed":[[5,6]])"));
  EXPECT_FALSE(with(R"(,"unnamed":[[2,5]])")) << "one more than it counts";
  EXPECT_FALSE(with(R"(,"unnamed":[4])"));
}

TEST(load_answer, of_which_nothing_was_stored_needs_to_name_nobody) {
  std::optional<answer> a =
      parse_answer(R"({"stored":0,"rejected":3,"duplicates":0,"results":[{"index":1,"error":{}}]})", 3);
  ASSERT_TRUE(a.has_value());
  EXPECT_THAT(a->unnamed, ElementsAre(0u, 2u));
}

TEST(load_answer, a_problem_is_told_in_one_line) {
  EXPECT_EQ(describe_problem(404, R"({"code":"ingest.unknown_stream","detail":"no stream 'x'"})"),
            "404 Not Found (ingest.unknown_stream): no stream 'x'");
  EXPECT_EQ(describe_problem(502, "<html>"), "502 Bad Gateway");
}

TEST(load_answer, a_problem_may_have_stored_items) {
  EXPECT_TRUE(says_items_may_be_stored(R"({"code":"db.full","stored":3,"failed":2})"));
  EXPECT_FALSE(says_items_may_be_stored(R"({"code":"db.full","stored":0,"failed":5})"));
  EXPECT_TRUE(says_items_may_be_stored(R"({"code":"ingest.outcome_unknown","stored":0,"failed":5})"));
  EXPECT_FALSE(says_items_may_be_stored("busy"));
}

class load_report : public ::testing::Test {
 protected:
  load_report() {
    batch_.add(R"({"id":1})", 4);
    batch_.add("broken \xff", 9);
    batch_.reject(load_errc::bad_row, 11, "too few", "a,b", "/x");
    batch_.source_bytes = 100;
  }
  ~load_report() override { std::filesystem::remove(path_); }

  std::string rejects() {
    report_.finish(true, true);
    std::ostringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }

  std::filesystem::path path_ =
      std::filesystem::temp_directory_path() / ("load_report_test." + std::to_string(getpid()) + ".ndjson");
  report report_{{"a.csv"}, path_.string()};
  batch batch_;
};

TEST_F(load_report, nothing_is_written_when_nothing_is_rejected) {
  batch_.rejected.clear();
  report_.carried_out(batch_, {.stored = 2});
  report_.finish(true, true);
  EXPECT_FALSE(std::filesystem::exists(path_));
  EXPECT_EQ(exit_code_of(report_, {}), 0);
}

TEST_F(load_report, rejects_carry_file_line_reason_and_item) {
  report_.carried_out(batch_, {.stored = 1, .rejected = 1, .refused = {{1, "item.syntax", "no \"value\"", ""}}});
  EXPECT_EQ(rejects(),
            R"({"file":"a.csv","line":11,"code":"load.bad_row","message":"too few","pointer":"/x","item":"a,b"})"
            "\n"
            R"({"file":"a.csv","line":9,"code":"item.syntax","message":"no \"value\"","pointer":"",)"
            "\"item\":\"broken \\ufffd\"}\n");
  EXPECT_EQ(report_.counts().items(), 3u);
  EXPECT_EQ(report_.counts().rejected, 2u);
  EXPECT_EQ(exit_code_of(report_, {}), 1);
  EXPECT_THAT(report_.first_rejections(),
              ElementsAre("a.csv line 11: load.bad_row: too few (at /x)", "a.csv line 9: item.syntax: no \"value\""));
}

TEST_F(load_report, unknown_and_unsent_items_are_in_the_rejects_too) {
  report_.lost(batch_, "connection lost");
  report_.not_sent(batch_, "404");
  std::string text = rejects();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 6);
  EXPECT_THAT(text, HasSubstr("load.outcome_unknown"));
  EXPECT_THAT(text, HasSubstr("load.not_sent"));
  EXPECT_EQ(report_.counts().items(), 6u);
}

TEST_F(load_report, rejects_that_can_not_be_made_are_a_failure_and_change_no_count) {
  report elsewhere({"a.csv"}, "/nonexistent/rejects");
  elsewhere.carried_out(batch_, {.stored = 2});
  elsewhere.finish(true, true);
  EXPECT_EQ(elsewhere.counts().stored, 2u);
  EXPECT_EQ(exit_code_of(elsewhere, {}), 3);
  EXPECT_THAT(summary_text(elsewhere, {}),
              HasSubstr("1 of them are in no file: /nonexistent/rejects: open: No such file "
                        "or directory; the first is that of a.csv line 11\n"));
}

TEST_F(load_report, the_summary_says_how_many_rejects_could_not_be_written) {
  report full({"a.csv"}, "/dev/full");
  full.lost(batch_, "x");
  full.finish(true, true);
  std::string text = summary_text(full, {});
  EXPECT_THAT(text, Not(HasSubstr("all of them")));
  EXPECT_THAT(text,
              HasSubstr("those that could be written, with their items: /dev/full\n"
                        "3 of them are NOT there: /dev/full: write: No space left on device; the first is that of "
                        "a.csv line 4\n"));
  EXPECT_THAT(summary_json(full, {}), HasSubstr(R"("rejects_missing":3,"first_missing":"a.csv line 4")"));
  EXPECT_EQ(exit_code_of(full, {}), 3);
}

TEST_F(load_report, rejects_of_which_some_are_not_known_replace_no_earlier_ones_that_the_input_may_be_from) {
  for (bool can_be_read_again : {false, true}) {
    std::ofstream(path_) << "old\n";
    report again({"standard input"}, path_.string());
    again.carried_out(batch_, {.stored = 0, .rejected = 2, .refused = {{1, "item.syntax", "x", ""}}});
    again.finish(true, can_be_read_again);
    std::string line;
    std::getline(std::ifstream(path_), line);
    EXPECT_EQ(line == "old", !can_be_read_again) << line;
    std::string text = summary_text(again, {});
    EXPECT_THAT(text, Not(HasSubstr("all of them")));
    EXPECT_THAT(text, HasSubstr("those that the server named, with their items: " + again.rejects_path() + "\n"));
    EXPECT_THAT(text, HasSubstr("1 of the rejected are NOT there"));
    EXPECT_THAT(summary_json(again, {}), HasSubstr(R"("rejects_unnamed":1)"));
    std::filesystem::remove(again.rejects_path());
  }
}

TEST_F(load_report, the_summary_says_what_became_of_everything) {
  report_.begun(batch_);
  report_.carried_out(batch_, {.stored = 1, .rejected = 1});
  std::string text = summary_text(report_, {.stopped_because = "404 Not Found", .elapsed = 2s});
  EXPECT_THAT(text, HasSubstr("stored                 1\n"));
  EXPECT_THAT(text, HasSubstr("rejected               2\n"));
  EXPECT_THAT(text, Not(HasSubstr("unknown")));
  EXPECT_THAT(text, HasSubstr("in 2.00 s: 1 items/s"));
  EXPECT_THAT(text, HasSubstr("1 of the rejected are NOT there"));
  EXPECT_THAT(text, HasSubstr("nothing behind a.csv line 11 (item 3 of the file) was sent"));
  EXPECT_EQ(exit_code_of(report_, {.stopped_because = "404 Not Found"}), 3);
  EXPECT_EQ(exit_code_of(report_, {.stopped_because = "interrupted", .interrupted = true}), 130);
}

TEST(load_progress, fits_the_terminal) {
  progress_state s{.items = 1'234'567, .bytes = 30, .total_bytes = 60, .items_per_second = 1000, .bytes_per_second = 2};
  EXPECT_EQ(progress_bar(s, 100),
            "[####################--------------------]  50 %  1,234,567 items  1,000/s  0.0 MB/s  "
            "0:15 left");
  for (std::size_t width : {0u, 1u, 20u, 60u, 80u, 200u}) EXPECT_LE(progress_bar(s, width).size(), width);
  EXPECT_THAT(progress_bar(s, 60), Not(HasSubstr("#")));
}

TEST(load_progress, without_a_total_there_is_no_bar_and_no_end) {
  progress_state s{.items = 5, .rejected = 2, .bytes = 30, .items_per_second = 10, .bytes_per_second = 2};
  EXPECT_EQ(progress_bar(s, 200), "5 items  10/s  0.0 MB/s  2 rejected");
}

TEST(load_progress, the_rate_follows_changes) {
  rate_meter meter;
  time_point now{};
  meter.note(now, 0);
  EXPECT_EQ(meter.per_second(), 0);
  std::uint64_t count = 0;
  auto go = [&](int seconds, std::uint64_t per_second) {
    for (int i = 0; i < seconds * 10; ++i) meter.note(now += 100ms, count += per_second / 10);
  };
  go(1, 1000);
  EXPECT_NEAR(meter.per_second(), 1000, 1);
  go(20, 3000);
  EXPECT_NEAR(meter.per_second(), 3000, 10);
}

std::string shown_for(duration time, bool terminal) {
  report nothing({"a"}, "unused");
  std::ostringstream out;
  penstock::testing::simulation sim;
  progress_options how{.terminal = terminal, .total_bytes = 10};
  EXPECT_THROW(sim.run(with_timeout(time, show_progress(nothing, how, out))), timed_out);
  return out.str();
}

TEST(load_progress, a_terminal_line_is_redrawn_and_cleared_without_escape_codes) {
  std::string shown = shown_for(1050ms, true);
  EXPECT_EQ(std::count(shown.begin(), shown.end(), '%'), 10);
  EXPECT_EQ(shown.find('\x1b'), std::string::npos);
  EXPECT_EQ(shown.find('\n'), std::string::npos);
  EXPECT_EQ(shown.back(), '\r');
}

TEST(load_progress, elsewhere_a_line_comes_every_five_seconds) {
  EXPECT_EQ(shown_for(4s, false), "");
  std::string shown = shown_for(16s, false);
  EXPECT_EQ(std::count(shown.begin(), shown.end(), '\n'), 3);
  EXPECT_EQ(shown.find('\r'), std::string::npos);
}

TEST(load_retry_after, is_seconds_or_a_date) {
  system_time now(std::chrono::seconds(1'700'000'000));  // Tue, 14 Nov 2023 22:13:20 GMT
  EXPECT_EQ(parse_retry_after("120", now), 120s);
  EXPECT_EQ(parse_retry_after("Tue, 14 Nov 2023 22:14:20 GMT", now), 60s);
  EXPECT_EQ(parse_retry_after("Tue, 14 Nov 2023 22:00:00 GMT", now), 0s);
  EXPECT_EQ(parse_retry_after("Mon, 01 Jan 2300 00:00:00 GMT", now), 24h * 365);
  EXPECT_EQ(parse_retry_after("Fri, 31 Dec 9999 23:59:59 GMT", now), 24h * 365);
  EXPECT_EQ(parse_retry_after("Sat, 01 Jan 1600 00:00:00 GMT", now), 0s);
  EXPECT_EQ(parse_retry_after("soon", now), std::nullopt);
  EXPECT_EQ(parse_retry_after("-1", now), std::nullopt);
}

}  // namespace
}  // namespace penstock::app::load

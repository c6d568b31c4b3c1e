#include "penstock/observe/metrics.h"

#include "penstock/core/error.h"
#include "penstock/observe/error.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

namespace penstock::metrics {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::string error_of(const std::function<void()>& fn) {
  try {
    fn();
  } catch (const error& e) {
    return std::string(e.code()) + ": " + e.message();
  }
  return "no error";
}

TEST(metrics, rendering_follows_the_text_format) {
  registry all;
  all.counter("items_total", "Items \\ stored\nso far.", {{"stream", "a\"b\\c\nd"}}).add(3);
  all.gauge("queue_bytes", "Bytes \"waiting\".").set(1.5);
  const double bounds[] = {0.1, 1};
  histogram h = all.histogram("wait_seconds", "Waiting.", bounds, {{"pool", "p"}});
  h.observe(0.1);
  h.observe(500ms);
  h.observe(7);
  EXPECT_EQ(all.render(),
            "# HELP items_total Items \\\\ stored\\nso far.\n"
            "# TYPE items_total counter\n"
            "items_total{stream=\"a\\\"b\\\\c\\nd\"} 3\n"
            "# HELP queue_bytes Bytes \"waiting\".\n"
            "# TYPE queue_bytes gauge\n"
            "queue_bytes 1.5\n"
            "# HELP wait_seconds Waiting.\n"
            "# TYPE wait_seconds histogram\n"
            "wait_seconds_count{pool=\"p\"} 3\n"
            "wait_seconds_sum{pool=\"p\"} 7.6\n"
            "wait_seconds_bucket{pool=\"p\",le=\"0.1\"} 1\n"
            "wait_seconds_bucket{pool=\"p\",le=\"1\"} 2\n"
            "wait_seconds_bucket{pool=\"p\",le=\"+Inf\"} 3\n");
}

TEST(metrics, asking_again_gives_the_same_numbers_whatever_the_order_of_labels) {
  registry all;
  counter a = all.counter("x_total", "x", {{"a", "1"}, {"b", "2"}});
  counter b = all.counter("x_total", "other help", {{"b", "2"}, {"a", "1"}});
  counter c = all.counter("x_total", "x", {{"a", "2"}, {"b", "2"}});
  a.add();
  b.add(2);
  EXPECT_EQ(a.value(), 3U);
  EXPECT_EQ(c.value(), 0U);
}

TEST(metrics, a_gauge_goes_up_and_down) {
  registry all;
  gauge g = all.gauge("g", "g");
  g.set(10);
  g.add();
  g.sub(4);
  EXPECT_EQ(g.value(), 7);
}

TEST(metrics, values_on_and_beyond_the_bounds_fall_into_the_right_bucket) {
  registry all;
  const double bounds[] = {1, 2};
  histogram h = all.histogram("h", "h", bounds);
  for (double v : {-1.0, 1.0, 1.5, 2.0, 2.5, std::numeric_limits<double>::infinity()}) h.observe(v);
  EXPECT_EQ(h.count(), 6U);
  EXPECT_THAT(all.render(), HasSubstr("h_bucket{le=\"1\"} 2\nh_bucket{le=\"2\"} 4\nh_bucket{le=\"+Inf\"} 6\n"));
  h.observe(std::nan(""));
  EXPECT_THAT(all.render(), HasSubstr("h_bucket{le=\"+Inf\"} 7\n"));
}

TEST(metrics, a_default_made_handle_counts_nothing) {
  counter().add();
  gauge().set(1);
  histogram().observe(1);
  EXPECT_EQ(counter().value(), 0U);
}

TEST(metrics, wrong_names_and_conflicts_are_told) {
  registry all;
  all.counter("c_total", "c", {{"a", "1"}});
  const double one[] = {1};
  const double two[] = {1, 2};
  all.histogram("h", "h", one);
  struct {
    std::function<void()> call;
    std::string_view told;
  } const table[] = {
      {[&] { all.counter("", ""); }, "observe.bad_metric_name: metric '': a name is"},
      {[&] { all.counter("1st", ""); }, "observe.bad_metric_name: metric '1st'"},
      {[&] { all.counter("a-b", ""); }, "observe.bad_metric_name: metric 'a-b'"},
      {[&] {
         all.counter("a", "", {{"b-c", ""}});
       },
       "observe.bad_label: metric 'a', label 'b-c': a label's name is"},
      {[&] {
         all.counter("a", "", {{"__x", ""}});
       },
       "observe.bad_label: metric 'a', label '__x'"},
      {[&] {
         all.counter("a", "", {{"a:b", ""}});
       },
       "observe.bad_label: metric 'a', label 'a:b'"},
      {[&] {
         all.counter("a", "", {{"b", "1"}, {"b", "2"}});
       },
       "observe.bad_label: metric 'a', label 'b': it comes twice"},
      {[&] {
         all.histogram("a", "", one, {{"le", "1"}});
       },
       "observe.bad_label: metric 'a', label 'le'"},
      {[&] {
         all.gauge("c_total", "", {{"a", "1"}});
       },
       "observe.metric_conflict: metric 'c_total' exists as a counter and can't be a gauge too"},
      {[&] {
         all.counter("c_total", "", {{"b", "1"}});
       },
       "observe.metric_conflict: metric 'c_total' has the labels {a} and can't have {b} too"},
      {[&] { all.histogram("h", "", two); }, "observe.metric_conflict: metric 'h' exists with other buckets"},
      {[&] { all.histogram("i", "", {}); }, "observe.bad_buckets: histogram 'i': upper bounds must be"},
      {[&] {
         const double falling[] = {2, 1};
         all.histogram("i", "", falling);
       },
       "observe.bad_buckets"},
      {[&] {
         const double infinite[] = {1, HUGE_VAL};
         all.histogram("i", "", infinite);
       },
       "observe.bad_buckets"},
  };
  for (const auto& row : table) EXPECT_THAT(error_of(row.call), ::testing::StartsWith(std::string(row.told)));
  EXPECT_THAT(all.render(), Not(HasSubstr("# HELP a ")));
}

TEST(metrics, too_many_label_values_are_counted_as_other) {
  registry all({.most_series = 2});
  for (int i = 0; i < 10; ++i) all.counter("c_total", "c", {{"user", std::to_string(i)}}).add();
  EXPECT_THAT(all.render(), HasSubstr("c_total{user=\"0\"} 1\nc_total{user=\"1\"} 1\nc_total{user=\"other\"} 8\n"));
}

TEST(metrics, no_addition_of_any_thread_is_lost) {
  registry all;
  counter c = all.counter("c_total", "c");
  gauge g = all.gauge("g", "g");
  histogram h = all.histogram("h", "h", count_buckets());
  // More threads than slots, and slots that pass from thread to thread.
  for (int round = 0; round < 3; ++round) {
    std::vector<std::thread> threads;
    for (int t = 0; t < 12; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i < 1000; ++i) {
          c.add();
          g.add();
          h.observe(3);
        }
      });
    for (std::thread& t : threads) t.join();
  }
  EXPECT_EQ(c.value(), 36'000U);
  EXPECT_EQ(g.value(), 36'000);
  EXPECT_EQ(h.count(), 36'000U);
  EXPECT_EQ(h.sum(), 108'000);
}

TEST(metrics, rendering_while_others_count_is_safe) {
  registry all;
  counter c = all.counter("c_total", "c");
  std::thread counting([&] {
    for (int i = 0; i < 20'000; ++i) {
      c.add();
      if (i % 1000 == 0) all.counter("d_total", "d", {{"n", std::to_string(i)}}).add();
    }
  });
  for (int i = 0; i < 50; ++i) EXPECT_THAT(all.render(), HasSubstr("c_total"));
  counting.join();
  EXPECT_THAT(all.render(), HasSubstr("c_total 20000\n"));
}

TEST(metrics, hooks_set_gauges_before_rendering) {
  registry all;
  gauge g = all.gauge("queue_length", "q");
  int length = 5;
  std::uint64_t key = all.add_hook([&] { g.set(length); });
  EXPECT_THAT(all.render(), HasSubstr("queue_length 5\n"));
  all.remove_hook(key);
  length = 6;
  EXPECT_THAT(all.render(), HasSubstr("queue_length 5\n"));
}

TEST(metrics, a_hook_may_remove_itself_and_others_and_add_more) {
  registry all;
  std::vector<int> called;
  std::uint64_t later = 0;
  std::uint64_t itself = all.add_hook([&] {
    called.push_back(1);
    all.remove_hook(later);
    all.remove_hook(itself);
    all.add_hook([&] { called.push_back(3); });
  });
  later = all.add_hook([&] { called.push_back(2); });
  all.render();
  called.clear();
  all.render();
  EXPECT_THAT(called, ElementsAre(3));
}

// The value of a metric without labels in a page; -1 when it is not there.
double value_in(const std::string& text, const std::string& name) {
  std::size_t at = text.find("\n" + name + " ");
  return at == std::string::npos ? -1 : std::stod(text.substr(at + name.size() + 2));
}

TEST(metrics, the_default_registry_has_the_process) {
  std::string text = default_registry().render();
  auto value_of = [&](const std::string& name) { return value_in(text, name); };
  EXPECT_GT(value_of("process_resident_memory_bytes"), 1e6);
  EXPECT_GT(value_of("process_virtual_memory_bytes"), 1e6);
  EXPECT_GE(value_of("process_cpu_seconds_total"), 0);
  EXPECT_GE(value_of("process_open_fds"), 3);
  EXPECT_GE(value_of("process_max_fds"), value_of("process_open_fds"));
  EXPECT_GE(value_of("process_threads"), 1);
  double now = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  EXPECT_NEAR(value_of("process_start_time_seconds"), now, 3600);
}

TEST(metrics, a_process_without_a_descriptor_left_says_that_all_are_open) {
  default_registry().render();
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit few = before;
  few.rlim_cur = 64;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  std::vector<int> taken;
  for (int fd; (fd = ::dup(STDERR_FILENO)) >= 0;) taken.push_back(fd);
  std::string text = default_registry().render();
  for (int fd : taken) ::close(fd);
  ::setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(value_in(text, "process_open_fds"), 64);
  EXPECT_EQ(value_in(text, "process_max_fds"), 64);
}

// Scrapers refuse a page that is not (Prometheus, "Exposition formats").
TEST(metrics, are_utf8_whatever_labels_and_helps_hold) {
  registry all;
  all.counter("c_total", "Help \xFF.", {{"l", "a\xE2\x82 \xC3\xA9\xFF"}}).add();
  std::string text = all.render();
  EXPECT_NE(text.find("c_total{l=\"a\uFFFD\uFFFD \u00E9\uFFFD\"} 1"), std::string::npos) << text;
  EXPECT_NE(text.find("# HELP c_total Help \uFFFD."), std::string::npos) << text;
}

TEST(metrics, no_other_has_the_name_of_a_histogram_s_series) {
  const double bounds[] = {1};
  for (const char* suffix : {"_bucket", "_count", "_sum"}) {
    registry all;
    all.histogram("h", "", bounds);
    EXPECT_THROW(all.counter(std::string("h") + suffix, ""), error) << suffix;
    registry other;
    other.gauge(std::string("h") + suffix, "");
    EXPECT_THROW(other.histogram("h", "", bounds), error) << suffix;
    other.gauge("h", "");
    other.counter("i" + std::string(suffix), "");
  }
}

TEST(metrics, presets_are_ascending) {
  for (auto bounds : {duration_buckets(), size_buckets(), count_buckets()})
    EXPECT_TRUE(std::is_sorted(bounds.begin(), bounds.end()));
}

}  // namespace
}  // namespace penstock::metrics

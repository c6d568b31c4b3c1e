#include "penstock/async/error.h"
#include "penstock/observe/error.h"
#include "penstock/observe/log.h"
#include "penstock/observe/log_capture.h"
#include "penstock/observe/log_rotation.h"
#include "penstock/observe/metrics.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

namespace penstock {
namespace {

using ::testing::HasSubstr;

// A folder of its own for each test, and the log as it was before afterwards.
class log_output : public ::testing::Test {
 protected:
  log_output() {
    std::string pattern = ::testing::TempDir() + "penstock-log-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
  }
  ~log_output() override {
    log::configure({.queue_lines = 0, .handle_unhandled_errors = false});
    std::filesystem::remove_all(folder_);
  }
  std::string path(const char* name) const { return folder_ + "/" + name; }
  static std::vector<std::string> lines_of(const std::string& file) {
    std::ifstream in(file);
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }
  // Makes a pipe and gives its reading end: one that nobody reads from stands for a disk that has stopped.
  int make_pipe(const char* name) const {
    EXPECT_EQ(::mkfifo(path(name).c_str(), 0600), 0);
    int reader = ::open(path(name).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    EXPECT_GE(reader, 0);
    ::fcntl(reader, F_SETFL, 0);
    return reader;
  }
  // Until its writer closes.
  static std::string read_all(int reader) {
    std::string received;
    std::vector<char> buffer(65536);
    for (ssize_t n; (n = ::read(reader, buffer.data(), buffer.size())) > 0;)
      received.append(buffer.data(), static_cast<std::size_t>(n));
    return received;
  }

 private:
  std::string folder_;
};

TEST_F(log_output, what_was_logged_is_in_the_file_after_flush_in_order) {
  log::configure({.file = path("a.log")});
  for (int i = 0; i < 1000; ++i) log::info("line", {{"n", i}});
  EXPECT_TRUE(log::flush());
  std::vector<std::string> lines = lines_of(path("a.log"));
  ASSERT_EQ(lines.size(), 1000U);
  for (std::size_t i = 0; i < lines.size(); ++i) EXPECT_TRUE(lines[i].ends_with(" n=" + std::to_string(i)));
}

TEST_F(log_output, without_a_queue_lines_are_written_at_once) {
  log::configure({.file = path("a.log"), .queue_lines = 0});
  log::info("one");
  EXPECT_EQ(lines_of(path("a.log")).size(), 1U);
  EXPECT_TRUE(log::flush());
}

TEST_F(log_output, a_new_configuration_leaves_nothing_behind) {
  log::configure({.file = path("a.log")});
  for (int i = 0; i < 100; ++i) log::info("first");
  log::configure({.format = log::line_format::json, .file = path("b.log")});
  log::info("second");
  EXPECT_TRUE(log::flush());
  EXPECT_EQ(lines_of(path("a.log")).size(), 100U);
  EXPECT_EQ(lines_of(path("b.log")).size(), 1U);
}

TEST_F(log_output, a_file_is_appended_to) {
  for (int i = 0; i < 2; ++i) {
    log::configure({.file = path("a.log")});
    log::info("x");
  }
  EXPECT_TRUE(log::flush());
  EXPECT_EQ(lines_of(path("a.log")).size(), 2U);
}

TEST_F(log_output, a_file_that_cannot_be_opened_is_an_error_and_the_old_log_stays) {
  log::configure({.file = path("a.log")});
  try {
    log::configure({.file = path("missing/b.log")});
    FAIL();
  } catch (const error& e) {
    EXPECT_TRUE(e.is(observe_errc::log_file));
    EXPECT_THAT(e.message(), HasSubstr("missing/b.log': No such file or directory"));
  }
  log::info("still here");
  EXPECT_TRUE(log::flush());
  EXPECT_EQ(lines_of(path("a.log")).size(), 1U);
}

TEST_F(log_output, a_pipe_that_nobody_reads_is_an_error_and_is_not_waited_for) {
  ::close(make_pipe("pipe"));
  try {
    log::configure({.file = path("pipe")});
    FAIL();
  } catch (const error& e) {
    EXPECT_TRUE(e.is(observe_errc::log_file));
    EXPECT_THAT(e.message(), HasSubstr("pipe': it is a pipe that nobody reads"));
  }
}

TEST_F(log_output, lines_of_many_threads_are_whole) {
  log::configure({.file = path("a.log")});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([t] {
      for (int i = 0; i < 500; ++i) log::info("from a thread", {{"t", t}, {"text", std::string(300, 'x')}});
    });
  for (std::thread& t : threads) t.join();
  EXPECT_TRUE(log::flush());
  std::vector<std::string> lines = lines_of(path("a.log"));
  EXPECT_EQ(lines.size(), 2000U);
  for (const std::string& line : lines) EXPECT_TRUE(line.ends_with(" text=" + std::string(300, 'x')));
}

TEST_F(log_output, a_full_queue_drops_the_oldest_and_reports_how_many) {
  constexpr int sent = 2000;
  int reader = make_pipe("pipe");
  std::uint64_t before = log::dropped_lines();
  log::configure({.file = path("pipe"), .queue_lines = 8});
  for (int i = 0; i < sent; ++i) log::info("line", {{"n", i}, {"fill", std::string(4000, 'x')}});
  std::string received;
  std::thread drain([&] { received = read_all(reader); });
  log::configure({.queue_lines = 0});  // writes the rest and closes the pipe
  drain.join();
  ::close(reader);
  std::uint64_t dropped = log::dropped_lines() - before;
  std::istringstream in(received);
  std::uint64_t arrived = 0;
  std::uint64_t reported = 0;
  std::string last;
  for (std::string line; std::getline(in, line);) {
    if (std::size_t at = line.find("log lines dropped: the queue was full dropped="); at != std::string::npos) {
      reported += std::stoul(line.substr(line.rfind('=') + 1));
    } else {
      ++arrived;
      last = line;
    }
  }
  EXPECT_GT(dropped, 0U);
  EXPECT_EQ(arrived + dropped, sent);
  EXPECT_EQ(reported, dropped);
  EXPECT_THAT(last, HasSubstr(" n=1999 "));
  EXPECT_THAT(metrics::default_registry().render(), HasSubstr("penstock_log_dropped_total"));
}

TEST_F(log_output, lines_dropped_while_the_log_takes_nothing_are_counted_at_once) {
  constexpr std::uint64_t sent = 2000;
  int reader = make_pipe("pipe");
  metrics::counter count = metrics::default_registry().counter("penstock_log_dropped_total", "");
  std::uint64_t before = log::dropped_lines();
  log::configure({.file = path("pipe"), .queue_lines = 8});
  for (std::uint64_t i = 0; i < sent; ++i) log::info("line", {{"fill", std::string(4000, 'x')}});
  metrics::default_registry().render();
  std::uint64_t counted = count.value() - before;
  EXPECT_GT(counted, sent / 2);  // a pipe and a queue hold some dozen
  EXPECT_EQ(log::dropped_lines() - before, counted);
  std::thread drain([&] { read_all(reader); });
  log::configure({.queue_lines = 0});
  drain.join();
  ::close(reader);
  EXPECT_EQ(log::dropped_lines() - before, counted);  // none twice, when the log tells of them
}

TEST_F(log_output, the_count_of_dropped_lines_is_there_before_the_first) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        log::configure({.file = path("a.log")});
        bool there = metrics::default_registry().render().find("\npenstock_log_dropped_total 0\n") != std::string::npos;
        std::exit(there ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST_F(log_output, a_disk_that_refuses_is_counted) {
  std::uint64_t before = log::dropped_lines();
  log::configure({.file = "/dev/full", .queue_lines = 0});
  log::info("x");
  EXPECT_EQ(log::dropped_lines() - before, 1U);
  log::configure({.file = "/dev/full"});
  log::info("x");
  EXPECT_TRUE(log::flush());
  EXPECT_EQ(log::dropped_lines() - before, 2U);
}

TEST_F(log_output, reopening_goes_on_in_a_new_file) {
  for (std::size_t queue : {0U, 8192U}) {
    log::configure({.file = path("a.log"), .queue_lines = queue});
    log::info("before");
    EXPECT_TRUE(log::flush());
    std::filesystem::rename(path("a.log"), path("a.log.1"));
    log::reopen();
    log::info("after");
    EXPECT_TRUE(log::flush());
    EXPECT_EQ(lines_of(path("a.log.1")).size(), 1U);
    EXPECT_EQ(lines_of(path("a.log")).size(), 1U);
    std::filesystem::remove(path("a.log"));
  }
}

TEST_F(log_output, reopening_does_not_wait_for_an_old_file_that_takes_nothing) {
  int reader = make_pipe("a.log");
  log::configure({.file = path("a.log")});
  for (int i = 0; i < 100; ++i) log::info("old", {{"fill", std::string(4000, 'x')}});
  std::filesystem::rename(path("a.log"), path("a.log.1"));
  log::reopen();
  log::info("new");
  read_all(reader);  // up to the end: the old file is closed
  ::close(reader);
  EXPECT_TRUE(log::flush());
  std::vector<std::string> lines = lines_of(path("a.log"));
  ASSERT_FALSE(lines.empty());
  EXPECT_THAT(lines.back(), HasSubstr("new"));
}

TEST_F(log_output, what_cannot_be_reopened_is_an_error_and_the_old_file_stays) {
  log::configure({.file = path("a.log")});
  std::filesystem::rename(path("a.log"), path("a.log.1"));
  ::close(make_pipe("a.log"));  // to wait for a reader of the pipe might be for good
  EXPECT_THROW(log::reopen(), error);
  log::info("still here");
  EXPECT_TRUE(log::flush());
  EXPECT_EQ(lines_of(path("a.log.1")).size(), 1U);
}

// Lets no file grow beyond a size, as a disk does that is full there.
class file_size_limit {
 public:
  explicit file_size_limit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  file_size_limit(const file_size_limit&) = delete;
  file_size_limit& operator=(const file_size_limit&) = delete;
  ~file_size_limit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

TEST_F(log_output, a_line_that_the_disk_broke_off_does_not_swallow_the_next) {
  for (std::size_t queue : {0U, 8192U}) {
    std::uint64_t before = log::dropped_lines();
    log::configure({.file = path("a.log"), .queue_lines = queue});
    {
      file_size_limit full(100);
      for (int i = 0; i < 4; ++i) log::info("a line of some 50 bytes", {{"n", i}});
      EXPECT_TRUE(log::flush());
    }
    log::info("room again");
    EXPECT_TRUE(log::flush());
    std::vector<std::string> lines = lines_of(path("a.log"));
    ASSERT_EQ(lines.size(), 3U);
    EXPECT_THAT(lines[0], HasSubstr(" n=0"));
    EXPECT_THAT(lines[2], ::testing::MatchesRegex("[0-9].*Z INFO  room again"));
    EXPECT_EQ(log::dropped_lines() - before, 3U);
    std::filesystem::remove(path("a.log"));
  }
}

TEST_F(log_output, what_waits_is_written_at_exit) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  std::string file = ::testing::TempDir() + "penstock-exit.log";
  EXPECT_EXIT(
      {
        std::remove(file.c_str());
        log::configure({.file = file});
        for (int i = 0; i < 1000; ++i) log::info("line");
        std::exit(7);
      },
      ::testing::ExitedWithCode(7), "");
  EXPECT_EQ(lines_of(file).size(), 1000U);
  std::remove(file.c_str());
}

TEST_F(log_output, what_is_logged_while_the_process_exits_is_written) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  std::string file = ::testing::TempDir() + "penstock-late.log";
  EXPECT_EXIT(
      {
        std::remove(file.c_str());
        std::atexit([] { log::info("late"); });  // runs after what the log does at exit
        log::configure({.file = file});
        std::exit(7);
      },
      ::testing::ExitedWithCode(7), "");
  EXPECT_EQ(lines_of(file).size(), 1U);
  std::remove(file.c_str());
}

TEST_F(log_output, a_log_that_takes_nothing_does_not_keep_the_process_from_ending) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        make_pipe("pipe");
        log::configure({.file = path("pipe")});
        for (int i = 0; i < 100; ++i) log::info("line", {{"fill", std::string(4000, 'x')}});
        std::exit(7);
      },
      ::testing::ExitedWithCode(7), "");
}

void fail() { throw std::runtime_error("nobody catches this"); }
void throw_out_of_noexcept() noexcept { fail(); }

TEST_F(log_output, terminate_logs_the_exception_and_writes_what_waits) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  std::string file = ::testing::TempDir() + "penstock-terminate.log";
  EXPECT_DEATH(
      {
        std::remove(file.c_str());
        log::configure({.file = file});
        for (int i = 0; i < 1000; ++i) log::info("line");
        throw_out_of_noexcept();
      },
      "");
  std::vector<std::string> lines = lines_of(file);
  ASSERT_GE(lines.size(), 1001U);
  EXPECT_THAT(lines[1000], HasSubstr("an exception that nobody caught"));
  EXPECT_THAT(lines[1000], HasSubstr("nobody catches this"));
  std::remove(file.c_str());
}

TEST_F(log_output, unhandled_errors_are_logged_with_traceback_and_counted) {
  log::configure({.queue_lines = 0});
  log::capture logged;
  metrics::counter count = metrics::default_registry().counter("penstock_unhandled_errors_total", "");
  std::uint64_t before = count.value();
  report_unhandled_error(std::make_exception_ptr(std::runtime_error("lost")), "task 'sweeper'");
  set_unhandled_error_handler(nullptr);
  EXPECT_EQ(count.value() - before, 1U);
  EXPECT_THAT(logged.text(), HasSubstr(R"(ERROR unhandled error where="task 'sweeper'")"));
  EXPECT_THAT(logged.text(), HasSubstr("\n    std::runtime_error: lost"));
}

TEST_F(log_output, a_sink_that_logs_or_throws_harms_nobody) {
  std::uint64_t before = log::dropped_lines();
  int calls = 0;
  log::set_sink_for_tests([&](log::level, std::string_view) {
    log::info("from inside");
    if (++calls == 2) throw std::runtime_error("sink");
  });
  for (int i = 0; i < 3; ++i) log::info("x");
  log::set_sink_for_tests(nullptr);
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(log::dropped_lines() - before, 1U);
}

}  // namespace
}  // namespace penstock

// Invariants: a line is written whole and in the order of its thread; every line handed over is either written or
// counted as dropped, so posted = written + dropped once the queue is empty. That equation is what flush waits for.

#include "observe/log_writer.h"

#include "observe/log_line.h"
#include "penstock/observe/error.h"
#include "penstock/observe/metrics.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/sinks/sink.h>
#include <sys/stat.h>
#include <unistd.h>

namespace penstock::log {
namespace {

std::atomic<std::uint64_t> total_dropped = 0;

bool is_pipe(const std::string& path) noexcept {
  struct stat found {};
  return ::stat(path.c_str(), &found) == 0 && S_ISFIFO(found.st_mode);
}

// A pipe that nobody reads is an error, and is not waited for: that might be for good.
int open_file(const std::string& path) {
  int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0640);
  if (fd < 0) {
    int failure = errno;
    std::string why = failure == ENXIO && is_pipe(path) ? "it is a pipe that nobody reads; start its reader first"
                                                        : std::generic_category().message(failure);
    throw penstock::error(observe_errc::log_file, "log file '" + path + "': " + why);
  }
  ::fcntl(fd, F_SETFL, O_APPEND);
  return fd;
}

// A file descriptor that lines are appended to, by one thread at a time. Another thread may hand it the next one, which
// the next append takes.
class line_file {
 public:
  explicit line_file(std::string path) : path_(std::move(path)) {
    if (!path_.empty()) fd_ = open_file(path_);
  }
  line_file(const line_file&) = delete;
  line_file& operator=(const line_file&) = delete;
  ~line_file() {
    take_next();
    if (!path_.empty()) ::close(fd_);
  }

  // Gives how much of the text was written: less than all when the disk, or whoever reads the pipe, refused. A line
  // that broke off then stays alone: what is written next begins a line.
  std::size_t append(std::string_view text) noexcept {
    take_next();
    if (torn_) {
      if (write_some("\n") == 0) return 0;
      torn_ = false;
    }
    std::size_t written = write_some(text);
    torn_ = written > 0 && written < text.size() && text[written - 1] != '\n';
    return written;
  }

  // From any thread.
  void reopen() {
    if (path_.empty()) return;
    int fresh = open_file(path_);
    int passed_over = next_.exchange(fresh, std::memory_order_acq_rel);
    if (passed_over >= 0) ::close(passed_over);
  }

 private:
  void take_next() noexcept {
    if (next_.load(std::memory_order_relaxed) < 0) return;
    int fresh = next_.exchange(-1, std::memory_order_acq_rel);
    ::close(fd_);
    fd_ = fresh;
    torn_ = false;
  }

  std::size_t write_some(std::string_view text) noexcept {
    std::size_t written = 0;
    while (written < text.size()) {
      ssize_t n = ::write(fd_, text.data() + written, text.size() - written);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) break;
      written += static_cast<std::size_t>(n);
    }
    return written;
  }

  std::string path_;
  int fd_ = STDERR_FILENO;
  bool torn_ = false;
  std::atomic<int> next_ = -1;
};

// Whether a line that ends there, with its newline, is among the bytes that were written; the newline may follow later.
bool holds_line(std::size_t written, std::size_t end) noexcept { return written + 1 >= end; }

class direct_writer final : public writer {
 public:
  explicit direct_writer(const std::string& path) : file_(path) {}

  void write(level /*severity*/, std::string_view line) override {
    std::lock_guard lock(mutex_);
    buffer_.assign(line);
    buffer_ += '\n';
    if (!holds_line(file_.append(buffer_), buffer_.size())) count_dropped(1);
  }
  bool flush(std::chrono::nanoseconds /*patience*/) noexcept override { return true; }
  void write_at_once(std::chrono::nanoseconds /*patience*/) override {}
  void count_overrun() noexcept override {}
  void reopen() override { file_.reopen(); }

 private:
  std::mutex mutex_;
  std::string buffer_;
  line_file file_;
};

// The writing thread's end: gathers lines while more wait, and writes them at once.
class gathering_sink final : public spdlog::sinks::sink {
 public:
  explicit gathering_sink(const options& how) : file_(how.file), format_(how.format) {}

  // Before the first line. The queue outlives its thread, which is the one that calls `log`.
  void watch(spdlog::details::thread_pool& queue) { queue_ = &queue; }

  void log(const spdlog::details::log_msg& message) override {
    buffer_.append(message.payload.data(), message.payload.size());
    buffer_ += '\n';
    line_ends_.push_back(buffer_.size());
    bool empty = queue_->queue_size() == 0;
    if (empty || ++since_report_ == report_interval) report_dropped(queue_->overrun_counter());
    if (empty || buffer_.size() >= most_gathered_bytes) write_out();
  }
  void flush() override {}
  void set_pattern(const std::string& /*pattern*/) override {}
  void set_formatter(std::unique_ptr<spdlog::formatter> /*formatter*/) override {}

  // Waits until as many lines are written or dropped as `posted`, at most.
  bool wait_for(std::uint64_t posted, std::chrono::nanoseconds patience) {
    std::unique_lock lock(mutex_);
    return written_out_.wait_for(lock, patience, [&] { return written_ + queue_->overrun_counter() >= posted; });
  }
  // From any thread: the writing one may be held by a log that takes nothing.
  void count_overrun() noexcept { count_up_to(queue_->overrun_counter()); }
  void reopen() { file_.reopen(); }
  // After the thread has ended.
  void finish(std::uint64_t dropped) {
    report_dropped(dropped);
    write_out();
  }

 private:
  static constexpr std::size_t most_gathered_bytes = 64 * 1024;
  static constexpr std::uint64_t report_interval = 1024;

  void write_out() {
    std::size_t written = file_.append(buffer_);
    if (written < buffer_.size())
      count_dropped(static_cast<std::uint64_t>(
          std::count_if(line_ends_.begin(), line_ends_.end(), [&](auto end) { return !holds_line(written, end); })));
    buffer_.clear();
    std::lock_guard lock(mutex_);
    written_ += line_ends_.size();
    line_ends_.clear();
    written_out_.notify_all();
  }
  // What the queue has dropped in all.
  void count_up_to(std::uint64_t dropped) noexcept {
    std::uint64_t before = counted_.load(std::memory_order_relaxed);
    while (before < dropped)
      if (counted_.compare_exchange_weak(before, dropped, std::memory_order_relaxed))
        return count_dropped(dropped - before);
  }
  void report_dropped(std::uint64_t dropped) {
    since_report_ = 0;
    count_up_to(dropped);
    std::uint64_t news = dropped - std::exchange(reported_, dropped);
    if (news == 0) return;
    const field fields[] = {{"dropped", news}};
    line_parts parts;
    parts.severity = level::warn;
    parts.time = std::chrono::system_clock::now();
    parts.message = "log lines dropped: the queue was full";
    parts.fields = fields;
    append_line(buffer_, format_, parts);
    buffer_ += '\n';
  }

  line_file file_;
  line_format format_;
  spdlog::details::thread_pool* queue_ = nullptr;
  std::string buffer_;
  std::vector<std::size_t> line_ends_;  // of the lines in the buffer that were handed over
  std::uint64_t since_report_ = 0;
  std::uint64_t reported_ = 0;  // of the lines that the queue dropped, those that the log tells of
  std::atomic<std::uint64_t> counted_ = 0;
  std::mutex mutex_;
  std::condition_variable written_out_;
  std::uint64_t written_ = 0;
};

spdlog::level::level_enum spdlog_level(level l) {
  switch (l) {
    case level::debug:
      return spdlog::level::debug;
    case level::info:
      return spdlog::level::info;
    case level::warn:
      return spdlog::level::warn;
    case level::error:
      return spdlog::level::err;
    case level::off:
      break;
  }
  return spdlog::level::critical;
}

class queued_writer final : public writer {
 public:
  explicit queued_writer(const options& how)
      : sink_(std::make_shared<gathering_sink>(how)),
        queue_(std::make_shared<spdlog::details::thread_pool>(how.queue_lines, 1)),
        logger_(std::make_shared<spdlog::async_logger>("penstock", sink_, queue_,
                                                       spdlog::async_overflow_policy::overrun_oldest)) {
    sink_->watch(*queue_);
    logger_->set_level(spdlog::level::trace);
  }
  queued_writer(const queued_writer&) = delete;
  queued_writer& operator=(const queued_writer&) = delete;
  ~queued_writer() override {
    std::uint64_t dropped = queue_->overrun_counter();
    queue_.reset();  // Writes what waits and joins the thread; nobody else holds the queue for long.
    sink_->finish(dropped);
  }

  void write(level severity, std::string_view line) override {
    posted_.fetch_add(1, std::memory_order_relaxed);
    logger_->log(spdlog_level(severity), spdlog::string_view_t(line.data(), line.size()));
    auto patience = std::chrono::nanoseconds(patience_with_each_.load(std::memory_order_relaxed));
    if (patience.count() != 0) flush(patience);
  }
  bool flush(std::chrono::nanoseconds patience) noexcept override {
    return sink_->wait_for(posted_.load(std::memory_order_relaxed), patience);
  }
  // The queue stays: dropping it would join its thread, which a log that takes no more lines holds for good.
  void write_at_once(std::chrono::nanoseconds patience) override {
    if (flush(patience)) patience_with_each_.store(patience.count(), std::memory_order_relaxed);
  }
  void count_overrun() noexcept override { sink_->count_overrun(); }
  void reopen() override { sink_->reopen(); }

 private:
  std::atomic<std::uint64_t> posted_ = 0;
  std::atomic<std::chrono::nanoseconds::rep> patience_with_each_ = 0;
  std::shared_ptr<gathering_sink> sink_;
  std::shared_ptr<spdlog::details::thread_pool> queue_;
  std::shared_ptr<spdlog::async_logger> logger_;
};

}  // namespace

std::unique_ptr<writer> make_writer(const options& how) {
  if (how.queue_lines == 0) return std::make_unique<direct_writer>(how.file);
  return std::make_unique<queued_writer>(how);
}

std::uint64_t dropped_so_far() noexcept { return total_dropped.load(std::memory_order_relaxed); }

void count_dropped(std::uint64_t lines) noexcept {
  static const metrics::counter dropped = metrics::default_registry().counter(
      "penstock_log_dropped_total", "Log lines lost: dropped from a full queue or refused by the disk.");
  total_dropped.fetch_add(lines, std::memory_order_relaxed);
  dropped.add(lines);
}

}  // namespace penstock::log

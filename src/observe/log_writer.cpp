// Invariants: a line is written whole and in the order of its thread; every line handed over is either written or
// counted as dropped, so posted = written + dropped once the queue is empty. That equation is what flush waits for.

#include "observe/log_writer.h"

#include "observe/log_line.h"
#include "penstock/observe/error.h"
#include "penstock/observe/metrics.h"

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/sinks/sink.h>
#include <unistd.h>

namespace penstock::log {
namespace {

std::atomic<std::uint64_t> total_dropped = 0;

// A file descriptor that lines are appended to.
class line_file {
 public:
  explicit line_file(const std::string& path) : owned_(!path.empty()) {
    if (!owned_) return;
    fd_ = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (fd_ < 0)
      throw penstock::error(observe_errc::log_file,
                            "log file '" + path + "': " + std::generic_category().message(errno));
  }
  line_file(const line_file&) = delete;
  line_file& operator=(const line_file&) = delete;
  ~line_file() {
    if (owned_) ::close(fd_);
  }

  // False when the disk, or whoever reads the pipe, refused.
  bool append(std::string_view text) noexcept {
    while (!text.empty()) {
      ssize_t n = ::write(fd_, text.data(), text.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }

 private:
  bool owned_;
  int fd_ = STDERR_FILENO;
};

class direct_writer final : public writer {
 public:
  explicit direct_writer(const std::string& path) : file_(path) {}

  void write(level /*severity*/, std::string_view line) override {
    std::lock_guard lock(mutex_);
    buffer_.assign(line);
    buffer_ += '\n';
    if (!file_.append(buffer_)) count_dropped(1);
  }
  bool flush(std::chrono::nanoseconds /*patience*/) noexcept override { return true; }

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
    ++gathered_;
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
  // After the thread has ended.
  void finish(std::uint64_t dropped) {
    report_dropped(dropped);
    write_out();
  }

 private:
  static constexpr std::size_t most_gathered_bytes = 64 * 1024;
  static constexpr std::uint64_t report_interval = 1024;

  void write_out() {
    if (!file_.append(buffer_)) count_dropped(gathered_);
    buffer_.clear();
    std::lock_guard lock(mutex_);
    written_ += std::exchange(gathered_, 0);
    written_out_.notify_all();
  }
  void report_dropped(std::uint64_t dropped) {
    since_report_ = 0;
    std::uint64_t news = dropped - std::exchange(reported_, dropped);
    if (news == 0) return;
    count_dropped(news);
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
  std::uint64_t gathered_ = 0;
  std::uint64_t since_report_ = 0;
  std::uint64_t reported_ = 0;
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
  }
  bool flush(std::chrono::nanoseconds patience) noexcept override {
    return sink_->wait_for(posted_.load(std::memory_order_relaxed), patience);
  }

 private:
  std::atomic<std::uint64_t> posted_ = 0;
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

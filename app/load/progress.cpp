// A redraw overwrites the line with text and spaces alone, so it needs no escape codes.

#include "app/load/progress.h"

#include <penstock/async/timeout.h>

#include <algorithm>
#include <cmath>
#include <ostream>

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace penstock::app::load {
namespace {

using namespace std::chrono_literals;

constexpr double memory_seconds = 3;

std::string remaining(const progress_state& s) {
  if (!s.total_bytes || s.bytes_per_second <= 0 || s.bytes >= *s.total_bytes) return {};
  auto left = static_cast<std::uint64_t>(std::ceil(static_cast<double>(*s.total_bytes - s.bytes) / s.bytes_per_second));
  if (left >= 100 * 3600) return {};
  std::string text = left >= 3600 ? fmt::format("{}:{:02}:{:02}", left / 3600, left / 60 % 60, left % 60)
                                  : fmt::format("{}:{:02}", left / 60, left % 60);
  return "  " + text + " left";
}

std::optional<double> fraction(const progress_state& s) {
  if (!s.total_bytes || *s.total_bytes == 0) return std::nullopt;
  return std::min(1.0, static_cast<double>(s.bytes) / static_cast<double>(*s.total_bytes));
}

std::size_t terminal_width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

class progress_line {
 public:
  explicit progress_line(std::ostream& out) noexcept : out_(out) {}
  progress_line(const progress_line&) = delete;
  progress_line& operator=(const progress_line&) = delete;
  ~progress_line() {
    if (drawn_ > 0) redraw("");
    out_ << '\r' << std::flush;
  }

  void redraw(std::string_view text) {
    out_ << '\r' << text << std::string(drawn_ > text.size() ? drawn_ - text.size() : 0, ' ') << std::flush;
    drawn_ = text.size();
  }

 private:
  std::ostream& out_;
  std::size_t drawn_ = 0;
};

}  // namespace

void rate_meter::note(time_point now, std::uint64_t count) noexcept {
  double seconds = last_ ? std::chrono::duration<double>(now - *last_).count() : 0;
  if (last_ && seconds <= 0) return;
  if (last_) {
    double current = static_cast<double>(count - count_) / seconds;
    double weight = steady_ ? 1 - std::exp(-seconds / memory_seconds) : 1;
    rate_ += (current - rate_) * weight;
    steady_ = steady_ || rate_ > 0;
  }
  last_ = now;
  count_ = count;
}

std::string progress_text(const progress_state& s) {
  std::string text;
  if (std::optional<double> done = fraction(s)) text = fmt::format("{:3.0f} %  ", std::floor(*done * 100));
  text += fmt::format("{} items  {}/s  {}/s", with_commas(s.items),
                      with_commas(static_cast<std::uint64_t>(s.items_per_second)), in_megabytes(s.bytes_per_second));
  if (s.rejected > 0) text += "  " + with_commas(s.rejected) + " rejected";
  return text + remaining(s);
}

std::string progress_bar(const progress_state& s, std::size_t width) {
  constexpr std::size_t shortest = 10, longest = 40, frame = 3;
  std::string text = progress_text(s);
  std::optional<double> done = fraction(s);
  if (done && text.size() + shortest + frame <= width) {
    std::size_t length = std::min(longest, width - text.size() - frame);
    auto filled = static_cast<std::size_t>(*done * static_cast<double>(length));
    return "[" + std::string(filled, '#') + std::string(length - filled, '-') + "] " + text;
  }
  return text.substr(0, width);
}

task<void> show_progress(const report& from, progress_options options, std::ostream& out) {
  scheduler& clock = scheduler::current();
  rate_meter items, bytes;
  std::optional<progress_line> line;
  if (options.terminal) line.emplace(out);
  duration pause = options.terminal ? duration(100ms) : duration(5s);
  for (;;) {
    const totals& t = from.counts();
    items.note(clock.now(), t.items());
    bytes.note(clock.now(), t.source_bytes);
    auto next = sleep_for(pause);
    co_await next;
    items.note(clock.now(), t.items());
    bytes.note(clock.now(), t.source_bytes);
    progress_state s{t.items(),           t.rejected + t.unknown, t.source_bytes,
                     options.total_bytes, items.per_second(),     bytes.per_second()};
    if (line)
      line->redraw(progress_bar(s, terminal_width() - 1));
    else
      out << "load: " << progress_text(s) << std::endl;
  }
}

std::string with_commas(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

std::string in_megabytes(double bytes) { return fmt::format("{:.1f} MB", bytes / 1e6); }

}  // namespace penstock::app::load

// A batch holds items of one file only. A file that fails ends there: the items before it are given, then a rejection
// that says what failed, then the next file.

#include "app/load/batch_source.h"

#include "app/load/file_format.h"
#include "app/load/json_reader.h"

#include <algorithm>
#include <exception>

namespace penstock::app::load {
namespace {

constexpr std::size_t most_head_bytes = std::size_t{64} << 10;
// The first batches are small, so that the server and its database need not wait for a full one to be read.
constexpr std::size_t first_items = 500;
constexpr std::size_t doublings = 16;
constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";

// Memory that is not written to costs nothing, and memory that grows is copied.
constexpr std::size_t most_bytes_reserved = std::size_t{4} << 20;

bool shows_a_line(std::string_view head) noexcept {
  std::size_t first = head.find_first_not_of(" \t\r\n");
  return head.size() >= most_head_bytes ||
         (first != std::string_view::npos && head.find_first_of("\r\n", first) != std::string_view::npos);
}

std::unique_ptr<item_reader> make_reader(file_format format, const source_options& options) {
  if (format == file_format::csv) return std::make_unique<csv_reader>(options.csv, options.most_item_bytes);
  ingest::body_format json = format == file_format::json ? ingest::body_format::json : ingest::body_format::ndjson;
  return std::make_unique<json_reader>(json, options.most_item_bytes);
}

}  // namespace

batch_source::batch_source(std::vector<std::string> paths, source_options options, const stop_flag& stop)
    : paths_(std::move(paths)), options_(std::move(options)), stop_(stop) {}

bool batch_source::fill(batch& into) {
  into.clear();
  into.body.reserve(std::min(options_.batch.bytes, most_bytes_reserved));
  while (!stop_.is_set() && (file_ || next_path_ < paths_.size())) {
    into.file = file_ ? next_path_ - 1 : next_path_;
    try {
      if (!file_) open_next();
      if (!fill_from_file(into)) return false;
    } catch (const std::exception& failure) {
      into.reject(load_errc::unreadable, std::max(last_line_, into.last_line),
                  std::string(failure.what()) + "; nothing behind this line was read", {});
      close_file();
    }
    if (!into.empty()) return true;
  }
  return false;
}

void batch_source::open_next() {
  accounted_bytes_ = 0;
  last_line_ = 1;
  finished_ = false;
  head_.clear();
  file_.emplace(paths_[next_path_++], stop_);
}

// Returns with items, or with none when the file has ended; false when it was stopped.
bool batch_source::fill_from_file(batch& into) {
  if (!reader_ && !choose_reader(into)) return !stop_.is_set();
  batch_limits limits = options_.batch;
  limits.items = std::min(limits.items, first_items << std::min(given_, doublings));
  while (!reader_->fill(into, limits)) {
    if (reader_->given_up() || finished_) {
      account(into);
      close_file();
      return true;
    }
    read_state state = file_->read();
    if (state == read_state::stopped) return false;
    if (state == read_state::data) reader_->feed(file_->piece());
    if (state == read_state::idle && !into.empty()) break;
    finished_ = state == read_state::end;
    if (finished_) reader_->finish();
  }
  account(into);
  ++given_;
  return true;
}

void batch_source::account(batch& into) noexcept {
  into.source_bytes = file_->bytes_read() - accounted_bytes_;
  accounted_bytes_ = file_->bytes_read();
  last_line_ = std::max(last_line_, into.last_line);
}

// Reads the beginning, chooses the reader and feeds it. False when stopped, or when the file is given up.
bool batch_source::choose_reader(batch& into) {
  while (!finished_ && !shows_a_line(head_)) {
    read_state state = file_->read();
    if (state == read_state::stopped) return false;
    if (state == read_state::data) head_.append(file_->piece());
    finished_ = state == read_state::end;
  }
  std::string_view text = head_;
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  source_options options = options_;
  if (!options.csv.delimiter) options.csv.delimiter = delimiter_of(paths_[into.file]);
  std::optional<file_format> format = options.format;
  if (!format) format = guess_format(paths_[into.file], text, *options.csv.delimiter);
  if (!format) {
    into.reject(load_errc::malformed, 1, "it looks like neither JSON nor CSV; say --format", {});
    close_file();
    return false;
  }
  reader_ = make_reader(*format, options);
  reader_->feed(text);
  if (finished_) reader_->finish();
  return true;
}

void batch_source::close_file() noexcept {
  reader_.reset();
  file_.reset();
}

}  // namespace penstock::app::load

#pragma once

// The file that rejected items are written to. The items of a load may come from the rejects of an earlier one, by
// `jq -r .item FILE | penstock load -`: so a file that is there keeps what it has until the load is at its end.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/stat.h>

namespace penstock::app::load {

/// The file, by its number among those to load, and the line that a reject is from.
using reject_place = std::pair<std::size_t, std::uint64_t>;

/// Lines that are written to "PATH.part" and get the name PATH at the end. What is no regular file (a pipe, a terminal,
/// a link), or stands in a folder where nothing can be made, is written in place. Belongs to one thread.
///
/// Once something can't be written, nothing more is: the file ends with a whole line, and it is told what is missing.
class rejects_file {
 public:
  /// Nothing is made before the first line.
  explicit rejects_file(std::string path) : path_(std::move(path)) {}
  rejects_file(const rejects_file&) = delete;
  rejects_file& operator=(const rejects_file&) = delete;
  /// As `finish(false)` does, where it was not called.
  ~rejects_file();

  /// Adds a line, which ends with '\n', for the reject from there.
  void write(reject_place from, std::string_view line);
  /// Hands what was added to the system.
  void flush();
  /// Gives the file its name. Where one of that name is there, it is replaced only when `may_replace`, nothing is
  /// missing, and it is as it was before the first line: another load may have written it. Else, and when renaming
  /// fails, the lines stay where they are: see `where`.
  void finish(bool may_replace);

  /// Whether there is a file.
  bool is_made() const noexcept { return !where_.empty(); }
  /// Where the lines are by now. Empty when there are none.
  const std::string& where() const noexcept { return where_; }
  /// What could not be done, as "PATH: write: No space left on device". Empty when all went well.
  const std::string& failure() const noexcept { return failure_; }
  /// The lines that are not in the file. With a failure and none of them, it is not known which.
  std::uint64_t missing() const noexcept { return missing_; }
  /// From where the first of these is.
  std::optional<reject_place> first_missing() const noexcept { return first_missing_; }

 private:
  struct buffered_line {
    reject_place from;
    std::size_t end;
  };

  void open();
  void open_beside();
  void move_to_its_name();
  void fail(const char* what);
  void note_missing(reject_place from);
  void cut_off(std::size_t bytes);

  std::string path_;
  std::string where_;
  std::string buffer_;
  std::vector<buffered_line> lines_;  // of the buffer
  std::string failure_;
  std::uint64_t missing_ = 0;
  std::optional<reject_place> first_missing_;
  int descriptor_ = -1;
  std::optional<struct ::stat> replaced_;  // what was at the path
};

}  // namespace penstock::app::load

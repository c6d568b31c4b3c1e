#pragma once

// The file that rejected items are written to. The items of a load may come from the rejects of an earlier one, by
// `jq -r .item FILE | penstock load -`: so a file that is there keeps what it has until the load is at its end.

#include <string>
#include <string_view>
#include <utility>

namespace penstock::app::load {

/// Lines that are written to "PATH.part" and get the name PATH at the end. What is no regular file (a pipe, a terminal,
/// a link), or stands in a folder where nothing can be made, is written in place. Belongs to one thread.
class rejects_file {
 public:
  /// Nothing is made before the first line.
  explicit rejects_file(std::string path) : path_(std::move(path)) {}
  rejects_file(const rejects_file&) = delete;
  rejects_file& operator=(const rejects_file&) = delete;
  /// As `finish(false)` does, where it was not called; failures are lost.
  ~rejects_file();

  /// Adds a line. Throws `std::system_error`, as the two below, when the file can't be made or written.
  void write(std::string_view line);
  /// Hands what was added to the system.
  void flush();
  /// Gives the file its name. Where one of that name is there, it is replaced only when `may_replace`. Without leave,
  /// and when renaming fails, the lines stay where they are: see `where`.
  void finish(bool may_replace);

  /// Whether a line was written.
  bool is_made() const noexcept { return !where_.empty(); }
  /// Where the lines are by now. Empty when there are none.
  const std::string& where() const noexcept { return where_; }

 private:
  void open();
  void open_beside();
  void move_to_its_name();

  std::string path_;
  std::string where_;
  std::string buffer_;
  int descriptor_ = -1;
};

}  // namespace penstock::app::load

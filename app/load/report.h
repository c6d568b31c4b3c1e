#pragma once

// What became of the items: counted, the bad ones written to the rejects file.

#include "app/load/answer.h"
#include "app/load/batch.h"
#include "app/load/rejects_file.h"
#include <penstock/async/scheduler.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::app::load {

/// Items, by what became of them.
struct totals {
  std::uint64_t stored = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t rejected = 0;  ///< By the server, or already while reading.
  std::uint64_t unknown = 0;   ///< Sent, and no answer came.
  std::uint64_t not_sent = 0;
  std::uint64_t unnamed = 0;  ///< Of the rejected: the server did not say which they are.
  std::uint64_t retries = 0;
  std::uint64_t source_bytes = 0;  ///< Of the files, of batches that are done with.

  std::uint64_t items() const noexcept { return stored + duplicates + rejected + unknown + not_sent; }
};

/// Keeps the totals and writes rejects. Belongs to one thread.
///
/// A line of the rejects file is {"file","line","code","message","pointer","item"}; `item` is the item's text as a
/// string (bytes that are no UTF-8 become U+FFFD), so that `jq -r .item` gives what could be loaded. A CSV row that
/// is no item is there as it stands in the file.
class report {
 public:
  /// The file at `rejects_path` is made, or made anew, when there is a rejection.
  report(std::vector<std::string> files, std::string rejects_path);

  /// A batch was carried out. Where rejects can't be written, here and below, `rejects_failure` says so.
  void carried_out(const batch& b, const answer& a);
  /// A batch was sent, and no answer came.
  void lost(const batch& b, const std::string& why);
  /// A batch was given up before it was sent.
  void not_sent(const batch& b, const std::string& why);
  void retried() noexcept { ++totals_.retries; }
  /// Says that a batch is about to be sent: a load that stops can be resumed behind the last such one.
  void begun(const batch& b) noexcept {
    if (!last_begun_ || last_begun_->first != b.file) items_begun_ = 0;
    last_begun_ = {b.file, b.last_line};
    items_begun_ += b.items.size() + b.rejected.size();
  }
  /// Gives the rejects their name. Those of an earlier load, which the input may come from, are replaced only where
  /// none are missing because of a failure, and where every item was read and each rejected one is there, or the input
  /// `can_be_read_again`.
  void finish(bool reached_the_end, bool can_be_read_again) {
    rejects_.finish((reached_the_end && totals_.unnamed == 0) || can_be_read_again);
  }

  const totals& counts() const noexcept { return totals_; }
  /// The first few rejections, as "FILE line N: CODE: MESSAGE (at POINTER)"; one for all of a batch that was
  /// lost or not sent.
  const std::vector<std::string>& first_rejections() const noexcept { return first_; }
  /// Where the rejects are by now.
  const std::string& rejects_path() const noexcept { return rejects_.where(); }
  bool wrote_rejects() const noexcept { return rejects_.is_made(); }
  /// Why not all rejects are in the file; empty when they are.
  const std::string& rejects_failure() const noexcept { return rejects_.failure(); }
  /// How many rejects are not in the file. With a failure and none, nobody knows.
  std::uint64_t missing_rejects() const noexcept { return rejects_.missing(); }
  /// "FILE line N": where the first of these is from. Empty when there are none.
  std::string first_missing_reject() const;
  /// "FILE line N": nothing behind it was sent. Empty when nothing was sent at all.
  std::string last_place() const;
  /// The number of the item there, among those of its file: several may begin in one line. 0 when nothing was sent.
  std::uint64_t last_item() const noexcept { return items_begun_; }

 private:
  void all(const batch& b, load_errc code, const std::string& why);
  void read_rejections(const batch& b);
  void reject(std::size_t file, const rejection& r);
  void show(std::string rejection);
  void write(std::size_t file, const rejection& r);
  std::string in_words(std::optional<reject_place> place) const;

  std::vector<std::string> files_;
  rejects_file rejects_;
  totals totals_;
  std::vector<std::string> first_;
  std::optional<reject_place> last_begun_;
  std::uint64_t items_begun_ = 0;  // of its file
};

}  // namespace penstock::app::load

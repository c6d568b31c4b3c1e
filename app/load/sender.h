#pragma once

// Takes batches from a source and sends them, so many at a time, until there are no more or sending makes no sense.
//
//   sender s(fill, post, {.concurrency = 4}, result, reading);
//   co_await s.run();

#include "app/load/batch.h"
#include "app/load/delivery.h"
#include "app/load/report.h"
#include "app/load/source_file.h"
#include <penstock/async/channel.h>
#include <penstock/async/event.h>
#include <penstock/async/task.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::app::load {

/// How batches are sent.
struct send_options {
  std::size_t concurrency = 4;  ///< Requests in flight.
  retry_options retry = {};
};

/// Sends batches. Belongs to one loop; runs once. A batch that the server finds too large (413) goes in parts, and so
/// do the next ones of its size, until larger ones are tried again; a single item that is too large is rejected. Items
/// that the server rejected and did not name, since they were too many for its answer, go again in parts, and so do the
/// next batches: being rejected, they are not stored.
///
/// A batch that the database fails for what may be in one of its items (503 with `db.other`, `db.syntax` or
/// `db.interrupted`) goes in halves, down to that item, which waits for others to go in and is tried again. It is
/// rejected once it has failed alone for 3 s, three times at least and with rows stored each time in between; where
/// nothing else is left to send, once it has failed for 3 s since the last rows were stored.
///
/// After more than 32 new ones of these without a row stored, or where they are all there is and nothing was ever
/// stored, the table is in doubt. Whatever is in hand is set aside then, and one item at a time is tried, from a new
/// batch or at random from what is aside, waiting longer and longer as in an outage. One that goes in ends the doubt;
/// doubt that lasts for `retry_for` ends sending.
///
/// What is aside takes some megabytes at most: before more is read, it is tried.
class sender {
 public:
  /// Fills a batch; false when there are no more, or `reading` was set. Called on a worker thread, one call at a time.
  using fill_function = std::function<bool(batch&)>;
  /// Sends a batch once. `key` names the batch, the same in each attempt.
  using post_function = std::function<task<attempt>(const batch&, const std::string& key)>;

  sender(fill_function fill, post_function post, const send_options& options, report& result, stop_flag& reading);

  /// Runs until all is sent or it was stopped, as it is too when rejects can't be written. Throws what `fill` and
  /// `post` throw. When cancelled, what was in flight is reported as unknown.
  task<void> run();
  /// Sends no more requests; those in flight are waited for, those that wait to be sent again are given up.
  void stop(std::string reason);
  /// Why it stopped before the end; empty when it did not.
  const std::string& stopped_because() const noexcept { return reason_; }

 private:
  // What came of sending a batch as one request.
  struct request_end {
    bool carried_out = false;
    bool too_large = false;                 // for the server; nothing is reported then
    bool upsetting = false;                 // the database fails for what may be in one of them; nor then
    bool named_all = true;                  // that were rejected
    std::vector<std::size_t> unnamed = {};  // of the others, those that are known; they are not reported
    std::string code = {};                  // of what is upsetting
  };

  // What waits to be sent: what was in hand when the table came into doubt, or an item that has failed alone.
  struct aside {
    batch items;
    time_point first_failure = {};
    time_point last_failure = {};
    time_point failing_since = {};  // without others that went in
    std::uint64_t well_before = 0;  // `well_`, at its last failure
    std::size_t tries = 0;          // alone
    std::size_t tries_between = 0;  // with others that went in since the one before
  };
  class counted;

  task<void> read();
  task<void> send();
  task<void> deliver(const batch& b);
  task<bool> deliver_now(const batch& b);
  task<request_end> deliver_whole(const batch& b);
  task<void> deliver_in_parts(const batch& b, std::size_t most_items);
  task<request_end> attempt_until_decided(const batch& b);
  request_end conclude(const batch& b, const attempt& last, decision::step outcome);
  request_end carried_out(const batch& b, answer told);
  void send_fewer_than(std::size_t items) noexcept;
  void reject_only_item(const batch& b, std::string_view code, const std::string& why);
  void note_unknown(const batch& b, const std::string& why);
  std::unique_ptr<batch> take_spare();
  static task<bool> happens_within(event& what, duration time);

  bool is_in_doubt() const noexcept;
  void note_well() noexcept;
  void set_part_aside(batch b);
  void set_item_aside(const batch& b);
  task<void> try_before_reading_on();
  task<void> try_while_idle();
  task<void> try_next_or_wait();
  task<void> try_again(aside& what);
  task<bool> try_item(aside& item);
  task<void> probe();
  task<bool> probe_with_some_of(const batch& part);
  void take_new_batch();
  bool has_aside() const noexcept { return !parts_aside_.empty() || !likely_aside_.empty() || !items_aside_.empty(); }
  bool waits_for_others() const noexcept;
  bool only_items_are_left() const noexcept;
  bool is_to_blame(const aside& item) const;
  std::optional<aside> take_ripe();
  std::optional<aside> take_due();
  void put(std::deque<aside>& into, aside what);
  aside take_first(std::deque<aside>& from);

  fill_function fill_;
  post_function post_;
  send_options options_;
  report& result_;
  stop_flag& reading_;
  channel<std::unique_ptr<batch>> ready_;
  std::vector<std::unique_ptr<batch>> spare_;
  event stopping_;
  std::string reason_;
  std::size_t unknown_in_a_row_ = 0;
  event input_ended_;
  std::size_t sending_ = 0;  // senders with a batch of the source in hand

  // Times that the table was seen to be well: rows were stored, or an item that had failed alone was carried out. What
  // else is carried out, as duplicates are, tells nothing of the table.
  std::uint64_t well_ = 0;
  std::size_t failing_items_ = 0;  // found since then
  std::optional<delivery> doubt_;  // attempts to find one that goes in
  std::size_t failed_probes_ = 0;
  std::size_t probe_items_ = 1;
  std::string last_failure_;
  event doubt_ended_;  // for a moment, or sending has
  std::deque<aside> parts_aside_;
  std::deque<aside> likely_aside_;  // parts to end a doubt with: new, or beside what has ended one
  std::deque<aside> items_aside_;   // the one that is tried next is the first
  std::size_t bytes_aside_ = 0;
  std::size_t in_hand_ = 0;  // of what was aside
  std::size_t parts_in_hand_ = 0;
  std::size_t probing_ = 0;

  std::size_t most_items_ = static_cast<std::size_t>(-1);  // of a request, by what was too much for the server
  bool may_grow_ = true;
  std::size_t taken_ = 0;  // requests of so many items, since
};

}  // namespace penstock::app::load

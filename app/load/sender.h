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
/// next batches: being rejected, they are not stored. A batch that the database fails for what may be in one of its
/// items (503 with `db.other`, `db.syntax` or `db.interrupted`) goes in halves, down to that item; after sixteen of
/// these without a row stored, others go first. An item is rejected when it has failed alone for 3 s, three times at
/// least and with rows stored each time in between; behind the last of the others without that, unless more than 32 in
/// a row fail there. Where nothing ever goes in, or more than 32 in a row fail, for `retry_for`, sending ends.
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
    bool too_large = false;                 // for the server; nothing is reported then
    bool upsetting = false;                 // the database fails for what may be in one of them; nor then
    bool named_all = true;                  // that were rejected
    std::vector<std::size_t> unnamed = {};  // of the others, those that are known; they are not reported
    std::string code = {};                  // of what is upsetting
    std::string why = {};                   // for people
  };

  // Where what is sent comes from.
  enum class piece {
    of_source,
    of_upsetting,    // of what the database has failed for what may be in an item
    known_to_upset,  // an item that has failed alone
  };
  // What waits for others to go in: a part of what has failed, or an item that has failed alone.
  struct aside {
    batch items;
    time_point first_failure;
    time_point last_failure;
    std::uint64_t stored_before = 0;  // requests with rows that were stored, at its last failure
    std::size_t tries = 0;            // 0: of a part
    std::size_t tries_between = 1;    // with rows stored since the one before
  };
  class holding;

  task<void> read();
  task<void> send();
  task<void> deliver(const batch& b, piece what);
  task<request_end> deliver_whole(const batch& b, piece what);
  task<void> deliver_in_parts(const batch& b, std::size_t most_items, piece what);
  task<request_end> attempt_until_decided(const batch& b, piece what);
  bool may_be_items_fault(const batch& b, piece what) noexcept;
  bool should_postpone() const noexcept;
  void set_part_aside(const batch& b);
  void set_item_aside(const batch& b);
  task<void> try_ripe();
  task<void> try_while_idle();
  task<void> try_next_or_wait();
  task<void> try_again(aside what);
  bool nothing_else_is_left() const noexcept;
  bool is_to_blame(const aside& item) const;
  bool is_given_up(const aside& item) const;
  static bool is_due(const aside& what);
  std::optional<aside> take_ripe();
  std::optional<aside> take_due();
  static aside take_first(std::deque<aside>& from);
  static task<bool> happens_within(event& what, duration time);
  request_end conclude(const batch& b, const attempt& last, decision::step outcome);
  request_end carried_out(const batch& b, answer told);
  void send_fewer_than(std::size_t items) noexcept;
  void reject_only_item(const batch& b, std::string_view code, const std::string& why);
  void note_unknown(const batch& b, const std::string& why);
  std::unique_ptr<batch> take_spare();

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
  std::uint64_t with_rows_stored_ = 0;  // requests; others tell nothing of the table
  // Since one of these: whole batches and single items that failed for what may be in an item, and were not known to.
  std::size_t upsetting_batches_in_a_row_ = 0;
  std::size_t upsetting_items_in_a_row_ = 0;
  std::deque<aside> parts_aside_;
  std::deque<aside> items_aside_;  // the one that is tried next is the first
  std::size_t sending_ = 0;        // senders with a batch of the source in hand
  event input_ended_;
  std::size_t in_hand_ = 0;  // of what was aside
  std::size_t parts_in_hand_ = 0;
  std::size_t most_items_ = static_cast<std::size_t>(-1);  // of a request, by what was too much for the server
  bool may_grow_ = true;
  std::size_t taken_ = 0;  // requests of so many items, since
};

}  // namespace penstock::app::load

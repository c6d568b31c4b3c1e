#pragma once

#include "penstock/async/event.h"
#include "penstock/async/task.h"
#include "penstock/net/stream.h"
#include "penstock/testing/chaos_proxy.h"
#include "penstock/testing/random_stream.h"
#include "penstock/testing/toxics.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::testing {

// What all connections of a proxy have in common.
struct chaos_shared {
  chaos_options options;
  chaos_counters counters;
  std::uint64_t texts_seen = 0;  // of toxics::lose_answer_to
};

// How a connection ends before its peers end it.
enum class chaos_ending {
  closed,       // both sides
  reset,        // both sides
  lost_answer,  // the asking side is reset, the answering one closed
};

// One direction of one connection: a queue between a task that reads from one side and a task that writes to the other,
// so that latency delays bytes without slowing down their flow.
class chaos_flow {
 public:
  // `end` ends the connection, both flows of it, from inside one of them.
  chaos_flow(chaos_shared& shared, std::uint64_t& passed_on_by_all, std::string_view name, const toxics& what,
             std::function<void(chaos_ending)> end);

  // Passes on until `from` has ended and `to` was told.
  task<void> pass(net::stream& from, net::stream& to, chaos_flow& answers);
  void set(const toxics& what);
  // What comes next is thrown away, and the connection ends with it.
  void lose_next() noexcept { loses_next_ = true; }
  std::uint64_t passed_on() const noexcept { return passed_on_; }

 private:
  struct piece {
    enum class kind { bytes, end, cut };
    kind what = kind::bytes;
    std::vector<std::byte> bytes{};
    time_point came{};
    double jitter = 0;          // the drawn share of toxics::jitter
    bool asks_in_vain = false;  // ends with the text whose answer is lost
  };

  task<void> read_all(net::stream& from);
  task<void> write_all(net::stream& to, chaos_flow& answers);
  task<void> write_piece(net::stream& to, const piece& p);
  task<void> until_moving();
  task<void> until_due(const piece& p);
  task<void> wait_for_change(std::optional<time_point> at_latest);
  void take(std::span<const std::byte> bytes);
  void corrupt(std::span<std::byte> bytes);
  void queue_bytes(std::span<const std::byte> bytes, bool asks_in_vain);
  void queue(piece p);
  void queue_cut();
  std::size_t end_of_text(std::span<const std::byte> bytes);
  std::size_t most_at_once() const noexcept;
  bool is_cut() const noexcept { return toxics_.cut_after_bytes && read_ >= *toxics_.cut_after_bytes; }
  void notify() noexcept;

  chaos_shared& shared_;
  std::uint64_t& passed_on_by_all_;
  random_stream random_;
  toxics toxics_;
  std::function<void(chaos_ending)> end_;
  std::deque<piece> queue_;
  std::size_t held_bytes_ = 0;
  std::uint64_t read_ = 0;
  std::uint64_t passed_on_ = 0;
  bool cut_queued_ = false;
  bool loses_next_ = false;
  std::string tail_;      // what was read last, for a text that comes in two reads
  time_point free_at_{};  // when the bandwidth allows the next bytes
  event changed_;         // toxics, the queue, or time
};

}  // namespace penstock::testing

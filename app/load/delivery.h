#pragma once

// What to do after an attempt to send a batch: a state machine without input or output. A batch is sent again under the
// same Idempotency-Key, so that it is stored once even if an attempt was carried out whose answer got lost.
//
//   delivery d({.retry_for = 60s});
//   decision next = d.after(attempt, clock.now(), clock.random());

#include <penstock/async/scheduler.h>

#include <cstdint>
#include <optional>
#include <string>

namespace penstock::app::load {

/// When a request is sent again.
struct retry_options {
  /// Counted from a request's first failure; 0: never. An attempt that got no answer, and took up what was left of it,
  /// is followed by one more: what has become of the items is then likely to be told.
  duration retry_for = std::chrono::seconds(60);
  std::optional<std::uint64_t> max_retries = {};         ///< Of a request; nothing: as many as the time allows.
  duration first_wait = std::chrono::milliseconds(200);  ///< Doubled from retry to retry, less up to a half at random.
  duration longest_wait = std::chrono::seconds(10);
};

/// One attempt to send a batch, and what came of it.
struct attempt {
  enum class end {
    answered,  ///< `status` and `body` tell what came of it.
    not_sent,  ///< There was no connection.
    lost,      ///< It was sent, at least in part, and no answer came.
  };

  end how = end::answered;
  int status = 0;
  std::string body = {};
  std::optional<duration> retry_after = {};  ///< The server's Retry-After.
  bool maybe_stored = false;                 ///< It failed, and the answer says that items are stored, or may be.
  std::string why = {};                      ///< For people, when there is no answer.
};

/// What to do next.
struct decision {
  enum class step {
    done,     ///< It was carried out; the answer tells about each item.
    retry,    ///< Send it again after `wait`.
    unknown,  ///< Its items may be stored or not; go on with the next batch.
    give_up,  ///< Its items are not stored, and the next batch would fare no better.
  };

  step what = step::done;
  duration wait{};
};

/// The attempts to send one batch.
class delivery {
 public:
  explicit delivery(const retry_options& options) noexcept : options_(options) {}

  decision after(const attempt& last, time_point now, std::uint64_t random) noexcept;
  /// True when an attempt may have been carried out.
  bool maybe_stored() const noexcept { return maybe_stored_; }

 private:
  std::optional<duration> next_wait(const attempt& last, time_point now, std::uint64_t random) noexcept;

  retry_options options_;
  std::optional<time_point> first_failure_;
  std::uint64_t retries_ = 0;
  bool maybe_stored_ = false;
  bool asked_late_ = false;  // once more, when the time was over
};

}  // namespace penstock::app::load

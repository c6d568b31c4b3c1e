#pragma once

// What is known of the request that a task works for. Bound once at the door, seen by everything below it: each log
// line carries the request's id, and clients send the trace on.
//
//   co_await current_request.bind(request_context(make_id(scheduler::current().random())), handle(request));

#include "penstock/async/task_local.h"

#include <string>
#include <utility>

namespace penstock {

/// A request's identity.
class request_context {
 public:
  explicit request_context(std::string id) : id_(std::move(id)) {}
  /// `is_sampled` and `trace_state` are what the trace's other members are told (W3C Trace Context, 3.2.2.5 and 3.3).
  request_context(std::string id, std::string trace_id, std::string span_id, bool is_sampled = true,
                  std::string trace_state = {})
      : id_(std::move(id)),
        trace_id_(std::move(trace_id)),
        span_id_(std::move(span_id)),
        trace_state_(std::move(trace_state)),
        is_sampled_(is_sampled) {}

  /// In every log line as `request_id`, in answers, and in problem documents.
  const std::string& id() const noexcept { return id_; }
  /// The W3C trace id (32 hex digits), in log lines as `trace_id`; empty when the request is part of no trace.
  const std::string& trace_id() const noexcept { return trace_id_; }
  /// The W3C id of the span around the running task (16 hex digits); empty as above. Within `http::server` it is the
  /// caller's, which makes no span of its own.
  const std::string& span_id() const noexcept { return span_id_; }
  /// Whether the caller may have recorded the trace.
  bool is_sampled() const noexcept { return is_sampled_; }
  /// What tracing systems say of the trace, sent on as it came; mostly empty.
  const std::string& trace_state() const noexcept { return trace_state_; }

 private:
  std::string id_;
  std::string trace_id_;
  std::string span_id_;
  std::string trace_state_;
  bool is_sampled_ = false;
};

/// The request of the running task; null outside requests.
inline const task_local<request_context> current_request;

}  // namespace penstock

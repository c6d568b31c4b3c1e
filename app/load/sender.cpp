// A batch is taken to be sent in the order it was read, and every batch that was taken is reported exactly once.

#include "app/load/sender.h"

#include <penstock/async/on_worker.h>
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/core/id.h>

#include <algorithm>
#include <exception>
#include <utility>

namespace penstock::app::load {
namespace {

// So many requests without an answer, one after another, mean that the server is not well.
constexpr std::size_t most_unknown_in_a_row = 8;
constexpr int content_too_large = 413;
// After so many requests of a size that the server takes, twice that is tried: what was too large before may have been
// a few of its items.
constexpr std::size_t taken_before_larger = 16;

std::string what_happened(const attempt& a) {
  return a.how == attempt::end::answered ? describe_problem(a.status, a.body) : a.why;
}

}  // namespace

sender::sender(fill_function fill, post_function post, const send_options& options, report& result, stop_flag& reading)
    : fill_(std::move(fill)),
      post_(std::move(post)),
      options_(options),
      result_(result),
      reading_(reading),
      ready_(1) {}

task<void> sender::run() {
  auto body = [this](task_group& group) -> task<> {
    group.start(read(), "read");
    for (std::size_t i = 0; i < options_.concurrency; ++i) group.start(send(), "send");
    co_return;
  };
  task<void> all = with_task_group(body);
  co_await std::move(all);
}

void sender::stop(std::string reason) {
  if (stopping_.is_set()) return;
  reason_ = std::move(reason);
  stopping_.set();
  reading_.set();
}

task<void> sender::read() {
  for (bool more = true; more && !stopping_.is_set();) {
    std::unique_ptr<batch> b = take_spare();
    auto filling = on_worker([this, &b] { return fill_(*b); });
    more = co_await filling;
    if (!more) break;
    auto handing_on = ready_.send(std::move(b));
    co_await handing_on;
  }
  ready_.close();
}

task<void> sender::send() {
  for (;;) {
    auto next = ready_.receive();
    std::optional<std::unique_ptr<batch>> b = co_await next;
    if (!b) co_return;
    if (stopping_.is_set()) continue;
    result_.begun(**b);
    task<void> delivered = deliver(**b);
    co_await std::move(delivered);
    spare_.push_back(std::move(*b));
  }
}

task<void> sender::deliver(const batch& b) {
  if (b.items.size() <= most_items_) {
    task<bool> sending = deliver_whole(b);
    bool done = co_await std::move(sending);
    if (done) co_return;
    most_items_ = std::min(most_items_, b.items.size() / 2);
    taken_ = 0;
  }
  task<void> sending_parts = deliver_in_parts(b);
  co_await std::move(sending_parts);
}

task<void> sender::deliver_in_parts(const batch& b) {
  std::size_t next = 0;
  try {
    while (next < b.items.size() && !stopping_.is_set()) {
      batch part = b.part(next, std::min(most_items_, b.items.size() - next));
      next += part.items.size();
      task<void> sending = deliver(part);
      co_await std::move(sending);
    }
  } catch (const operation_cancelled&) {
    if (next < b.items.size()) result_.not_sent(b.part(next, b.items.size() - next), "the load was interrupted");
    throw;
  }
  if (next < b.items.size()) result_.not_sent(b.part(next, b.items.size() - next), reason_);
}

// False, with nothing reported, when it is too large for the server.
task<bool> sender::deliver_whole(const batch& b) {
  try {
    task<bool> attempts = attempt_until_decided(b);
    bool done = co_await std::move(attempts);
    // Rejects that nobody can read would only become more.
    if (!result_.rejects_failure().empty()) stop(result_.rejects_failure());
    co_return done;
  } catch (const operation_cancelled&) {
    result_.lost(b, "the load was interrupted before the answer came");
    throw;
  }
}

task<bool> sender::attempt_until_decided(const batch& b) {
  if (b.items.empty()) {
    result_.carried_out(b, {});
    co_return true;
  }
  scheduler& clock = scheduler::current();
  std::string key = make_id(clock.random());
  delivery attempts(options_.retry);
  for (;;) {
    task<attempt> posted = post_(b, key);
    attempt last = co_await std::move(posted);
    decision next = attempts.after(last, clock.now(), clock.random());
    if (next.what == decision::step::give_up && last.status == content_too_large && b.items.size() > 1) co_return false;
    if (next.what != decision::step::retry) {
      conclude(b, last, next.what);
      co_return true;
    }
    task<bool> waited = wait_unless_stopped(next.wait);
    bool go_on = co_await std::move(waited);
    if (!go_on) {
      conclude(b, last, attempts.maybe_stored() ? decision::step::unknown : decision::step::give_up);
      co_return true;
    }
    result_.retried();
  }
}

void sender::conclude(const batch& b, const attempt& last, decision::step outcome) {
  if (outcome == decision::step::done) {
    std::optional<answer> told = parse_answer(last.body, b.items.size());
    if (!told) return note_unknown(b, "the server's answer is not one of penstock serve");
    unknown_in_a_row_ = 0;
    if (b.items.size() == most_items_ && ++taken_ == taken_before_larger) {
      most_items_ *= 2;
      taken_ = 0;
    }
    return result_.carried_out(b, *told);
  }
  std::string why = what_happened(last);
  if (outcome == decision::step::unknown) return note_unknown(b, why);
  if (last.status == content_too_large) return reject_only_item(b, why);
  result_.not_sent(b, why);
  stop(why);
}

void sender::reject_only_item(const batch& b, const std::string& why) {
  answer refused{.rejected = 1};
  refused.refused.push_back({0, std::string(code_name(load_errc::too_large)), why, {}});
  result_.carried_out(b, refused);
}

void sender::note_unknown(const batch& b, const std::string& why) {
  result_.lost(b, why);
  if (++unknown_in_a_row_ >= most_unknown_in_a_row) stop("too many requests in a row got no answer, the last: " + why);
}

// False when the sender was stopped meanwhile.
task<bool> sender::wait_unless_stopped(duration wait) {
  auto until_stopped = [this]() -> task<> {
    auto stopped = stopping_.wait();
    co_await stopped;
  };
  try {
    task<void> limited = with_timeout(wait, until_stopped());
    co_await std::move(limited);
    co_return false;
  } catch (const timed_out&) {
    co_return true;
  }
}

std::unique_ptr<batch> sender::take_spare() {
  if (spare_.empty()) return std::make_unique<batch>();
  std::unique_ptr<batch> b = std::move(spare_.back());
  spare_.pop_back();
  return b;
}

}  // namespace penstock::app::load

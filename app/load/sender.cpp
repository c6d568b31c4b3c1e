// A batch is taken to be sent in the order it was read, and every item of one that was taken is reported exactly once:
// also one that is sent a second time, which only those are that were rejected for a reason that is not known.

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
constexpr int service_unavailable = 503;

std::string what_happened(const attempt& a) {
  return a.how == attempt::end::answered ? describe_problem(a.status, a.body) : a.why;
}

std::optional<std::string> upsetting_code(const attempt& a) {
  if (a.how != attempt::end::answered || a.status != service_unavailable || a.maybe_stored) return std::nullopt;
  return code_that_one_item_may_cause(a.body);
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
    group.start(try_while_idle(), "try what is aside");
    for (std::size_t i = 0; i < options_.concurrency; ++i) group.start(send(), "send");
    co_return;
  };
  std::string reason = "the load was interrupted";
  std::exception_ptr failure;
  try {
    task<void> all = with_task_group(body);
    co_await std::move(all);
    reason = reason_;
  } catch (...) {
    failure = std::current_exception();
  }
  for (const std::deque<aside>* all : {&parts_aside_, &likely_aside_, &items_aside_})
    for (const aside& a : *all) result_.not_sent(a.items, reason);
  if (failure) std::rethrow_exception(failure);
}

void sender::stop(std::string reason) {
  if (stopping_.is_set()) return;
  reason_ = std::move(reason);
  stopping_.set();
  doubt_ended_.set();
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
    task<void> trying = try_before_reading_on();
    co_await std::move(trying);
    auto next = ready_.receive();
    std::optional<std::unique_ptr<batch>> b = co_await next;
    if (!b) break;
    if (stopping_.is_set()) continue;
    ++sending_;
    result_.begun(**b);
    task<void> delivered = deliver(**b);
    co_await std::move(delivered);
    spare_.push_back(std::move(*b));
    --sending_;
  }
  input_ended_.set();
  while (!stopping_.is_set() && (in_hand_ > 0 || has_aside())) {
    task<void> trying = try_next_or_wait();
    co_await std::move(trying);
  }
}

task<void> sender::deliver(const batch& b) {
  if (is_in_doubt() && !b.items.empty()) co_return set_part_aside(b);
  task<bool> delivered = deliver_now(b);
  co_await std::move(delivered);
}

// False when the database failed it as a whole.
task<bool> sender::deliver_now(const batch& b) {
  batch again;
  const batch* rest = &b;
  if (b.items.size() <= most_items_) {
    task<request_end> sending = deliver_whole(b);
    request_end end = co_await std::move(sending);
    if (end.upsetting) {
      if (b.items.size() == 1) {
        set_item_aside(b);
      } else {
        task<void> halving = deliver_in_parts(b, (b.items.size() + 1) / 2);
        co_await std::move(halving);
      }
      co_return false;
    }
    if (!end.too_large && end.named_all) co_return true;
    send_fewer_than(b.items.size());
    if (!end.too_large) {
      again = b.only(end.unnamed);
      rest = &again;
    }
  }
  task<void> sending_parts = deliver_in_parts(*rest, rest->items.size());
  co_await std::move(sending_parts);
  co_return true;
}

void sender::send_fewer_than(std::size_t items) noexcept {
  most_items_ = std::min(most_items_, std::max<std::size_t>(1, items / 2));
  taken_ = 0;
}

task<void> sender::deliver_in_parts(const batch& b, std::size_t most_items) {
  std::size_t next = 0;
  try {
    while (next < b.items.size() && !stopping_.is_set()) {
      if (is_in_doubt()) co_return set_part_aside(b.part(next, b.items.size() - next));
      batch part = b.part(next, std::min({most_items, most_items_, b.items.size() - next}));
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

task<sender::request_end> sender::deliver_whole(const batch& b) {
  try {
    task<request_end> attempts = attempt_until_decided(b);
    request_end end = co_await std::move(attempts);
    // Rejects that nobody can read would only become more.
    if (!result_.rejects_failure().empty()) stop(result_.rejects_failure());
    co_return end;
  } catch (const operation_cancelled&) {
    result_.lost(b, "the load was interrupted before the answer came");
    throw;
  }
}

task<sender::request_end> sender::attempt_until_decided(const batch& b) {
  if (b.items.empty()) {
    result_.carried_out(b, {});
    co_return request_end{};
  }
  scheduler& clock = scheduler::current();
  std::string key = make_id(clock.random());
  delivery attempts(options_.retry);
  for (;;) {
    task<attempt> posted = post_(b, key);
    attempt last = co_await std::move(posted);
    decision next = attempts.after(last, clock.now(), clock.random());
    if (next.what == decision::step::give_up && last.status == content_too_large && b.items.size() > 1)
      co_return request_end{.too_large = true};
    std::optional<std::string> upsetting;
    if (!attempts.maybe_stored()) upsetting = upsetting_code(last);
    if (upsetting) {
      last_failure_ = what_happened(last);
      co_return request_end{.upsetting = true, .code = *std::move(upsetting)};
    }
    if (next.what != decision::step::retry) co_return conclude(b, last, next.what);
    task<bool> waiting = happens_within(stopping_, next.wait);
    bool is_stopped = co_await std::move(waiting);
    if (is_stopped)
      co_return conclude(b, last, attempts.maybe_stored() ? decision::step::unknown : decision::step::give_up);
    result_.retried();
  }
}

sender::request_end sender::conclude(const batch& b, const attempt& last, decision::step outcome) {
  if (outcome == decision::step::done) {
    if (std::optional<answer> told = parse_answer(last.body, b.items.size())) return carried_out(b, std::move(*told));
    note_unknown(b, "the server's answer is not one of penstock serve");
    return {};
  }
  std::string why = what_happened(last);
  if (outcome == decision::step::unknown) {
    note_unknown(b, why);
  } else if (last.status == content_too_large) {
    reject_only_item(b, code_name(load_errc::too_large), why);
  } else {
    result_.not_sent(b, why);
    stop(why);
  }
  return {};
}

sender::request_end sender::carried_out(const batch& b, answer told) {
  unknown_in_a_row_ = 0;
  if (told.stored > 0) note_well();
  if (b.items.size() == most_items_ && may_grow_ && ++taken_ == taken_before_larger) {
    most_items_ *= 2;
    taken_ = 0;
  }
  request_end end{
      .carried_out = true, .named_all = told.refused.size() == told.rejected, .unnamed = std::move(told.unnamed)};
  if (!end.named_all && b.items.size() == 1) {
    reject_only_item(b, code_name(load_errc::rejected), "the server did not say why");
    return {.carried_out = true};
  }
  told.rejected -= end.unnamed.size();
  if (told.rejected > told.refused.size()) may_grow_ = false;  // the rejects lack these
  result_.carried_out(b, told);
  return end;
}

void sender::reject_only_item(const batch& b, std::string_view code, const std::string& why) {
  answer refused{.rejected = 1};
  refused.refused.push_back({0, std::string(code), why, {}});
  result_.carried_out(b, refused);
}

void sender::note_unknown(const batch& b, const std::string& why) {
  result_.lost(b, why);
  if (++unknown_in_a_row_ >= most_unknown_in_a_row)
    stop("of too many requests in a row nobody knows what became, the last: " + why);
}

task<bool> sender::happens_within(event& what, duration time) {
  auto until_then = [&]() -> task<> {
    auto happening = what.wait();
    co_await happening;
  };
  try {
    task<void> limited = with_timeout(time, until_then());
    co_await std::move(limited);
    co_return true;
  } catch (const timed_out&) {
    co_return false;
  }
}

std::unique_ptr<batch> sender::take_spare() {
  if (spare_.empty()) return std::make_unique<batch>();
  std::unique_ptr<batch> b = std::move(spare_.back());
  spare_.pop_back();
  return b;
}

}  // namespace penstock::app::load

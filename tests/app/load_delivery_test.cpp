// When a batch is sent again, and when that could store it twice.

#include "app/load/delivery.h"

#include <gtest/gtest.h>

namespace penstock::app::load {
namespace {

using namespace std::chrono_literals;
using step = decision::step;

constexpr time_point start{};

attempt answered(int status) { return {.status = status}; }
attempt not_sent() { return {.how = attempt::end::not_sent}; }
attempt lost() { return {.how = attempt::end::lost}; }

TEST(load_delivery, an_answer_ends_it) {
  EXPECT_EQ(delivery(retry_options{}).after(answered(200), start, 0).what, step::done);
}

TEST(load_delivery, what_was_certainly_not_carried_out_is_sent_again) {
  for (const attempt& a : {not_sent(), answered(429), answered(503)})
    EXPECT_EQ(delivery(retry_options{}).after(a, start, 0).what, step::retry) << a.status;
}

TEST(load_delivery, what_may_have_been_carried_out_is_sent_again_and_unknown_when_the_time_is_over) {
  attempt doubtful{.status = 503, .maybe_stored = true};
  for (const attempt& a : {lost(), answered(408), answered(500), answered(502), answered(504), answered(520),
                           answered(524), answered(599), doubtful}) {
    EXPECT_EQ(delivery(retry_options{}).after(a, start, 0).what, step::retry) << a.status;
    EXPECT_EQ(delivery({.retry_for = 0s}).after(a, start, 0).what, step::unknown) << a.status;
  }
}

TEST(load_delivery, a_success_that_tells_nothing_of_the_items_is_unknown_at_once) {
  for (int status : {201, 202, 204, 206})
    EXPECT_EQ(delivery(retry_options{}).after(answered(status), start, 0).what, step::unknown) << status;
}

TEST(load_delivery, a_refusal_for_good_is_not_sent_again) {
  for (int status : {301, 400, 401, 404, 413, 415, 501, 505, 511})
    EXPECT_EQ(delivery(retry_options{}).after(answered(status), start, 0).what, step::give_up) << status;
}

TEST(load_delivery, what_may_be_stored_never_counts_as_not_sent) {
  delivery d({.retry_for = 1s});
  EXPECT_EQ(d.after(lost(), start, 0).what, step::retry);
  EXPECT_EQ(d.after(not_sent(), start + 2s, 0).what, step::unknown);
}

TEST(load_delivery, waits_double_up_to_a_bound_and_vary) {
  retry_options options{.retry_for = 1h, .first_wait = 100ms, .longest_wait = 1s};
  delivery least(options), most(options);
  for (duration longest : {100ms, 200ms, 400ms, 800ms, 1000ms, 1000ms}) {
    EXPECT_EQ(least.after(not_sent(), start, 0).wait, longest / 2);
    auto half = static_cast<std::uint64_t>((longest / 2).count());
    EXPECT_EQ(most.after(not_sent(), start, half).wait, longest);
  }
}

TEST(load_delivery, the_time_for_retries_counts_from_the_first_failure) {
  delivery d({.retry_for = 10s, .longest_wait = 1h});
  EXPECT_EQ(d.after(not_sent(), start, 0).what, step::retry);
  EXPECT_EQ(d.after(not_sent(), start + 9999ms, 0).wait, 1ms);
  EXPECT_EQ(d.after(not_sent(), start + 10s, 0).what, step::give_up);
}

TEST(load_delivery, one_that_took_up_the_rest_of_the_time_in_vain_is_followed_by_one_more) {
  delivery d({.retry_for = 60s});
  EXPECT_EQ(d.after(lost(), start, 0).what, step::retry);
  EXPECT_EQ(d.after(lost(), start + 61s, 0).what, step::retry);
  EXPECT_EQ(d.after(lost(), start + 122s, 0).what, step::unknown);
  delivery counted({.retry_for = 60s, .max_retries = 1});
  EXPECT_EQ(counted.after(lost(), start, 0).what, step::retry);
  EXPECT_EQ(counted.after(lost(), start + 61s, 0).what, step::unknown);
}

TEST(load_delivery, retries_can_be_counted_or_turned_off) {
  delivery twice({.max_retries = 2});
  EXPECT_EQ(twice.after(not_sent(), start, 0).what, step::retry);
  EXPECT_EQ(twice.after(not_sent(), start, 0).what, step::retry);
  EXPECT_EQ(twice.after(not_sent(), start, 0).what, step::give_up);
  EXPECT_EQ(delivery({.retry_for = 0s}).after(not_sent(), start, 0).what, step::give_up);
}

TEST(load_delivery, retry_after_is_honoured) {
  attempt busy{.status = 503, .retry_after = 5s};
  EXPECT_EQ(delivery({.retry_for = 1min}).after(busy, start, 0).wait, 5s);
  EXPECT_EQ(delivery({.retry_for = 4s}).after(busy, start, 0).what, step::give_up);
}

}  // namespace
}  // namespace penstock::app::load

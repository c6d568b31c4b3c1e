#include "ingest/answer.h"

#include <penstock/db/error.h>
#include <penstock/ingest/error.h>

#include <exception>
#include <string>

#include <gtest/gtest.h>

namespace penstock::ingest {
namespace {

using namespace std::chrono_literals;

const std::exception_ptr lost =
    std::make_exception_ptr(db::database_error(db::db_errc::connection_lost, "nobody listens"));
const std::exception_ptr in_doubt = std::make_exception_ptr(error(ingest_errc::outcome_unknown, "nobody tells"));

// Of items that end one by one, with these failures; stored where there is none.
std::string answer_to(std::initializer_list<std::exception_ptr> ends) {
  item_ledger taken(kept_results{});
  for (std::size_t i = 0; i < ends.size(); ++i) taken.wait(0);
  for (const std::exception_ptr& failure : ends) taken.end({}, nullptr, failure ? &failure : nullptr);
  taken.close();
  return answer_of(taken, {}, "r", 1s).body;
}

void expect_in(const std::string& part, const std::string& whole) {
  EXPECT_NE(whole.find(part), std::string::npos) << part << "\nis not in\n" << whole;
}

TEST(answer, an_unknown_outcome_is_told_whatever_else_failed_before_or_after_it) {
  const std::string rest = "; 2 of 4 items were not stored: their batch could not be committed; send them again";
  for (const std::string& body :
       {answer_to({lost, lost, in_doubt, nullptr}), answer_to({lost, in_doubt, lost, nullptr})}) {
    expect_in("\"code\":\"ingest.outcome_unknown\"", body);
    expect_in("it is not known whether 1 of 4 items are stored", body);
    expect_in("look them up before sending them again", body);
    expect_in(rest, body);
    expect_in("\"failed\":3", body);
  }
}

TEST(answer, items_that_failed_alike_are_told_by_their_failure) {
  std::string body = answer_to({lost, lost, nullptr});
  expect_in("\"code\":\"db.connection_lost\"", body);
  expect_in("\"detail\":\"2 of 3 items were not stored", body);
  body = answer_to({in_doubt, in_doubt});
  expect_in("it is not known whether 2 of 2 items are stored", body);
  EXPECT_EQ(body.find("were not stored"), std::string::npos) << body;
}

TEST(answer, that_items_failed_says_too_where_the_rest_of_the_body_was_not_looked_at) {
  item_ledger taken(kept_results{});
  taken.wait(0);
  taken.end({}, nullptr, &lost);
  taken.close();
  const std::string rest = "what follows them in the body was not looked at";
  EXPECT_EQ(answer_of(taken, {}, "r", 1s).body.find(rest), std::string::npos);
  body_end end;
  end.malformed = body_error{"expected ','", 7, 1};
  expect_in(rest, answer_of(taken, end, "r", 1s).body);
  end = {};
  end.given_up.emplace(ingest_errc::overloaded, "no room");
  expect_in(rest, answer_of(taken, end, "r", 1s).body);
}

TEST(answer, says_which_items_were_rejected_though_not_all_of_them_are_named) {
  item_ledger taken(kept_results{.most = 4});
  for (bool good : {false, true, false, false, true, false, false, false, true, false}) {
    if (good)
      taken.wait(0);
    else
      taken.reject({"item.type", std::string(100, 'x'), {}, {}}, 0);
  }
  while (taken.anything_waits()) taken.end({}, nullptr, nullptr);
  taken.close();
  std::string all_kept = answer_of(taken, {}, "r", 1s).body;
  expect_in(R"("results_truncated":true,"unnamed":[[6,7],[9,9]])", all_kept);
  std::string two_fit = answer_of(taken, {}, "r", 1s, 400).body;
  expect_in(R"({"index":2,)", two_fit);
  expect_in(R"("results_truncated":true,"unnamed":[[3,3],[5,7],[9,9]])", two_fit);
  std::string none = answer_of(taken, {}, "r", 1s, 0).body;
  expect_in(R"("results":[],"results_truncated":true})", none);
}

TEST(answer, counts_no_failed_item_among_those_that_were_rejected) {
  item_ledger taken(kept_results{.most = 1});
  for (int i = 0; i < 3; ++i) taken.wait(0);
  for (int i = 0; i < 3; ++i) taken.end({}, nullptr, &lost);
  taken.close();
  expect_in(R"("results_truncated":true,"unnamed":[])", answer_of(taken, {}, "r", 1s).body);
}

TEST(answer, tells_of_alternating_items_within_a_bound) {
  item_ledger taken(kept_results{.most = 1});
  for (int i = 0; i < 40'000; ++i) {
    taken.reject({"item.type", "x", {}, {}}, 0);
    taken.wait(0);
  }
  while (taken.anything_waits()) taken.end({}, nullptr, nullptr);
  taken.close();
  EXPECT_LT(answer_of(taken, {}, "r", 1s).body.size(), 120'000u);
}

}  // namespace
}  // namespace penstock::ingest

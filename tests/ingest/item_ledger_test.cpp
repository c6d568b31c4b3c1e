#include "ingest/item_ledger.h"

#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace penstock::ingest {
namespace {

constexpr std::size_t message_bytes = 1'000;

void reject(item_ledger& in, int times) {
  for (int i = 0; i < times; ++i) in.reject({"item.type", std::string(message_bytes, 'x'), {}, {}}, 0);
}

std::size_t kept(const item_ledger& in) { return in.results().size(); }

TEST(item_ledger, keeps_the_first_results_of_a_kind_up_to_so_many_bytes) {
  item_ledger taken(kept_results{.stored = true, .most = 100, .most_bytes = 5'000});
  reject(taken, 10);
  EXPECT_EQ(kept(taken), 4u);
  EXPECT_TRUE(taken.truncated());
  taken.reject({"item.type", "short", {}, {}}, 0);
  EXPECT_EQ(kept(taken), 4u) << "an earlier one is missing";
  taken.wait(0);
  taken.end({}, nullptr, nullptr);
  EXPECT_EQ(kept(taken), 5u) << "the other kind has its own bytes";
  EXPECT_EQ(taken.counts().rejected, 11u);
}

TEST(item_ledger, keeps_one_result_of_any_length) {
  item_ledger taken(kept_results{.most_bytes = 10});
  reject(taken, 2);
  EXPECT_EQ(kept(taken), 1u);
}

TEST(item_ledger, notes_which_of_the_rejected_items_have_no_result) {
  result_room full{0};
  item_ledger taken(kept_results{.most = 2, .room = &full});
  taken.wait(0);
  reject(taken, 3);
  taken.wait(0);
  db::row_refusal refusal{"db.check", "no"};
  taken.end({}, nullptr, nullptr);
  taken.end({}, &refusal, nullptr);
  EXPECT_EQ(kept(taken), 2u);
  EXPECT_EQ(taken.unnamed(), (std::vector<bool>{false, false, false, true, true}));
}

TEST(item_ledger, notes_them_for_so_many_items_only) {
  item_ledger taken(kept_results{.most = 1});
  for (int i = 0; i < 100'000; ++i) taken.reject({"item.type", "x", {}, {}}, 0);
  EXPECT_EQ(taken.unnamed().size(), 65'536u);
}

TEST(item_ledger, shares_room_with_others_beyond_a_few_results) {
  result_room room{50'000};
  auto one = std::make_unique<item_ledger>(kept_results{.room = &room});
  item_ledger other(kept_results{.room = &room});
  reject(*one, 100);
  EXPECT_GT(room.taken_bytes, 48'000u);
  EXPECT_LE(room.taken_bytes, 50'000u);
  EXPECT_TRUE(one->truncated());
  reject(other, 100);
  EXPECT_GT(kept(other), 10u) << "a few are kept in any case";
  EXPECT_LT(kept(other), 20u);
  one.reset();
  EXPECT_EQ(room.taken_bytes, 0u);
  item_ledger late(kept_results{.room = &room});
  reject(late, 50);
  EXPECT_FALSE(late.truncated());
}

TEST(item_ledger, a_copy_takes_no_room_and_what_is_moved_takes_its_own_along) {
  result_room room{100'000};
  item_ledger taken(kept_results{.room = &room});
  reject(taken, 50);
  std::size_t bytes = room.taken_bytes;
  {
    item_ledger copy = taken;
    reject(copy, 100);
    EXPECT_FALSE(copy.truncated());
    EXPECT_EQ(room.taken_bytes, bytes);
  }
  {
    item_ledger moved = std::move(taken);
    EXPECT_EQ(room.taken_bytes, bytes);
    taken = std::move(moved);
  }
  EXPECT_EQ(room.taken_bytes, bytes);
  EXPECT_EQ(kept(taken), 50u);
}

}  // namespace
}  // namespace penstock::ingest

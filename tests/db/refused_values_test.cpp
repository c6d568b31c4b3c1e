#include "db/postgres/refused_values.h"

#include <penstock/db/row_batch.h>

#include <string_view>

#include <gtest/gtest.h>

namespace penstock::db::postgres {
namespace {

// Rows of a number and a text.
row_batch rows_of(std::initializer_list<std::pair<std::int64_t, std::string_view>> list) {
  row_batch rows(2);
  for (const auto& [number, text] : list) {
    rows.add_integer(number);
    rows.add_text(text);
    rows.commit_row();
  }
  return rows;
}

TEST(refused_values, are_suspected_once_two_refused_rows_had_them_in_the_same_column) {
  row_batch refused = rows_of({{-1, "a"}, {2, "-1"}, {-1, "b"}});
  row_batch others = rows_of({{-1, "c"}, {2, "a"}, {7, "b"}});
  refused_values known;
  known.add_refused(refused.row(0));
  known.add_refused(refused.row(1));
  EXPECT_FALSE(known.suspects_any());
  known.add_refused(refused.row(2));
  EXPECT_TRUE(known.suspects_any());
  EXPECT_TRUE(known.suspects(others.row(0)));
  EXPECT_FALSE(known.suspects(others.row(1)));
  EXPECT_FALSE(known.suspects(others.row(2)));
}

TEST(refused_values, are_no_more_suspected_once_a_row_that_has_them_is_stored) {
  row_batch rows = rows_of({{-1, "a"}, {-1, "b"}});
  refused_values known;
  known.add_refused(rows.row(0));
  known.add_refused(rows.row(1));
  known.add_stored(rows.row(0));
  EXPECT_FALSE(known.suspects_any());
  known.add_refused(rows.row(0));
  EXPECT_FALSE(known.suspects_any());
}

TEST(refused_values, that_many_rows_have_are_not_suspected_again) {
  row_batch rows = rows_of({{-1, "ok"}, {-1, "ok"}, {1, "ok"}, {2, "ok"}});
  refused_values known;
  for (int round = 0; round < 2; ++round) {
    known.add_refused(rows.row(0));
    known.add_refused(rows.row(1));
    known.acquit_common(rows, 2);
    EXPECT_TRUE(known.suspects(rows.row(0)));
    EXPECT_FALSE(known.suspects(rows.row(2)));
  }
}

TEST(refused_values, below_and_above_all_that_were_stored_are_suspected_once_two_such_were_refused) {
  row_batch stored = rows_of({{0, "abc"}, {9, "abcdefgh"}});
  row_batch refused = rows_of({{-3, "a text"}, {4, "too long a text"}, {5, "one that is even longer"}, {-7, "texts"}});
  row_batch others = rows_of({{-1, "abcd"}, {1, "a text of another length"}, {8, "short"}, {10, "short"}});
  refused_values known;
  known.add_refused(refused.row(0));  // nothing is known of what is stored
  for (std::size_t i = 0; i < stored.rows(); ++i) known.add_stored(stored.row(i));
  for (std::size_t i = 0; i < 3; ++i) known.add_refused(refused.row(i));
  EXPECT_FALSE(known.suspects(others.row(0)));
  EXPECT_TRUE(known.suspects(others.row(1)));
  known.add_refused(refused.row(3));
  EXPECT_TRUE(known.suspects(others.row(0)));
  EXPECT_FALSE(known.suspects(others.row(2)));
  EXPECT_FALSE(known.suspects(others.row(3)));
  known.add_stored(others.row(0));
  EXPECT_FALSE(known.suspects(others.row(0)));
  EXPECT_TRUE(known.suspects(refused.row(3)));
  known.acquit_common(refused, 0);
  EXPECT_FALSE(known.suspects_any());
}

TEST(refused_values, are_told_apart_by_kind_and_forgotten_when_there_are_many) {
  row_batch rows(1);
  rows.add_null();
  rows.commit_row();
  rows.add_integer(0);
  rows.commit_row();
  rows.add_real(0);
  rows.commit_row();
  refused_values known;
  known.add_refused(rows.row(0));
  known.add_refused(rows.row(0));
  EXPECT_TRUE(known.suspects(rows.row(0)));
  EXPECT_FALSE(known.suspects(rows.row(1)));
  EXPECT_FALSE(known.suspects(rows.row(2)));
  row_batch many(1);
  for (std::int64_t i = 1; i < 100; ++i) {
    many.add_integer(i);
    many.commit_row();
    known.add_refused(many.row(many.rows() - 1));
  }
  EXPECT_FALSE(known.suspects_any());
}

}  // namespace
}  // namespace penstock::db::postgres

#include <penstock/db/error.h>
#include <penstock/db/row_batch.h>

#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace penstock::db {
namespace {

std::string refusal_of(row_batch& rows) {
  try {
    rows.commit_row();
  } catch (const database_error& e) {
    EXPECT_EQ(e.errc(), db_errc::data);
    return e.message();
  }
  ADD_FAILURE() << "the row was taken";
  return {};
}

void add_row(row_batch& rows, std::int64_t n, std::string_view text) {
  rows.add_integer(n);
  rows.add_text(text);
  rows.commit_row();
}

}  // namespace

TEST(row_batch, refuses_a_row_that_has_not_a_cell_for_each_column_and_keeps_the_others) {
  for (int cells : {0, 1, 3}) {
    row_batch rows(2);
    add_row(rows, 1, "one");
    const std::size_t bytes = rows.bytes();
    for (int i = 0; i < cells; ++i) rows.add_text("lost");
    const std::string told = refusal_of(rows);
    EXPECT_NE(told.find("row 1,"), std::string::npos) << told;
    EXPECT_NE(told.find("has " + std::to_string(cells) + " cell"), std::string::npos) << told;
    EXPECT_NE(told.find("2 columns"), std::string::npos) << told;
    EXPECT_EQ(rows.bytes(), bytes);
    add_row(rows, 2, "two");
    ASSERT_EQ(rows.rows(), 2u);
    EXPECT_EQ(rows.row(0)[1].text(), "one");
    EXPECT_EQ(rows.row(1)[0].integer, 2);
    EXPECT_EQ(rows.row(1)[1].text(), "two");
  }
}

TEST(row_batch, appends_no_rows_of_another_width) {
  row_batch from(1);
  from.add_integer(7);
  from.commit_row();
  row_batch to(2);
  add_row(to, 1, "one");
  EXPECT_THROW(to.append(from, 0, 1), database_error);
  add_row(to, 2, "two");
  EXPECT_EQ(to.rows(), 2u);
  EXPECT_EQ(to.row(1)[0].integer, 2);
}

TEST(row_batch, takes_rows_again_once_it_was_moved_from) {
  row_batch from(2);
  add_row(from, 1, "one");
  from.add_integer(2);
  row_batch to(std::move(from));
  EXPECT_EQ(from.rows(), 0u);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(from.bytes(), 0u);
  add_row(from, 3, "three");
  EXPECT_EQ(from.row(0)[1].text(), "three");

  to.add_text("two");
  to.commit_row();
  ASSERT_EQ(to.rows(), 2u);
  EXPECT_EQ(to.row(0)[1].text(), "one");
  EXPECT_EQ(to.row(1)[0].integer, 2);

  to = std::move(from);
  EXPECT_TRUE(from.empty());
  add_row(from, 4, "four");
  ASSERT_EQ(to.rows(), 1u);
  EXPECT_EQ(to.row(0)[1].text(), "three");
  EXPECT_EQ(from.row(0)[0].integer, 4);
}

}  // namespace penstock::db

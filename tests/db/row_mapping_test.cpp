#include <penstock/db/error.h>
#include <penstock/db/row_mapping.h>

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace penstock::db {
namespace {

struct customer {
  std::int64_t id;
  std::string name;
  std::optional<double> balance;
  std::optional<std::string> note;
  bool active;
};

struct one_byte {
  std::uint8_t n;
};

struct small_real {
  float f;
};

struct twelve {
  int a, b, c, d, e, f, g, h, i, j, k;
  timestamp l;
};

struct with_character {
  std::int64_t id;
  char letter;
};

struct thirteen {
  int a, b, c, d, e, f, g, h, i, j, k, l, m;
};

struct with_list {
  std::int64_t id;
  std::vector<int> list;
};

struct nothing {};

// `rows_as` says what is wrong with the others, and nothing else.
static_assert(detail::is_row<customer>() && detail::is_row<one_byte>() && detail::is_row<twelve>());
static_assert(!detail::is_row<with_character>() && !detail::is_row<thirteen>());
static_assert(!detail::is_row<with_list>() && !detail::is_row<nothing>());

std::string refusal(const result& r) {
  try {
    rows_as<customer>(r);
  } catch (const database_error& e) {
    EXPECT_EQ(e.errc(), db_errc::data);
    return e.message();
  }
  return {};
}

const std::vector<std::string> names = {"id", "name", "balance", "note", "active"};
const std::vector<value> good = {std::int64_t{7}, std::string("Ada"), 1.5, std::monostate(), true};

TEST(row_mapping, rows_become_structs_by_position) {
  result r{names, {good, {std::int64_t{8}, std::string(), std::monostate(), std::string("x"), std::int64_t{0}}}};
  std::vector<customer> all = rows_as<customer>(r);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].id, 7);
  EXPECT_EQ(all[0].name, "Ada");
  EXPECT_EQ(all[0].balance, 1.5);
  EXPECT_EQ(all[0].note, std::nullopt);
  EXPECT_TRUE(all[0].active);
  EXPECT_EQ(all[1].balance, std::nullopt);
  EXPECT_EQ(all[1].note, "x");
  EXPECT_FALSE(all[1].active);
}

TEST(row_mapping, no_rows_become_no_structs) { EXPECT_TRUE(rows_as<customer>(result{}).empty()); }

TEST(row_mapping, a_struct_may_have_twelve_members) {
  std::vector<value> row(11, value(std::int64_t{3}));
  row.emplace_back(timestamp(std::chrono::microseconds(5)));
  std::vector<twelve> all = rows_as<twelve>(result{{}, {row}});
  EXPECT_EQ(all.at(0).k, 3);
  EXPECT_EQ(all.at(0).l, timestamp(std::chrono::microseconds(5)));
}

TEST(row_mapping, a_value_that_can_not_become_its_member_is_named) {
  std::vector<value> bad = good;
  bad[1] = std::monostate();
  std::string said = refusal({names, {good, bad}});
  for (const char* part : {"row 2", "'name'", "null", "a text", "std::optional"})
    EXPECT_NE(said.find(part), std::string::npos) << said;
  bad = good;
  bad[2] = std::string("much");
  said = refusal({names, {bad}});
  for (const char* part : {"row 1", "'balance'", "a text", "a real number"})
    EXPECT_NE(said.find(part), std::string::npos) << said;
}

TEST(row_mapping, a_whole_number_must_fit_its_member) {
  EXPECT_EQ(rows_as<one_byte>(result{{"n"}, {{std::int64_t{255}}}}).at(0).n, 255);
  for (std::int64_t n : {std::int64_t{256}, std::int64_t{-1}})
    EXPECT_THROW(rows_as<one_byte>(result{{"n"}, {{n}}}), database_error) << n;
}

TEST(row_mapping, a_float_takes_reals_within_its_range_and_whole_numbers_that_it_holds_exactly) {
  auto read = [](const value& v) { return rows_as<small_real>(result{{"f"}, {{v}}}).at(0).f; };
  EXPECT_EQ(read(0.1), 0.1F);
  EXPECT_EQ(read(-std::numeric_limits<float>::max() * 1.0), std::numeric_limits<float>::lowest());
  EXPECT_EQ(read(std::numeric_limits<double>::infinity()), std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(read(std::nan(""))));
  EXPECT_EQ(read(std::int64_t{16'777'216}), 0x1p24F);
  EXPECT_EQ(read(std::numeric_limits<std::int64_t>::min()), -0x1p63F);
  for (const value& v : {value(1e300), value(-1e39), value(std::int64_t{16'777'217})})
    EXPECT_THROW(read(v), database_error);
}

struct sums {
  std::int64_t count;
  std::uint64_t total;
  double mean;
};

TEST(row_mapping, decimals_which_come_as_texts_become_numbers) {
  auto read = [](const char* count, const char* total, const char* mean) {
    return rows_as<sums>(result{{"count", "total", "mean"}, {{value(count), value(total), value(mean)}}}).at(0);
  };
  sums good = read("-9223372036854775808", "18446744073709551615", "-12.50");
  EXPECT_EQ(good.count, std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(good.total, std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(good.mean, -12.5);
  EXPECT_EQ(read("1", "1", "0.1").mean, 0.1);
  EXPECT_EQ(rows_as<small_real>(result{{"f"}, {{value("0.1")}}}).at(0).f, 0.1F);
  for (const char* bad : {"", " 1", "1 ", "1.5", "9223372036854775808", "x", "0x1", "+1"})
    EXPECT_THROW(read(bad, "1", "1"), database_error) << bad;
  for (const char* bad : {"-1", "18446744073709551616"}) EXPECT_THROW(read("1", bad, "1"), database_error) << bad;
  for (const char* bad : {"", "1.5 EUR", "1e999", "much"}) EXPECT_THROW(read("1", "1", bad), database_error) << bad;
}

TEST(row_mapping, a_number_that_is_too_large_is_named) {
  try {
    rows_as<one_byte>(result{{"n"}, {{std::int64_t{300}}}});
    ADD_FAILURE() << "300 became a byte";
  } catch (const database_error& e) {
    EXPECT_NE(e.message().find("the whole number 300"), std::string::npos) << e.message();
  }
}

TEST(row_mapping, another_number_of_columns_is_refused) {
  std::vector<value> short_row(good.begin(), good.end() - 1);
  EXPECT_NE(refusal({names, {short_row}}).find("4 columns"), std::string::npos);
}

TEST(row_mapping, another_number_of_columns_is_refused_without_rows_too) {
  std::vector<std::string> fewer(names.begin(), names.end() - 1);
  EXPECT_NE(refusal({fewer, {}}).find("4 columns"), std::string::npos);
  EXPECT_EQ(refusal({names, {}}), "");
}

TEST(to_value, nothing_is_null) {
  std::optional<int> number;
  EXPECT_EQ(parameters_of(nullptr, std::nullopt, number, std::optional<std::string>("text"), std::optional(7)),
            (parameters{value(), value(), value(), value("text"), value(std::int64_t{7})}));
}

}  // namespace
}  // namespace penstock::db

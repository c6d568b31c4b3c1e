#include <penstock/core/units.h>

#include <optional>
#include <string>

#include <gtest/gtest.h>

namespace penstock {
namespace {

using namespace std::chrono_literals;

std::optional<std::uint64_t> bytes(std::string_view text) {
  try {
    return parse_bytes(text);
  } catch (const error& e) {
    EXPECT_TRUE(e.is(core_errc::bad_unit));
    EXPECT_NE(e.message().find("'" + std::string(text) + "'"), std::string::npos) << e.message();
    return std::nullopt;
  }
}

std::optional<std::chrono::nanoseconds> time(std::string_view text) {
  try {
    return parse_duration(text);
  } catch (const error& e) {
    EXPECT_TRUE(e.is(core_errc::bad_unit));
    return std::nullopt;
  }
}

TEST(units, sizes_as_people_write_them) {
  struct row {
    const char* text;
    std::uint64_t size;
  };
  for (const row& r :
       {row{"0", 0}, row{"512", 512}, row{"7B", 7}, row{"1KB", 1000}, row{"1KiB", 1024}, row{"4MiB", 4 << 20},
        row{"4mib", 4 << 20}, row{" 2 GB ", 2'000'000'000}, row{"1.5 GB", 1'500'000'000}, row{"0.5KiB", 512},
        row{"1TiB", 1ULL << 40}, row{"1TB", 1'000'000'000'000}, row{"9223372036854775807", 9223372036854775807ULL},
        row{"9007199254740993", 9007199254740993ULL}})
    EXPECT_EQ(bytes(r.text), r.size) << r.text;
}

TEST(units, what_is_no_size_is_refused_by_name) {
  for (const char* text : {"",           " ",
                           "B",          "x",
                           "1x",         "-1",
                           "-1KB",       "+1",
                           "1e3",        "0x10",
                           "1..5",       ".",
                           "1.2.3KB",    "inf",
                           "nan",        "4 MiB extra",
                           "1KBB",       "9223372036854775808",
                           "8388608TiB", "99999999999999999999",
                           "9.3e18",     "0.5",
                           "1.5B",       "0.0004KiB"})
    EXPECT_EQ(bytes(text), std::nullopt) << text;
}

TEST(units, durations_as_people_write_them) {
  struct row {
    const char* text;
    std::chrono::nanoseconds size;
  };
  for (const row& r :
       {row{"0", 0ns}, row{"0s", 0ns}, row{"1ns", 1ns}, row{"500us", 500us}, row{"1ms", 1ms}, row{"1.5s", 1500ms},
        row{"5m", 5min}, row{"5min", 5min}, row{"2h30m", 150min}, row{"1d", 24h}, row{"1d 2h 3m 4s", 26h + 3min + 4s},
        row{" 30 s ", 30s}, row{"9223372036854775807ns", std::chrono::nanoseconds::max()}, row{"292d", 292 * 24h}})
    EXPECT_EQ(time(r.text), r.size) << r.text;
}

TEST(units, what_is_no_duration_is_refused) {
  for (const char* text : {"", "1", "s", "-1s", "1S", "1x", "30m2h", "1s1s", "1e3s", "inf", "9223372036854775808ns",
                           "300000d", "106751d23h47m16s854ms775us808ns", "0.2ns"})
    EXPECT_EQ(time(text), std::nullopt) << text;
}

TEST(units, what_is_formatted_is_read_back_the_same) {
  for (std::uint64_t size : {0ULL, 1ULL, 1000ULL, 1023ULL, 1024ULL, 1536ULL, 4ULL << 20, (1ULL << 40) + 1, 5ULL << 40,
                             9223372036854775807ULL})
    EXPECT_EQ(bytes(format_bytes(size)), size) << format_bytes(size);
  for (std::chrono::nanoseconds d :
       {0ns, 1ns, 1500000ns, 90000000000ns, 7200000000000ns, 172800000000000ns, std::chrono::nanoseconds::max()})
    EXPECT_EQ(time(format_duration(d)), d) << format_duration(d);
  EXPECT_EQ(format_bytes(4 << 20), "4MiB");
  EXPECT_EQ(format_bytes(1000), "1000");
  EXPECT_EQ(format_duration(1500ms), "1500ms");
  EXPECT_EQ(format_duration(2h), "2h");
  EXPECT_EQ(format_duration(-5s), "0");
}

}  // namespace
}  // namespace penstock

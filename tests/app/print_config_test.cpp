// What --print-config writes, and that the reference page is what the options say.

#include "app/serve/print_config.h"

#include "app/serve/option_table.h"
#include "config_files.h"

#include <fstream>
#include <set>
#include <sstream>

#include <gmock/gmock.h>

namespace penstock::app {
namespace {

using testing::HasSubstr;
using testing::Not;

std::vector<std::string> format_all(const serve_config& config) {
  std::vector<std::string> all;
  for (const option& o : option_table()) all.push_back(std::string(o.key) + " = " + format_option(o, config));
  return all;
}

// A value of each kind that is no option's default.
std::vector<std::string> other_values(value_kind kind) {
  switch (kind) {
    case value_kind::text:
      return {"a \"quoted\" \\ text\twith a tab"};
    case value_kind::url:
      return {"sqlite:other.db"};
    case value_kind::endpoints:
      return {"[::1]:1", "unix:/run/penstock.sock"};
    case value_kind::count:
      return {"12345"};
    case value_kind::bytes:
      return {"12345KiB"};
    case value_kind::duration:
      return {"98765ms"};
    case value_kind::level:
      return {"debug"};
    case value_kind::format:
      return {"json"};
    case value_kind::mode:
      return {"0660"};
  }
  return {};
}

TEST(option_table, names_are_unique) {
  std::set<std::string> seen;
  for (const option& o : option_table()) {
    EXPECT_TRUE(seen.insert(std::string(o.key)).second) << o.key;
    EXPECT_TRUE(seen.insert(std::string(o.flag)).second) << o.flag;
    EXPECT_TRUE(seen.insert(o.variable()).second) << o.variable();
  }
}

TEST(option_table, every_default_is_allowed) {
  serve_config defaults;
  for (const option& o : option_table()) {
    serve_config config;
    std::string value = format_option(o, defaults);
    std::erase_if(value, [](char c) { return c == '"' || c == '[' || c == ']'; });
    EXPECT_NO_THROW(set_option(o, config, {value})) << o.key;
  }
}

TEST(option_table, every_option_changes_only_itself) {
  serve_config defaults;
  std::vector<std::string> before = format_all(defaults);
  for (std::size_t i = 0; i < option_table().size(); ++i) {
    serve_config config;
    const option& o = option_table()[i];
    set_option(o, config, other_values(o.kind));
    std::vector<std::string> after = format_all(config);
    EXPECT_NE(after[i], before[i]);
    after[i] = before[i];
    EXPECT_EQ(after, before) << o.key;
  }
}

TEST(print_config, what_it_prints_gives_the_same_configuration_again) {
  config_sources sources;
  for (const option& o : option_table()) sources.command_line.push_back({std::string(o.flag), other_values(o.kind)});
  config_file streams(R"(
[[stream]]
name = "orders"
key = ["number", "place"]
columns = [
  {name = "number", type = "integer", default = -5},
  {name = "place", default = "a \"quoted\" \u00e9 \u0001 text"},
  {name = "ratio", type = "real", default = 0.1},
  {name = "paid", type = "boolean", default = false},
  {name = "at", type = "timestamp", default = 2026-01-02T03:04:05Z},
  {name = "lines", type = "json", default = [{sku = "x", n = 2}, []]},
]
)");
  sources.file = streams.path();
  loaded_config once = load_config(sources);
  config_file printed(print_config(once));
  loaded_config again = load_config({.file = printed.path()});
  EXPECT_EQ(format_all(again.values), format_all(once.values));
  ASSERT_EQ(again.values.ingest.streams.size(), 1u);
  EXPECT_EQ(print_config(again).substr(print_config(again).find("\nname = \"orders\"")),
            print_config(once).substr(print_config(once).find("\nname = \"orders\"")));
}

TEST(print_config, each_value_says_where_it_came_from) {
  config_file file("[batch]\nmax_rows = 7\n");
  std::string printed = print_config(load_config({.file = file.path(),
                                                  .environment = {{"PENSTOCK_BATCH_LINGER", {"2ms"}}},
                                                  .command_line = {{"--store", {"sqlite:x.db"}}}}));
  EXPECT_THAT(printed, HasSubstr("\nmax_rows = 7  # " + file.path() + ":2\n"));
  EXPECT_THAT(printed, HasSubstr("\nlinger = \"2ms\"  # PENSTOCK_BATCH_LINGER\n"));
  EXPECT_THAT(printed, HasSubstr("\nurl = \"sqlite:x.db\"  # --store\n"));
  EXPECT_THAT(printed, HasSubstr("\ngrace_period = \"30s\"  # default\n"));
  EXPECT_THAT(printed, HasSubstr("\n[[stream]]  # default\nname = \"items\"\ntable = \"processed_data\"\n"));
}

TEST(print_config, a_password_is_left_out) {
  loaded_config loaded = load_config({});
  loaded.values.store_url = "mariadb://shop:s3cret@db.example/shop";
  EXPECT_THAT(print_config(loaded), Not(HasSubstr("s3cret")));
  EXPECT_THAT(print_config(loaded), HasSubstr("mariadb://shop:***@db.example/shop"));
}

TEST(print_config_reference, is_the_page_in_docs) {
  std::ifstream in(std::string(PENSTOCK_SOURCE_DIR) + "/docs/configuration.md");
  std::ostringstream page;
  page << in.rdbuf();
  EXPECT_EQ(page.str(), print_config_reference())
      << "build/release/bin/penstock serve --print-config-reference > docs/configuration.md";
}

}  // namespace
}  // namespace penstock::app

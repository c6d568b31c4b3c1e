// Where the configuration of `penstock serve` comes from, and what is said when something is wrong with it.

#include "app/serve/config.h"

#include "app/error.h"
#include "config_files.h"

#include <gmock/gmock.h>

namespace penstock::app {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::string problems_of(const config_sources& sources) {
  try {
    load_config(sources);
  } catch (const error& wrong) {
    EXPECT_EQ(wrong.code(), "app.bad_config");
    return wrong.message();
  }
  return "";
}

// As above, of one file, whose path is left out.
std::string problems_of_file(const std::string& toml) {
  config_file file(toml);
  std::string said = problems_of({.file = file.path()});
  for (std::size_t at; (at = said.find(file.path())) != std::string::npos;)
    said.replace(at, file.path().size(), "FILE");
  return said;
}

TEST(config, without_sources_one_stream_is_served_on_loopback_into_sqlite) {
  loaded_config loaded = load_config({});
  EXPECT_EQ(loaded.values.store_url, "sqlite:penstock.db");
  ASSERT_EQ(loaded.values.listen.size(), 1u);
  EXPECT_EQ(loaded.values.listen[0].to_string(), "127.0.0.1:8080");
  EXPECT_EQ(loaded.values.grace_period, 30s);
  ASSERT_EQ(loaded.values.ingest.streams.size(), 1u);
  EXPECT_EQ(loaded.values.ingest.streams[0], (ingest::stream_definition{.name = "items", .table = "processed_data"}));
  EXPECT_THAT(loaded.warnings, IsEmpty());
}

TEST(config, the_file_overrides_the_defaults) {
  config_file file("grace_period = \"5s\"\n[batch]\nmax_bytes = 8192\nmax_rows = 7\n");
  loaded_config loaded = load_config({.file = file.path()});
  EXPECT_EQ(loaded.values.grace_period, 5s);
  EXPECT_EQ(loaded.values.ingest.batch.max_bytes, 8192u);
  EXPECT_EQ(loaded.values.ingest.batch.max_rows, 7u);
}

TEST(config, the_environment_overrides_the_file) {
  config_file file("[batch]\nmax_rows = 7\nlinger = \"2ms\"\n");
  loaded_config loaded = load_config({.file = file.path(), .environment = {{"PENSTOCK_BATCH_MAX_ROWS", {"8"}}}});
  EXPECT_EQ(loaded.values.ingest.batch.max_rows, 8u);
  EXPECT_EQ(loaded.values.ingest.batch.linger, 2ms);
}

TEST(config, the_command_line_overrides_the_environment) {
  loaded_config loaded =
      load_config({.environment = {{"PENSTOCK_STORE", {"sqlite:a.db"}}, {"PENSTOCK_LISTEN", {"h:1"}}},
                   .command_line = {{"--store", {"sqlite:b.db"}}}});
  EXPECT_EQ(loaded.values.store_url, "sqlite:b.db");
  EXPECT_EQ(loaded.values.listen.front().to_string(), "h:1");
}

TEST(config, a_mode_is_octal_and_of_three_digits) {
  auto mode_of = [](const std::string& text) {
    return load_config({.command_line = {{"--listen-mode", {text}}}}).values.listen_mode;
  };
  EXPECT_EQ(mode_of("0660"), 0660u);
  EXPECT_EQ(mode_of("600"), 0600u);
  for (const char* wrong : {"", "0o660", "rw", "0680", "1777", "-1"})
    EXPECT_THAT([&] { mode_of(wrong); }, testing::ThrowsMessage<error>(HasSubstr("three octal digits"))) << wrong;
  for (const char* wrong : {"66", "060", "0466"})
    EXPECT_THAT([&] { mode_of(wrong); }, testing::ThrowsMessage<error>(HasSubstr("its owner must be let in"))) << wrong;
}

TEST(config, a_list_is_replaced_as_a_whole_and_may_be_given_in_one_text) {
  config_file file("listen = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\n");
  auto listens = [](const loaded_config& loaded) {
    std::vector<std::string> texts;
    for (const net::endpoint& e : loaded.values.listen) texts.push_back(e.to_string());
    return texts;
  };
  EXPECT_THAT(listens(load_config({.file = file.path()})), ElementsAre("127.0.0.1:1", "127.0.0.1:2"));
  EXPECT_THAT(listens(load_config({.file = file.path(), .environment = {{"PENSTOCK_LISTEN", {"a:3,unix:/run/p"}}}})),
              ElementsAre("a:3", "unix:/run/p"));
  EXPECT_THAT(listens(load_config({.command_line = {{"--listen", {"[::1]:4", "b:5,c:6"}}}})),
              ElementsAre("[::1]:4", "b:5", "c:6"));
}

TEST(config, an_empty_file_changes_nothing) {
  config_file file("");
  EXPECT_EQ(load_config({.file = file.path()}).values.store_url, "sqlite:penstock.db");
}

TEST(config, an_unknown_key_is_named_with_its_line_and_the_nearest_of_its_section) {
  EXPECT_EQ(problems_of_file("\n[batch]\nmax_row = 7\n"),
            "FILE:3: unknown key 'batch.max_row'; did you mean 'max_rows'?");
  EXPECT_EQ(problems_of_file("listn = []"), "FILE:1: unknown key 'listn'; did you mean 'listen'?");
  EXPECT_EQ(problems_of_file("[bacth]\nmax_rows = 7"), "FILE:1: unknown key 'bacth'; did you mean 'batch'?");
  EXPECT_EQ(problems_of_file("zzz = 1"), "FILE:1: unknown key 'zzz'");
}

TEST(config, a_key_of_another_section_is_told_where_it_belongs) {
  EXPECT_EQ(problems_of_file("max_rows = 7"), "FILE:1: unknown key 'max_rows'; did you mean 'batch.max_rows'?");
}

TEST(config, a_value_of_another_type_is_named_with_what_is_expected) {
  EXPECT_EQ(problems_of_file("[batch]\nmax_rows = \"7\""),
            "FILE:2: batch.max_rows: expected a whole number, got a string");
  EXPECT_EQ(problems_of_file("grace_period = 5"),
            "FILE:1: grace_period: expected a duration, such as \"1ms\", got a whole number");
  EXPECT_EQ(problems_of_file("listen = [true]"),
            "FILE:1: listen: expected a list of endpoints, such as [\"127.0.0.1:8080\"], got an array");
  EXPECT_EQ(problems_of_file("batch = 1"), "FILE:1: expected a table [batch], got a whole number");
}

TEST(config, all_entries_of_a_list_that_are_wrong_are_named) {
  EXPECT_THAT(problems_of_file("listen = [\"127.0.0.1:99999\", \"127.0.0.1:1\", \"foo\", 3]"),
              AllOf(HasSubstr("'127.0.0.1:99999': "), HasSubstr("; 'foo': "), HasSubstr("; '3': "),
                    Not(HasSubstr("'127.0.0.1:1'"))));
}

TEST(config, a_value_that_does_not_fit_is_named_with_why) {
  EXPECT_THAT(problems_of_file("[batch]\nlinger = \"5 parsecs\""),
              HasSubstr("FILE:2: batch.linger: '5 parsecs': expected a duration"));
  EXPECT_EQ(problems_of_file("[batch]\nmax_rows = 0"), "FILE:2: batch.max_rows: '0': expected at least 1");
  EXPECT_EQ(problems_of_file("[batch]\nmax_rows = -1"), "FILE:2: batch.max_rows: '-1': expected a whole number");
  EXPECT_EQ(problems_of_file("[batch]\nmax_rows = 9223372036854775807"),
            "FILE:2: batch.max_rows: '9223372036854775807': expected at most 4611686018427387904");
  EXPECT_EQ(problems_of_file("[batch]\nattempt_timeout = \"106000d\""),
            "FILE:2: batch.attempt_timeout: '106000d': expected at most 36500d");
  EXPECT_EQ(problems_of_file("[batch]\nattempt_timeout = \"36500d\""), "");
  EXPECT_EQ(problems_of_file("[store]\nread_connections = 65536"),
            "FILE:2: store.read_connections: '65536': expected at most 65535");
  EXPECT_EQ(problems_of_file("[batch]\ncommits_in_flight = 65536"),
            "FILE:2: batch.commits_in_flight: '65536': expected at most 65535");
  EXPECT_EQ(problems_of_file("[batch]\ncommits_in_flight = 40000\n[[stream]]\nname = \"a\"\n[[stream]]\nname = \"b\""),
            "batch.commits_in_flight: 40000 for each of 2 streams are more than 65535 connections: lower it");
  EXPECT_EQ(problems_of_file("[log]\nlevel = \"wran\""),
            "FILE:2: log.level: 'wran': expected debug, info, warn, error or off; did you mean 'warn'?");
  EXPECT_THAT(problems_of_file("listen = \"8080\""), HasSubstr("FILE:1: listen: "));
  EXPECT_THAT(problems_of_file("listen = []"), HasSubstr("at least one endpoint"));
  EXPECT_THAT(problems_of_file("[store]\nurl = \"sqlte:x\""),
              HasSubstr("FILE:2: store.url: 'sqlte:x' is no database URL"));
}

TEST(config, a_text_has_no_control_characters) {
  EXPECT_EQ(
      problems_of_file("[http]\nserver_name = \"a\\r\\nSet-Cookie: b\""),
      "FILE:2: http.server_name: \"a\\u000D\\u000ASet-Cookie: b\": has a line break or another control character");
  EXPECT_THAT(problems_of({.environment = {{"PENSTOCK_HTTP_SERVER_NAME", {"a\x7f"}}}}), HasSubstr("control character"));
  EXPECT_THAT(problems_of({.command_line = {{"--log-file", {"a\nb"}}}}), HasSubstr("control character"));
  EXPECT_EQ(problems_of({.command_line = {{"--http-server-name", {"a\tb"}}}}), "");
}

TEST(config, all_that_is_wrong_in_a_file_is_told_at_once_in_the_order_of_its_lines) {
  EXPECT_EQ(problems_of_file("zzz = 1\n[http]\nmax_connections = 0\n[batch]\nmax_rows = 0\n"),
            "FILE:1: unknown key 'zzz'\n"
            "FILE:3: http.max_connections: '0': expected at least 1\n"
            "FILE:5: batch.max_rows: '0': expected at least 1");
}

TEST(config, a_file_that_is_no_toml_is_refused_at_the_line_that_is_wrong) {
  EXPECT_THAT(problems_of_file("listen = \"a:1\"\nlisten = \"a:2\"\n"), HasSubstr("FILE:2: "));
  EXPECT_THAT(problems_of_file("\n\nlisten ="), HasSubstr("FILE:3: "));
}

TEST(config, a_file_that_is_not_there_is_named) {
  EXPECT_EQ(problems_of({.file = "/nowhere/penstock.toml"}),
            "cannot read the config file /nowhere/penstock.toml: No such file or directory");
  EXPECT_THAT(problems_of({.file = "/tmp"}), HasSubstr("cannot read the config file /tmp: "));
}

TEST(config, a_wrong_variable_or_option_is_named) {
  EXPECT_EQ(problems_of({.environment = {{"PENSTOCK_BATCH_MAX_ROWS", {"many"}}}}),
            "PENSTOCK_BATCH_MAX_ROWS: 'many': expected a whole number");
  EXPECT_EQ(problems_of({.command_line = {{"--batch-max-rows", {""}}}}),
            "--batch-max-rows: '': expected a whole number");
}

TEST(config, a_variable_may_be_made_from_the_key_too_but_not_twice) {
  loaded_config loaded = load_config({.environment = {{"PENSTOCK_STORE_URL", {"sqlite:a.db"}}}});
  EXPECT_EQ(loaded.values.store_url, "sqlite:a.db");
  EXPECT_TRUE(loaded.warnings.empty());
  EXPECT_EQ(
      problems_of({.environment = {{"PENSTOCK_STORE", {"sqlite:a.db"}}, {"PENSTOCK_STORE_URL", {"sqlite:b.db"}}}}),
      "the environment variables PENSTOCK_STORE and PENSTOCK_STORE_URL say the same thing: set one of them");
}

TEST(config, an_unknown_variable_is_only_warned_about) {
  loaded_config loaded = load_config({.environment = {{"PENSTOCK_LISTN", {"h:1"}}, {"PENSTOCK_PORT", {"tcp://x"}}}});
  EXPECT_THAT(
      loaded.warnings,
      ElementsAre("the environment variable PENSTOCK_LISTN is none of Penstock's; did you mean 'PENSTOCK_LISTEN'?",
                  HasSubstr("PENSTOCK_PORT is none of Penstock's")));
}

TEST(config, streams_of_a_file_take_the_place_of_the_default) {
  config_file file(R"(
[[stream]]
name = "orders"
[[stream]]
name = "quakes"
table = "quake_table"
key = ["code"]
columns = [
  {name = "code", pointer = "/id", required = true},
  {name = "a/b~c", type = "real", default = 1.5},
  {name = "tags", type = "json", default = ["x", {a = true}]},
]
)");
  loaded_config loaded = load_config({.file = file.path()});
  ASSERT_EQ(loaded.values.ingest.streams.size(), 2u);
  EXPECT_EQ(loaded.values.ingest.streams[0], (ingest::stream_definition{.name = "orders", .table = "orders"}));
  const ingest::stream_definition& quakes = loaded.values.ingest.streams[1];
  EXPECT_EQ(quakes.table, "quake_table");
  EXPECT_THAT(quakes.key, ElementsAre("code"));
  ASSERT_EQ(quakes.columns.size(), 3u);
  EXPECT_EQ(quakes.columns[0], (ingest::stream_column{.name = "code", .pointer = "/id", .required = true}));
  EXPECT_EQ(quakes.columns[1].pointer, "/a~1b~0c");
  EXPECT_EQ(quakes.columns[1].default_value, "1.5");
  EXPECT_EQ(loaded.stream_origins[1], file.path() + ":4");
}

TEST(config, what_is_wrong_in_a_stream_is_named_with_the_stream_and_the_column) {
  EXPECT_EQ(problems_of_file("[[stream]]\nname = \"o\"\ntabel = \"x\""),
            "FILE:3: stream 'o': unknown key 'tabel'; did you mean 'table'?");
  EXPECT_EQ(problems_of_file("[[stream]]\ntable = \"x\""), "FILE:1: a stream: 'name' is missing");
  EXPECT_EQ(problems_of_file("[[stream]]\nname = \"o\"\ncolumns = [\n{name = \"c\", type = \"txt\"}]"),
            "FILE:4: stream 'o', column 'c': unknown type 'txt'; did you mean 'text'? (integer, real, text, boolean, "
            "timestamp, json)");
  EXPECT_EQ(problems_of_file("[[stream]]\nname = \"o\"\ncolumns = [{name = \"c\", required = 1}]"),
            "FILE:3: stream 'o', column 'c': 'required': expected true or false, got a whole number");
  EXPECT_EQ(problems_of_file("stream = 1"),
            "FILE:1: 'stream': expected tables, each under a line [[stream]], got a whole number");
}

TEST(config, a_default_that_json_can_not_say_is_named_with_its_column) {
  for (const char* value : {"inf", "-inf", "nan", "[1, inf]", "{a = {b = nan}}"})
    EXPECT_EQ(problems_of_file("[[stream]]\nname = \"o\"\ncolumns = [\n{name = \"c\", type = \"json\", default = " +
                               std::string(value) + "}]"),
              "FILE:4: stream 'o', column 'c': 'default': JSON has no infinity and no NaN")
        << value;
}

TEST(config, streams_whose_parts_do_not_fit_are_named) {
  EXPECT_THAT(problems_of_file("\n[[stream]]\nname = \"o/p\"\n"), HasSubstr("FILE:3: "));
  EXPECT_THAT(problems_of_file("[[stream]]\nname = \"o\"\nkey = [\"n\"]\ncolumns = [{name = \"m\"}]"),
              AllOf(HasSubstr("FILE:3: "), HasSubstr("'o'"), HasSubstr("'n'")));
  EXPECT_EQ(problems_of_file("[[stream]]\nname = \"o\"\n[[stream]]\nname = \"o\"\ntable = \"p\""),
            "FILE:3: stream 'o' is there twice");
  EXPECT_EQ(problems_of_file("[[stream]]\nname = \"o\"\n[[stream]]\nname = \"p\"\ntable = \"o\""),
            "FILE:3: stream 'p': table 'o' is that of stream 'o' already");
  EXPECT_EQ(problems_of_file("[[stream]]\nname = \"o\"\n[[stream]]\nname = \"p\"\ntable = \"O\""),
            "FILE:3: stream 'p': table 'O' is that of stream 'o' already");
}

TEST(config, a_stream_does_not_write_to_a_table_of_penstocks_own) {
  for (const char* table : {"penstock_writer", "penstock_idempotency", "shop.Penstock_Writer"}) {
    std::string stream = "\n[[stream]]\nname = \"o\"\ntable = \"" + std::string(table) + "\"";
    EXPECT_EQ(problems_of_file(stream),
              "FILE:2: stream 'o': table '" + std::string(table) + "' is one of Penstock's own: name another");
  }
  EXPECT_EQ(problems_of_file("[[stream]]\nname = \"o\"\ntable = \"penstock_writers\""), "");
}

TEST(config, a_table_named_as_sqlites_own_is_refused_on_sqlite_only) {
  std::string stream = "\n[[stream]]\nname = \"o\"\ntable = \"SQLite_o\"";
  EXPECT_EQ(
      problems_of_file(stream),
      "FILE:2: stream 'o': table 'SQLite_o': SQLite keeps names that begin with sqlite_ for itself: name another");
  config_file file(stream);
  EXPECT_EQ(problems_of({.file = file.path(), .command_line = {{"--store", {"mariadb://h/d"}}}}), "");
}

TEST(config, each_mistake_of_a_stream_is_told_at_once_with_its_own_line) {
  EXPECT_EQ(problems_of_file(R"([[stream]]
name = "a b"
key = ["x", "y", "none", "x"]
columns = [
  {name = "x", type = "int"},
  {name = "x"},
  {name = "y", pointer = "y"},
  {name = "id"},
  {name = "z", required = true, default = 1},
  {pointer = "/q"},
]
[[stream]]
name = "b"
table = ""
key = ["data"]
columns = [{name = "data", default = 1}])"),
            R"(FILE:2: a stream's name is 1 to 64 letters, digits, '_' and '-'
FILE:3: stream 'a b': its key names column 'none', which it does not have
FILE:3: stream 'a b': its key names column 'x' twice
FILE:5: stream 'a b', column 'x': unknown type 'int' (integer, real, text, boolean, timestamp, json)
FILE:6: stream 'a b': column 'x': it is there twice
FILE:7: stream 'a b': column 'y': a JSON pointer begins with '/': did you mean '/y'?
FILE:8: stream 'a b': column 'id': that is the name of the generated primary key: name it otherwise
FILE:9: stream 'a b': column 'z': it is required and has a default: leave one of them out
FILE:10: stream 'a b', column without a name: 'name' is missing
FILE:14: stream 'b': its table has no name
FILE:16: stream 'b': column 'data': its default 1 does not fit: expected a string, got a number)");
}

TEST(config, a_table_of_two_streams_before_is_told_once) {
  EXPECT_EQ(
      problems_of_file("[[stream]]\nname = \"b\"\n[[stream]]\nname = \"b\"\n[[stream]]\nname = \"d\"\ntable = \"B\""),
      "FILE:3: stream 'b' is there twice\n"
      "FILE:3: stream 'b': table 'b' is that of stream 'b' already\n"
      "FILE:5: stream 'd': table 'B' is that of stream 'b' already");
}

TEST(config, the_example_is_right) {
  loaded_config loaded = load_config({.file = std::string(PENSTOCK_SOURCE_DIR) + "/examples/earthquakes.toml"});
  ASSERT_EQ(loaded.values.ingest.streams.size(), 1u);
  EXPECT_EQ(loaded.values.ingest.streams[0].name, "earthquakes");
}

}  // namespace
}  // namespace penstock::app

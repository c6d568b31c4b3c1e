#include <penstock/ingest/error.h>
#include <penstock/ingest/item_schema.h>

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace penstock::ingest {
namespace {

using db::column_type;

std::string refusal(stream_definition definition) {
  try {
    item_schema schema(std::move(definition));
    return "";
  } catch (const error& e) {
    EXPECT_TRUE(e.is(ingest_errc::bad_stream));
    return e.message();
  }
}

stream_definition with_columns(std::vector<stream_column> columns, std::vector<std::string> key = {}) {
  return {.name = "s", .table = "t", .key = std::move(key), .columns = std::move(columns)};
}

stream_column column(std::string name, std::string pointer, column_type type = column_type::text) {
  return {.name = std::move(name), .pointer = std::move(pointer), .type = type};
}

std::string refusal_of_default(column_type type, std::string json) {
  stream_column c = column("c", "/c", type);
  c.default_value = std::move(json);
  return refusal(with_columns({c}));
}

TEST(item_schema, a_stream_without_columns_keeps_items_whole) {
  item_schema schema({.name = "items", .table = "processed_data"});
  EXPECT_EQ(schema.table().name, "processed_data");
  EXPECT_EQ(schema.table().id_column, "id");
  ASSERT_EQ(schema.table().columns.size(), 2u);
  EXPECT_EQ(schema.table().columns[0].name, "data");
  EXPECT_EQ(schema.table().columns[0].type, column_type::json);
  EXPECT_TRUE(schema.table().columns[0].required);
  EXPECT_EQ(schema.table().columns[1].name, "created_at");
  EXPECT_EQ(schema.table().columns[1].type, column_type::timestamp);
  EXPECT_TRUE(schema.table().columns[1].required);
}

TEST(item_schema, columns_of_the_key_and_those_with_a_default_are_never_null) {
  std::vector<stream_column> columns{column("a", "/a"), column("b", "/b"), column("c", "/c")};
  columns[2].default_value = "\"x\"";
  item_schema schema(with_columns(columns, {"a", "c"}));
  EXPECT_EQ(schema.table().unique_key, (std::vector<std::string>{"a", "c"}));
  EXPECT_TRUE(schema.table().columns[0].required);
  EXPECT_FALSE(schema.table().columns[1].required);
  EXPECT_TRUE(schema.table().columns[2].required);
  EXPECT_TRUE(schema.definition().columns[0].required);
  EXPECT_FALSE(schema.definition().columns[2].required);
}

TEST(item_schema, streams_and_tables_need_names) {
  EXPECT_EQ(refusal({.name = "", .table = "t"}), "a stream has no name");
  EXPECT_EQ(refusal({.name = "a b", .table = "t"}), "a stream's name is 1 to 64 letters, digits, '_' and '-'");
  EXPECT_EQ(refusal({.name = std::string(65, 'a'), .table = "t"}),
            "a stream's name is 1 to 64 letters, digits, '_' and '-'");
  EXPECT_EQ(refusal({.name = std::string(64, 'a'), .table = "t"}), "");
  EXPECT_EQ(refusal({.name = "s", .table = ""}), "stream 's': its table has no name");
  EXPECT_EQ(refusal({.name = "s", .table = "a\nb"}),
            "stream 's': its table's name has a control character or is not UTF-8: name it otherwise");
  EXPECT_EQ(refusal({.name = "s", .table = "Ünïcode \"table\""}), "");
}

TEST(item_schema, columns_need_names_of_their_own) {
  EXPECT_EQ(refusal(with_columns({column("", "/a")})), "stream 's': a column has no name");
  EXPECT_EQ(refusal(with_columns({column("a", "/a"), column("a", "/b")})), "stream 's': column 'a': it is there twice");
  EXPECT_EQ(refusal(with_columns({column("total", "/a"), column("Total", "/b")})),
            "stream 's': column 'Total': it differs from 'total' in case only");
  EXPECT_EQ(refusal(with_columns({column("ID", "/id")})),
            "stream 's': column 'ID': that is the name of the generated primary key: name it otherwise");
}

TEST(item_schema, pointers_are_checked) {
  EXPECT_EQ(refusal(with_columns({column("a", "total")})),
            "stream 's': column 'a': a JSON pointer begins with '/': did you mean '/total'?");
  EXPECT_EQ(refusal(with_columns({column("a", "/a~2")})),
            "stream 's': column 'a': in a JSON pointer '~' is written '~0', and '/' within a name '~1'");
  EXPECT_EQ(refusal(with_columns({column("a", "/a~")})),
            "stream 's': column 'a': in a JSON pointer '~' is written '~0', and '/' within a name '~1'");
  std::string deep;
  for (int i = 0; i < 2'000; ++i) deep += "/a";
  EXPECT_EQ(refusal(with_columns({column("a", deep)})),
            "stream 's': column 'a': its pointer is deeper than items may nest");
}

TEST(item_schema, blobs_can_not_be_mapped) {
  EXPECT_EQ(refusal(with_columns({column("a", "/a", column_type::blob)})),
            "stream 's': column 'a': JSON has no blobs: make it text, or json");
}

TEST(item_schema, defaults_must_fit) {
  EXPECT_EQ(refusal_of_default(column_type::integer, "0"), "");
  EXPECT_EQ(refusal_of_default(column_type::text, "new"),
            "stream 's': column 'c': its default is no JSON: expected true, false or null at byte 1 of new (a text is "
            "written in double quotes)");
  EXPECT_EQ(refusal_of_default(column_type::integer, "\"0\""),
            "stream 's': column 'c': its default \"0\" does not fit: expected an integer, got a string");
  EXPECT_EQ(refusal_of_default(column_type::real, "1e999"),
            "stream 's': column 'c': its default 1e999 has a number beyond 64 bits");
  stream_column both = column("c", "/c");
  both.required = true;
  both.default_value = "\"x\"";
  EXPECT_EQ(refusal(with_columns({both})),
            "stream 's': column 'c': it is required and has a default: leave one of them out");
}

TEST(item_schema, a_key_names_columns_once) {
  EXPECT_EQ(refusal(with_columns({column("order_id", "/a")}, {"oder_id"})),
            "stream 's': its key names column 'oder_id', which it does not have; did you mean 'order_id'?");
  EXPECT_EQ(refusal(with_columns({column("a", "/a")}, {"a", "a"})), "stream 's': its key names column 'a' twice");
  EXPECT_EQ(refusal({.name = "s", .table = "t", .key = {"data"}}),
            "stream 's': a key needs columns: map the parts that make an item unique to some");
}

}  // namespace
}  // namespace penstock::ingest

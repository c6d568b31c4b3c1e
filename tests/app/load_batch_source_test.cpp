// From files to batches: formats, codings, several files, and files that break off.

#include "app/load/batch_source.h"
#include "app/load/json_reader.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

namespace penstock::app::load {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class load_batch_source : public ::testing::Test {
 protected:
  load_batch_source() { std::filesystem::create_directories(folder_); }
  ~load_batch_source() override { std::filesystem::remove_all(folder_); }

  std::string file(const std::string& name, std::string_view content) {
    std::string path = (folder_ / name).string();
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
  // Everything the source gives: "file line: text" for items, "file line ! code" for rejections.
  std::vector<std::string> read(std::vector<std::string> paths, source_options options = {}) {
    batch_source source(std::move(paths), options, stop_);
    std::vector<std::string> seen;
    for (batch b; source.fill(b);) {
      sizes_.push_back(b.items.size());
      source_bytes_ += b.source_bytes;
      for (std::size_t i = 0; i < b.items.size(); ++i)
        seen.push_back(place(b, b.items[i].line) + ": " + std::string(b.text_of(i)));
      for (const rejection& r : b.rejected) {
        seen.push_back(place(b, r.line) + " ! " + r.code);
        messages_.push_back(r.message);
      }
    }
    return seen;
  }
  static std::string place(const batch& b, std::uint64_t line) {
    return std::to_string(b.file) + " " + std::to_string(line);
  }

  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("load_batch_source_test." + std::to_string(getpid()));
  stop_flag stop_;
  std::vector<std::size_t> sizes_;
  std::vector<std::string> messages_;
  std::uint64_t source_bytes_ = 0;
};

std::string gzip(std::string_view text) {
  std::string packed(compressBound(text.size()) + 64, '\0');
  z_stream z{};
  EXPECT_EQ(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(packed.data());
  z.avail_out = static_cast<uInt>(packed.size());
  EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  packed.resize(z.total_out);
  deflateEnd(&z);
  return packed;
}

TEST_F(load_batch_source, ndjson_items_are_passed_on_as_they_stand_good_or_bad) {
  EXPECT_THAT(read({file("a.ndjson", "{\"a\":1}\n\n{broken\n  [1,\"\xff\"]\n7")}),
              ElementsAre("0 1: {\"a\":1}", "0 3: {broken",
                          ::testing::AnyOf("0 4: [1,\"\xff\"]", "0 4:   [1,\"\xff\"]"), "0 5: 7"));
}

TEST_F(load_batch_source, elements_of_an_array_become_items_on_one_line_each) {
  EXPECT_THAT(read({file("a.json", "[\n {\"a\":\n  \"x \\\" y\"},\n 2\n]\n")}),
              ElementsAre("0 2: {\"a\":   \"x \\\" y\"}", "0 4: 2"));
}

TEST_F(load_batch_source, an_element_with_a_line_break_in_a_string_is_rejected) {
  EXPECT_THAT(read({file("a.json", "[{\"a\":\n\"x\ny\"},\n2]")}), ElementsAre("0 4: 2", "0 1 ! load.bad_item"));
}

TEST_F(load_batch_source, a_malformed_array_gives_what_came_before) {
  std::vector<std::string> seen = read({file("a.json", "[1,\n2\n3,4]"), file("b.json", "[5]")});
  EXPECT_THAT(seen, ElementsAre("0 1: 1", "0 2: 2", "0 3 ! load.malformed", "1 1: 5"));
}

TEST_F(load_batch_source, csv_rows_become_objects_and_bad_ones_are_rejected) {
  std::vector<std::string> seen = read({file("a.csv", "id:integer,name\n1,x\n2\nz,y\n3,\"a\nb\"\n4,q\"r\n5,s\n")});
  EXPECT_THAT(
      seen, ElementsAre(R"(0 2: {"id":1,"name":"x"})", R"(0 5: {"id":3,"name":"a\nb"})", R"(0 8: {"id":5,"name":"s"})",
                        "0 3 ! load.bad_row", "0 4 ! load.bad_cell", "0 7 ! load.bad_row"));
}

TEST_F(load_batch_source, csv_lines_may_end_in_cr) {
  EXPECT_THAT(read({file("a.csv", "id:integer,name\r1,x\r2,y\r"), file("b", "\rid,{\r1,x\r")}),
              ElementsAre(R"(0 2: {"id":1,"name":"x"})", R"(0 3: {"id":2,"name":"y"})", R"(1 3: {"id":"1","{":"x"})"));
}

TEST_F(load_batch_source, fields_of_tsv_files_stand_between_tabs_unless_told_otherwise) {
  const std::string text = "id\tname\n1\tA,da\n";
  const std::string expected = R"({"id":"1","name":"A,da"})";
  EXPECT_THAT(read({file("a.tsv", text), file("b.TSV.gz", gzip(text))}),
              ElementsAre("0 2: " + expected, "1 2: " + expected));
  source_options by_comma;
  by_comma.csv.delimiter = ',';
  EXPECT_THAT(read({file("a.tsv", "id,name\n1,Ada\n")}, by_comma), ElementsAre(R"(0 2: {"id":"1","name":"Ada"})"));
}

TEST_F(load_batch_source, a_bad_csv_header_gives_up_the_file) {
  EXPECT_THAT(read({file("a.csv", "id,id\n1,2\n"), file("b.csv", "x\n1\n")}),
              ElementsAre("0 1 ! load.malformed", R"(1 2: {"x":"1"})"));
}

TEST_F(load_batch_source, gzip_is_known_by_its_content) {
  EXPECT_THAT(read({file("a.json", gzip("[1,2]")), file("b.ndjson.gz", "3\n")}),
              ElementsAre("0 1: 1", "0 1: 2", "1 1: 3"));
  EXPECT_THAT(read({file("c.json", gzip("[1]") + std::string(10'240, '\0'))}), ElementsAre("0 1: 1"));
}

TEST_F(load_batch_source, a_damaged_file_gives_what_came_before) {
  std::string text;
  for (int i = 0; i < 50'000; ++i) text += std::to_string(i * 7919) + "\n";
  std::string packed = gzip(text);
  std::vector<std::string> seen = read({file("a.ndjson.gz", packed.substr(0, packed.size() / 2)), file("b", "{}")});
  ASSERT_GT(seen.size(), 1000u);
  EXPECT_EQ(seen.front(), "0 1: 0");
  EXPECT_THAT(seen[seen.size() - 2], HasSubstr("! load.unreadable"));
  EXPECT_EQ(seen.back(), "1 1: {}");
}

TEST_F(load_batch_source, a_file_that_is_gone_is_told_and_the_next_one_is_read) {
  EXPECT_THAT(read({(folder_ / "gone").string(), file("b", "{}")}), ElementsAre("0 1 ! load.unreadable", "1 1: {}"));
}

TEST_F(load_batch_source, empty_files_have_no_items) {
  EXPECT_THAT(read({file("a.json", ""), file("b.csv", ""), file("c", " \n"), file("d.json", "[]")}), IsEmpty());
}

TEST_F(load_batch_source, a_byte_order_mark_is_no_content) {
  EXPECT_THAT(read({file("a.csv", "\xef\xbb\xbfx\n1\n"), file("b", "\xef\xbb\xbf[1]")}),
              ElementsAre(R"(0 2: {"x":"1"})", "1 1: 1"));
}

TEST_F(load_batch_source, a_file_that_looks_like_nothing_is_told) {
  EXPECT_THAT(read({file("notes.txt", "hello\n")}), ElementsAre("0 1 ! load.malformed"));
  EXPECT_THAT(messages_, ElementsAre(HasSubstr("--format")));
}

TEST_F(load_batch_source, batches_end_at_their_bounds) {
  std::string path = file("a.ndjson", "1\n2\n3\n4\n5\n");
  read({path}, {.batch = {.items = 2}});
  EXPECT_THAT(sizes_, ElementsAre(2, 2, 1));
  sizes_.clear();
  read({path}, {.batch = {.bytes = 6}});
  EXPECT_THAT(sizes_, ElementsAre(3, 2));
}

TEST_F(load_batch_source, the_first_batches_are_small_so_that_the_server_has_something_to_do) {
  std::string text;
  for (int i = 0; i < 12'000; ++i) text += "1\n";
  read({file("a.ndjson", text)});
  EXPECT_THAT(sizes_, ElementsAre(500, 1'000, 2'000, 4'000, 4'500));
}

TEST_F(load_batch_source, all_bytes_of_the_files_are_accounted_for) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "{\"number\":" + std::to_string(i) + "}\n";
  read({file("a.ndjson", text), file("b.csv", "x\n1\n")});
  EXPECT_EQ(source_bytes_, text.size() + 4);
  EXPECT_GT(sizes_.size(), 10u);
}

TEST_F(load_batch_source, an_item_beyond_its_bound_is_rejected_and_the_next_one_read) {
  std::string text = "1\n\"" + std::string(5000, 'x') + "\"\n2\n";
  EXPECT_THAT(read({file("a.ndjson", text)}, {.most_item_bytes = 1000}),
              ElementsAre("0 1: 1", "0 3: 2", "0 2 ! load.too_large"));
}

TEST_F(load_batch_source, a_slow_pipe_gives_what_it_has) {
  std::string path = (folder_ / "pipe").string();
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  std::jthread writer([&] {
    std::ofstream out(path);
    out << "1\n2\n" << std::flush;
    while (!stop_.is_set()) std::this_thread::yield();
  });
  batch_source source({path}, {.format = file_format::ndjson}, stop_);
  batch b;
  EXPECT_TRUE(source.fill(b));
  EXPECT_EQ(b.body, "1\n2\n");
  stop_.set();
  EXPECT_FALSE(source.fill(b));
}

TEST_F(load_batch_source, a_named_pipe_is_idle_until_its_first_writer_comes) {
  std::string path = (folder_ / "pipe").string();
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  source_file pipe(path, stop_);
  EXPECT_EQ(pipe.read(), read_state::idle);
  std::ofstream(path) << "1\n2\n";
  EXPECT_EQ(pipe.read(), read_state::data);
  EXPECT_EQ(pipe.piece(), "1\n2\n");
  EXPECT_EQ(pipe.read(), read_state::end);
}

TEST_F(load_batch_source, waiting_for_a_writer_can_be_stopped) {
  std::string path = (folder_ / "pipe").string();
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  source_file pipe(path, stop_);
  EXPECT_EQ(pipe.read(), read_state::idle);
  stop_.set();
  EXPECT_EQ(pipe.read(), read_state::stopped);
}

TEST(load_file_format, is_told_by_name_or_beginning) {
  using enum file_format;
  struct {
    const char* path;
    const char* beginning;
    std::optional<file_format> format;
  } cases[] = {{"a.ndjson", "[1]", ndjson},
               {"a.JSONL.gz", "x", ndjson},
               {"a.csv.zst", "{", csv},
               {"a.json", "[1]", json},
               {"a.json", "{\"a\":1}\n{\"a\":2}\n", ndjson},
               {"a.json", "{\n\"a\":1}\n", json},
               {"a.json", "{\"a\":\"{\"}\n", ndjson},
               {"a.json", "7", json},
               {"-", " \n[", json},
               {"-", "{\"a\":1}\n", ndjson},
               {"-", "id,name\n", csv},
               {"-", "", ndjson},
               {"-", "hello", std::nullopt},
               {"-", "<p>Down, sorry</p>\n", std::nullopt},
               {"data.d/list", "id,name\n", csv},
               {"list.TXT.gz", "id,name\n", csv},
               {"page.txt", " <p>Down, sorry</p>\n", std::nullopt},
               {"page.html", "<p>Down, sorry</p>\n", std::nullopt},
               {"dump.sql", "INSERT INTO t VALUES (1, 2);\n", std::nullopt},
               {"app.log.gz", "2026-01-01 10:00:00,123 started\n", std::nullopt},
               {"app.log", "{\"a\":1}\n", ndjson}};
  for (const auto& c : cases) EXPECT_EQ(guess_format(c.path, c.beginning, ','), c.format) << c.path << c.beginning;
}

TEST(load_json_reader, line_breaks_between_tokens_become_spaces) {
  std::string body = "<";
  EXPECT_TRUE(append_on_one_line("{\n\"a\\\\\":\n\"\\n\"\n}", body));
  EXPECT_EQ(body, "<{ \"a\\\\\": \"\\n\" }");
  EXPECT_FALSE(append_on_one_line("\"a\nb\"", body));
  EXPECT_FALSE(append_on_one_line("\"a\\\nb\"", body));
  EXPECT_EQ(body, "<{ \"a\\\\\": \"\\n\" }");
}

}  // namespace
}  // namespace penstock::app::load

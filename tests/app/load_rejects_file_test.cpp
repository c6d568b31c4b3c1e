// The file of rejects: what it does to one of its name, and where it ends up.

#include "app/load/rejects_file.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

namespace penstock::app::load {
namespace {

namespace fs = std::filesystem;

class load_rejects_file : public ::testing::Test {
 protected:
  load_rejects_file() {
    std::string folder = (fs::temp_directory_path() / "load_rejects_file_test.XXXXXX").string();
    if (::mkdtemp(folder.data()) == nullptr) throw std::runtime_error("no temporary folder");
    folder_ = folder;
    path_ = folder_ / "r.ndjson";
  }
  ~load_rejects_file() override { fs::remove_all(folder_); }

  static std::string content(const fs::path& file) {
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    return text.str();
  }

  fs::path folder_;
  fs::path path_;
};

TEST_F(load_rejects_file, is_not_made_without_lines) {
  rejects_file file(path_);
  file.finish(true);
  EXPECT_FALSE(file.is_made());
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(load_rejects_file, replaces_none_that_another_load_has_written_meanwhile) {
  for (bool was_there : {false, true}) {
    fs::remove(path_);
    if (was_there) std::ofstream(path_) << "old\n";
    rejects_file mine(path_);
    rejects_file other(path_);
    mine.write({0, 1}, "mine\n");
    other.write({0, 1}, "other\n");
    other.finish(true);
    mine.finish(true);
    EXPECT_EQ(content(path_), "other\n");
    EXPECT_EQ(mine.where(), path_.string() + ".part");
    EXPECT_EQ(content(mine.where()), "mine\n");
    fs::remove(mine.where());
  }
}

TEST_F(load_rejects_file, leaves_the_one_before_as_it_is_until_the_end) {
  std::ofstream(path_) << "old\n";
  rejects_file file(path_);
  file.write({0, 1}, "new\n");
  file.flush();
  EXPECT_EQ(content(path_), "old\n");
  EXPECT_EQ(file.where(), path_.string() + ".part");
  EXPECT_EQ(content(file.where()), "new\n");
  std::ifstream reader(path_);
  file.finish(true);
  EXPECT_EQ(file.where(), path_);
  EXPECT_EQ(content(path_), "new\n");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
  std::string line;
  EXPECT_TRUE(std::getline(reader, line));
  EXPECT_EQ(line, "old");
}

TEST_F(load_rejects_file, stands_beside_the_one_before_without_leave_to_replace_it) {
  std::ofstream(path_) << "old\n";
  rejects_file file(path_);
  file.write({0, 1}, "new\n");
  file.finish(false);
  EXPECT_EQ(content(path_), "old\n");
  EXPECT_EQ(content(file.where()), "new\n");
}

TEST_F(load_rejects_file, gets_its_name_also_when_nobody_finishes_it) {
  {
    rejects_file file(path_);
    file.write({0, 1}, "new\n");
  }
  EXPECT_EQ(content(path_), "new\n");
}

TEST_F(load_rejects_file, touches_none_that_an_ended_load_left) {
  std::ofstream(path_.string() + ".part") << "left\n";
  rejects_file file(path_);
  file.write({0, 1}, "new\n");
  file.flush();
  EXPECT_EQ(content(path_.string() + ".part"), "left\n");
  file.finish(true);
  EXPECT_EQ(content(path_), "new\n");
  EXPECT_EQ(content(path_.string() + ".part"), "left\n");
}

TEST_F(load_rejects_file, can_be_read_by_those_who_could_read_the_one_before) {
  std::ofstream(path_) << "old\n";
  fs::permissions(path_, fs::perms::owner_read | fs::perms::owner_write);
  rejects_file file(path_);
  file.write({0, 1}, "new\n");
  file.finish(true);
  EXPECT_EQ(fs::status(path_).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(load_rejects_file, goes_into_a_pipe_that_is_named) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  int reader = ::open(path_.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  rejects_file file(path_);
  file.write({0, 1}, "new\n");
  file.finish(true);
  char read[8] = {};
  EXPECT_EQ(::read(reader, read, sizeof read), 4);
  EXPECT_STREQ(read, "new\n");
  EXPECT_EQ(file.where(), path_);
  EXPECT_TRUE(fs::is_fifo(path_));
  ::close(reader);
}

TEST_F(load_rejects_file, goes_to_where_a_link_points) {
  fs::create_symlink("elsewhere", path_);
  rejects_file file(path_);
  file.write({0, 1}, "new\n");
  file.finish(true);
  EXPECT_TRUE(fs::is_symlink(path_));
  EXPECT_EQ(content(folder_ / "elsewhere"), "new\n");
}

TEST_F(load_rejects_file, stays_where_it_is_when_its_name_is_taken_meanwhile) {
  rejects_file file(path_);
  file.write({0, 1}, "new\n");
  fs::create_directory(path_);
  file.finish(true);
  EXPECT_EQ(content(file.where()), "new\n");
}

// A disk that is full takes a part of what is written, and then nothing.
class size_limit {
 public:
  explicit size_limit(rlim_t bytes) : before_signal_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limited = before_;
    limited.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limited);
  }
  size_limit(const size_limit&) = delete;
  size_limit& operator=(const size_limit&) = delete;
  ~size_limit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, before_signal_);
  }

 private:
  rlimit before_{};
  void (*before_signal_)(int);
};

TEST_F(load_rejects_file, ends_with_a_whole_line_where_the_disk_is_full_and_tells_what_is_missing) {
  std::ofstream(path_) << "old\n";
  rejects_file file(path_);
  {
    size_limit full(10);
    file.write({0, 7}, "new 7\n");
    file.flush();
    EXPECT_EQ(file.failure(), "");
    file.write({1, 2}, "new 2\n");
    file.write({0, 9}, "new 9\n");
    file.flush();
  }
  file.write({0, 11}, "new 11\n");
  file.finish(true);
  EXPECT_EQ(file.failure(), path_.string() + ": write: File too large");
  EXPECT_EQ(file.missing(), 3u);
  EXPECT_EQ(file.first_missing(), reject_place(0, 9));
  EXPECT_EQ(content(file.where()), "new 7\n");
  EXPECT_EQ(content(path_), "old\n");
}

TEST_F(load_rejects_file, that_can_not_be_made_misses_all) {
  rejects_file file(folder_ / "no" / "r.ndjson");
  file.write({0, 3}, "x\n");
  file.write({0, 2}, "x\n");
  file.finish(true);
  EXPECT_FALSE(file.is_made());
  EXPECT_THAT(file.failure(), ::testing::HasSubstr("open: No such file"));
  EXPECT_EQ(file.missing(), 2u);
  EXPECT_EQ(file.first_missing(), reject_place(0, 2));
}

}  // namespace
}  // namespace penstock::app::load

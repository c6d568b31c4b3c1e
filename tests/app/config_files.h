#pragma once

// A config file of one test's own.

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

namespace penstock::app {

/// A file with this content in a folder of its own; gone at the end.
class config_file {
 public:
  explicit config_file(const std::string& content) {
    std::string folder = (std::filesystem::temp_directory_path() / "penstock-config-XXXXXX").string();
    if (::mkdtemp(folder.data()) == nullptr) throw std::runtime_error("no temporary folder");
    folder_ = folder;
    std::ofstream(path()) << content;
  }
  config_file(const config_file&) = delete;
  config_file& operator=(const config_file&) = delete;
  ~config_file() { std::filesystem::remove_all(folder_); }

  std::string path() const { return folder_ + "/penstock.toml"; }

 private:
  std::string folder_;
};

}  // namespace penstock::app

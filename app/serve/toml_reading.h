#pragma once

// What the readers of the config file share: problems with the place they are at, and TOML's types by name.

#include <map>
#include <string>
#include <string_view>

#include <toml++/toml.h>

namespace penstock::app {

/// Collects what is wrong in one file, each with its line.
class toml_problems {
 public:
  explicit toml_problems(std::string path) : path_(std::move(path)) {}

  /// "penstock.toml:7".
  std::string place(const toml::source_region& at) const { return path_ + ":" + std::to_string(at.begin.line); }
  void add(const toml::source_region& at, std::string_view what) {
    found_.emplace(at.begin.line, place(at) + ": " + std::string(what));
  }
  /// In the order of their lines.
  const std::multimap<toml::source_index, std::string>& found() const noexcept { return found_; }

 private:
  std::string path_;
  std::multimap<toml::source_index, std::string> found_;
};

/// "a string", "a table": what a node is, for messages.
std::string_view describe(const toml::node& node) noexcept;

}  // namespace penstock::app

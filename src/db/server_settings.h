#pragma once

// A server's settings by name, and the findings that are made of them.

#include "penstock/db/connection.h"
#include "penstock/db/examination.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::db {

class server_settings {
 public:
  // Adds rows of a name and a value, both text; names in lower case.
  void add(const result& rows);
  bool has(std::string_view name) const { return values_.contains(name); }
  // Empty when there is no such setting.
  const std::string& text(std::string_view name) const;
  // Nothing when it is missing or no whole number.
  std::optional<std::int64_t> number(std::string_view name) const;
  bool is_on(std::string_view name) const;
  // "name = value".
  std::string line(std::string_view name) const { return std::string(name) + " = " + text(name); }

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

}  // namespace penstock::db

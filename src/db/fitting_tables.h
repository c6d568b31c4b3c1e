#pragma once

// Which definitions a database's tables were made for, or found to fit. Such a table is compared again once it may have
// changed; what batches bring for others is the caller's affair.

#include "definition_faults.h"
#include "penstock/db/table.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace penstock::db {

class fitting_tables {
 public:
  bool did_fit(const table_definition& definition) const {
    auto known = by_name_.find(definition.name);
    return known != by_name_.end() && std::any_of(known->second.begin(), known->second.end(), [&](const auto& fitting) {
             return have_the_same_columns(fitting, definition);
           });
  }
  void note_fit(const table_definition& definition) {
    constexpr std::size_t most = 16;
    if (!did_fit(definition) && by_name_[definition.name].size() < most)
      by_name_[definition.name].push_back(definition);
  }

 private:
  std::map<std::string, std::vector<table_definition>, std::less<>> by_name_;
};

}  // namespace penstock::db

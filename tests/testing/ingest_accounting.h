#pragma once

// The oracle of the ingest simulation: what must be in the database, given what the clients were told.

#include "ingest_items.h"
#include <penstock/testing/database.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace penstock::testing {

class accounting {
 public:
  accounting(const sent_so_far& sent, const database& store) : sent_(sent) {
    for (const char* table : {"plain_items", "keyed_items"}) {
      db::result all =
          store.rows(std::string("SELECT \"id\", \"code\", \"payload\" FROM ") + table + " ORDER BY \"id\"");
      for (auto& row : all.rows)
        rows_[std::get<std::string>(row[1])].push_back({std::get<std::int64_t>(row[0]), std::get<std::string>(row[2])});
    }
  }

  // What does not add up; empty when all does.
  std::vector<std::string> faults() {
    for (const auto& [id, item] : sent_.items) check_item(id, item);
    for (const auto& [id, copies] : rows_)
      if (!sent_.items.contains(id)) wrong("item " + id + " is stored, and nobody sent it");
    for (const sent_request& r : sent_.requests) check_order(r);
    for (const std::string& surprise : sent_.surprises) wrong(surprise);
    return std::move(faults_);
  }

  std::size_t rows() const {
    std::size_t count = 0;
    for (const auto& [id, copies] : rows_) count += copies.size();
    return count;
  }

 private:
  struct stored_row {
    std::int64_t id;
    std::string payload;
  };

  void check_item(const std::string& id, const sent_item& item) {
    auto found = rows_.find(id);
    std::size_t copies = found == rows_.end() ? 0 : found->second.size();
    std::string is = "item " + id + " is stored " + std::to_string(copies) + " times, and its client was told ";
    if (item.fate == told::stored && copies != 1) wrong(is + "that it is stored");
    if (item.fate == told::rejected && copies != 0) wrong(is + "that it is rejected");
    if (item.fate == told::absent && copies != 0) wrong(is + "that it is not stored");
    if (item.fate == told::nothing && copies != 0) wrong(is + "nothing");
    if (item.fate == told::unknown && copies > 1) wrong(is + "nothing certain");
    if (!item.good && copies != 0) wrong(is + "whatever, but it does not fit its stream");
    if (copies > 0 && found->second.front().payload != item.payload)
      wrong("item " + id + " is stored with another payload");
  }

  // Repeats without an Idempotency-Key may store what an earlier attempt did not.
  void check_order(const sent_request& r) {
    if (r.stream == "keyed" && r.idempotency_key.empty()) return;
    std::int64_t last = 0;
    for (const std::string& id : r.ids) {
      auto found = rows_.find(id);
      if (found == rows_.end()) continue;
      if (found->second.front().id < last) wrong("item " + id + " is stored before one that was sent before it");
      last = found->second.front().id;
    }
  }

  void wrong(std::string what) { faults_.push_back(std::move(what)); }

  const sent_so_far& sent_;
  std::map<std::string, std::vector<stored_row>> rows_;
  std::vector<std::string> faults_;
};

}  // namespace penstock::testing

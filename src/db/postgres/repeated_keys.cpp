#include "repeated_keys.h"

#include <algorithm>
#include <functional>
#include <string_view>

namespace penstock::db::postgres {
namespace {

bool has_bytes(const cell& c) { return c.type == cell::kind::text || c.type == cell::kind::blob; }

std::uint64_t hash_of(const cell& c) {
  return has_bytes(c) ? std::hash<std::string_view>()(c.text()) : std::hash<std::int64_t>()(c.integer);
}

bool same(const cell& a, const cell& b) {
  if (a.type != b.type) return false;
  return has_bytes(a) ? a.text() == b.text() : a.integer == b.integer;
}

}  // namespace

bool repeated_keys::has_null(const row_batch& rows, std::size_t row) const {
  return std::any_of(key_columns_.begin(), key_columns_.end(),
                     [&](std::size_t column) { return rows.row(row)[column].type == cell::kind::null; });
}

bool repeated_keys::same_key(const row_batch& rows, std::size_t a, std::size_t b) const {
  return std::all_of(key_columns_.begin(), key_columns_.end(),
                     [&](std::size_t column) { return same(rows.row(a)[column], rows.row(b)[column]); });
}

const std::vector<std::size_t>& repeated_keys::find(const table_definition& table, const row_batch& rows,
                                                    const std::vector<std::size_t>& among) {
  key_columns_.clear();
  for (std::size_t i = 0; i < table.columns.size(); ++i)
    if (std::find(table.unique_key.begin(), table.unique_key.end(), table.columns[i].name) != table.unique_key.end())
      key_columns_.push_back(i);
  firsts_.assign(among.size(), none);
  by_hash_.clear();
  for (std::size_t i = 0; i < among.size(); ++i) {
    if (has_null(rows, among[i])) continue;
    std::uint64_t hash = 0;
    for (std::size_t column : key_columns_) hash = hash * 1'000'003 + hash_of(rows.row(among[i])[column]);
    by_hash_.emplace_back(hash, i);
  }
  std::sort(by_hash_.begin(), by_hash_.end());
  for (std::size_t first = 0; first < by_hash_.size(); ++first) {
    auto [hash, i] = by_hash_[first];
    if (firsts_[i] != none) continue;
    for (std::size_t next = first + 1; next < by_hash_.size() && by_hash_[next].first == hash; ++next) {
      std::size_t k = by_hash_[next].second;
      if (firsts_[k] == none && same_key(rows, among[i], among[k])) firsts_[k] = among[i];
    }
  }
  return firsts_;
}

}  // namespace penstock::db::postgres

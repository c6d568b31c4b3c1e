#include "suspect_rows.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <span>
#include <string_view>
#include <utility>

namespace penstock::ingest {
namespace {

constexpr std::size_t odd_multiplier = 0x9e3779b97f4a7c15;

std::size_t hash_of(const db::cell& c) {
  switch (c.type) {
    case db::cell::kind::null:
      return 0;
    case db::cell::kind::real:
      return std::hash<double>()(c.real);
    case db::cell::kind::text:
    case db::cell::kind::blob:
      return std::hash<std::string_view>()(std::string_view(c.data, c.size));
    default:
      return std::hash<std::int64_t>()(c.integer);
  }
}

std::size_t hash_of(std::span<const db::cell> row) {
  std::size_t all = 0;
  for (const db::cell& c : row) all = (all + hash_of(c)) * odd_multiplier + static_cast<std::size_t>(c.type);
  return all;
}

}  // namespace

bool suspect_rows::may_be_one(const db::row_batch& rows, std::size_t first, std::size_t count) {
  std::vector<std::size_t> failed;
  failed.reserve(count);
  for (std::size_t r = first; r < first + count; ++r) failed.push_back(hash_of(rows.row(r).first(cells_)));
  std::sort(failed.begin(), failed.end());
  if (hashes_) {
    std::vector<std::size_t> both;
    std::set_intersection(hashes_->begin(), hashes_->end(), failed.begin(), failed.end(), std::back_inserter(both));
    failed = std::move(both);
  }
  hashes_ = std::move(failed);
  return !hashes_->empty();
}

}  // namespace penstock::ingest

#include "refused_values.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <string_view>

namespace penstock::db::postgres {

refused_values::mark refused_values::mark_of(const cell& c) {
  switch (c.type) {
    case cell::kind::null:
      return {c.type, 0};
    case cell::kind::real:
      return {c.type, std::bit_cast<std::uint64_t>(c.real)};
    case cell::kind::text:
    case cell::kind::blob:
      return {c.type, std::hash<std::string_view>()(c.text())};
    case cell::kind::boolean:
    case cell::kind::integer:
    case cell::kind::timestamp:
      break;
  }
  return {c.type, static_cast<std::uint64_t>(c.integer)};
}

void refused_values::look_again() noexcept {
  suspects_any_ = false;
  for (column& c : columns_) {
    c.is_looked_at =
        std::any_of(c.values.begin(), c.values.end(), [](const remembered& r) { return r.now == standing::suspected; });
    suspects_any_ = suspects_any_ || c.is_looked_at;
  }
}

void refused_values::add_refused(std::span<const cell> row) {
  columns_.resize(row.size());
  for (std::size_t i = 0; i < row.size(); ++i) {
    std::vector<remembered>& values = columns_[i].values;
    mark m = mark_of(row[i]);
    auto known = std::find_if(values.begin(), values.end(), [&](const remembered& r) { return r.value == m; });
    if (known == values.end()) {
      if (values.size() == most_values) values.pop_back();
      values.insert(values.begin(), {m});
    } else if (known->now == standing::refused_once) {
      known->now = standing::suspected;
    }
  }
  look_again();
}

void refused_values::add_stored(std::span<const cell> row) {
  for (std::size_t i = 0; i < columns_.size(); ++i)
    std::erase_if(columns_[i].values, [m = mark_of(row[i])](const remembered& r) { return r.value == m; });
  look_again();
}

void refused_values::acquit_common(const row_batch& rows, std::size_t most) {
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (!columns_[i].is_looked_at) continue;
    std::vector<remembered>& values = columns_[i].values;
    for (remembered& r : values) r.rows = 0;
    for (std::size_t row = 0; row < rows.rows(); ++row) {
      mark m = mark_of(rows.row(row)[i]);
      for (remembered& r : values) r.rows += r.value == m ? 1 : 0;
    }
    for (remembered& r : values)
      if (r.rows > most) r.now = standing::common;
  }
  look_again();
}

bool refused_values::suspects(std::span<const cell> row) const {
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (!columns_[i].is_looked_at) continue;
    mark m = mark_of(row[i]);
    for (const remembered& r : columns_[i].values)
      if (r.now == standing::suspected && r.value == m) return true;
  }
  return false;
}

}  // namespace penstock::db::postgres

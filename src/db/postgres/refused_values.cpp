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

// What is below or above another: a number, or the length of a text.
std::optional<double> refused_values::size_of(const cell& c) {
  switch (c.type) {
    case cell::kind::null:
    case cell::kind::boolean:
      return std::nullopt;
    case cell::kind::real:
      return c.real;
    case cell::kind::text:
    case cell::kind::blob:
      return c.size;
    case cell::kind::integer:
    case cell::kind::timestamp:
      break;
  }
  return static_cast<double>(c.integer);
}

void refused_values::judged::add_refused() noexcept {
  if (now == standing::unknown)
    now = standing::refused_once;
  else if (now == standing::refused_once)
    now = standing::suspected;
}

void refused_values::column::count(const cell& c) {
  mark m = mark_of(c);
  for (remembered& r : values) r.judgement.rows += r.value == m ? 1 : 0;
  std::optional<double> size = size_of(c);
  below.rows += size && *size < least ? 1 : 0;
  above.rows += size && *size > most ? 1 : 0;
}

bool refused_values::column::suspects(const cell& c) const {
  std::optional<double> size = size_of(c);
  if (size && below.now == standing::suspected && *size < least) return true;
  if (size && above.now == standing::suspected && *size > most) return true;
  mark m = mark_of(c);
  return std::any_of(values.begin(), values.end(),
                     [&](const remembered& r) { return r.judgement.now == standing::suspected && r.value == m; });
}

void refused_values::look_again() noexcept {
  suspects_any_ = false;
  for (column& c : columns_) {
    c.is_looked_at = c.below.now == standing::suspected || c.above.now == standing::suspected ||
                     std::any_of(c.values.begin(), c.values.end(),
                                 [](const remembered& r) { return r.judgement.now == standing::suspected; });
    suspects_any_ = suspects_any_ || c.is_looked_at;
  }
}

void refused_values::add_refused(std::span<const cell> row) {
  columns_.resize(row.size());
  for (std::size_t i = 0; i < row.size(); ++i) {
    column& c = columns_[i];
    mark m = mark_of(row[i]);
    auto known = std::find_if(c.values.begin(), c.values.end(), [&](const remembered& r) { return r.value == m; });
    if (known == c.values.end()) {
      if (c.values.size() == most_values) c.values.pop_back();
      known = c.values.insert(c.values.begin(), {m});
    }
    known->judgement.add_refused();
    std::optional<double> size = size_of(row[i]);
    bool any_stored = c.least <= c.most;
    if (size && any_stored && *size < c.least) c.below.add_refused();
    if (size && any_stored && *size > c.most) c.above.add_refused();
  }
  look_again();
}

void refused_values::add_stored(std::span<const cell> row) {
  bool any_known = false;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    column& c = columns_[i];
    if (std::optional<double> size = size_of(row[i])) {
      c.least = std::min(c.least, *size);
      c.most = std::max(c.most, *size);
    }
    if (!c.values.empty())
      any_known =
          std::erase_if(c.values, [m = mark_of(row[i])](const remembered& r) { return r.value == m; }) > 0 || any_known;
  }
  if (any_known) look_again();
}

void refused_values::acquit_common(const row_batch& rows, std::size_t most) {
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    column& c = columns_[i];
    if (!c.is_looked_at) continue;
    auto acquit = [&](judged& j, standing then) { j = {j.rows > most ? then : j.now, 0}; };
    for (std::size_t row = 0; row < rows.rows(); ++row) c.count(rows.row(row)[i]);
    for (remembered& r : c.values) acquit(r.judgement, standing::common);
    // Perhaps too few were stored to say what is below and above.
    acquit(c.below, standing::unknown);
    acquit(c.above, standing::unknown);
  }
  look_again();
}

bool refused_values::suspects(std::span<const cell> row) const {
  for (std::size_t i = 0; i < columns_.size(); ++i)
    if (columns_[i].is_looked_at && columns_[i].suspects(row[i])) return true;
  return false;
}

}  // namespace penstock::db::postgres

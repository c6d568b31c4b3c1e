#include "statement_cache.h"

#include "../as_cell.h"
#include "penstock/db/error.h"

#include <utility>

namespace penstock::db::postgres {

statement* statement_cache::find(std::string_view sql) {
  auto found = by_sql_.find(sql);
  if (found == by_sql_.end()) return nullptr;
  statements_.splice(statements_.begin(), statements_, found->second);
  return &statements_.front();
}

statement* statement_cache::add(statement s) {
  if (statements_.size() >= most_statements) forget(&statements_.back());
  statements_.push_front(std::move(s));
  by_sql_.emplace(statements_.front().sql, statements_.begin());
  return &statements_.front();
}

void statement_cache::forget(const statement* s) {
  auto found = by_sql_.find(s->sql);
  evicted_.push_back(s->name);
  auto where = found->second;
  by_sql_.erase(found);
  statements_.erase(where);
}

void statement_cache::forget_all() noexcept {
  by_sql_.clear();
  statements_.clear();
  evicted_.clear();
}

std::vector<std::string> statement_cache::take_evicted() { return std::exchange(evicted_, {}); }

std::string fill(arguments& to, const statement& s, const parameters& values) {
  if (s.parameters.size() != values.size())
    throw database_error(db_errc::syntax, "the statement has " + std::to_string(s.parameters.size()) +
                                              " parameters, but was given " + std::to_string(values.size()));
  to.clear();
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::string why = to.add(as_cell(values[i]), s.parameters[i], text_reader::server);
    if (!why.empty()) return "parameter " + std::to_string(i + 1) + ": " + why;
  }
  return {};
}

}  // namespace penstock::db::postgres

#include "statement_cache.h"

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

}  // namespace penstock::db::postgres

#pragma once

// The prepared statements of one session, the one that was used longest ago dropped when there are too many.
// Invariant: a statement is in the list until the server was told to drop it, or the session is gone; the cache is
// destroyed after the session's wire.

#include "penstock/async/task.h"
#include "wire.h"

#include <cstddef>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include <mysql.h>

namespace penstock::db::mariadb {

class statement_cache {
 public:
  statement_cache() = default;
  statement_cache(const statement_cache&) = delete;
  statement_cache& operator=(const statement_cache&) = delete;
  ~statement_cache() { clear(); }

  // The statement of this text, prepared; null when it could not be: see `complaint_of_statement`. Where `kinds`
  // differ, texts that are equal have a statement each: see `bound_parameters::kinds`.
  task<MYSQL_STMT*> prepare(wire& w, std::string sql, std::string_view kinds = {});
  // Whether the one that was asked for last can be executed again, or is to be prepared anew for that.
  void keep_last(bool usable) noexcept { entries_.front().prepared = usable; }
  // Of the statement that could not be prepared.
  const complaint& refused() const noexcept { return refused_; }
  // Forgets all, without a word to the server: it has forgotten them, or is gone.
  void clear() noexcept;

 private:
  struct entry {
    std::string key;  // the text, with the kinds behind it
    MYSQL_STMT* statement;
    bool prepared = false;
  };
  using place = std::list<entry>::iterator;

  void forget_where_chosen_otherwise(wire& w);
  task<void> drop(wire& w, place which);

  std::list<entry> entries_;  // the one used last is the first
  std::unordered_map<std::string_view, place> by_key_;
  complaint refused_;
  std::string chosen_;  // the database
};

complaint complaint_of_statement(MYSQL_STMT* statement);

}  // namespace penstock::db::mariadb

#pragma once

#include "binding.h"
#include "penstock/core/id.h"
#include "penstock/db/connection.h"
#include "wire.h"

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace penstock::db::postgres {

// A statement that the server has prepared.
struct statement {
  std::string sql;   // as the caller wrote it
  std::string name;  // the server's
  std::vector<Oid> parameters;
  std::vector<std::string> columns;
  bool binary = false;  // whether all columns can be read in binary
};

// Binds values to a statement's parameters. Gives why one does not fit, empty when all do; throws `db_errc::syntax`
// when they are more or fewer.
std::string fill(arguments& to, const statement& s, const parameters& values);

// The statements of a session, by their text; the one not used for longest goes when there are too many. Pointers stay
// valid until then.
class statement_cache {
 public:
  static constexpr std::size_t most_statements = 128;

  // Null when it is not there; marks it as used.
  statement* find(std::string_view sql);
  statement* add(statement s);
  static constexpr const char* start_of_names = "penstock_";
  // Those of another session, which a pooler may give its server's to this one, are others.
  explicit statement_cache(std::uint64_t random_bits) : own_names_(start_of_names + make_id(random_bits) + "_") {}
  std::string new_name() { return own_names_ + std::to_string(++names_); }
  void forget(const statement* s);
  void forget_all() noexcept;
  // How many are above the bound, and are to be deallocated.
  std::size_t evicted() const noexcept { return evicted_.size(); }
  std::vector<std::string> take_evicted();

 private:
  std::list<statement> statements_;  // the one used last is first
  std::unordered_map<std::string_view, std::list<statement>::iterator> by_sql_;
  std::vector<std::string> evicted_;
  std::string own_names_;
  std::uint64_t names_ = 0;
};

}  // namespace penstock::db::postgres

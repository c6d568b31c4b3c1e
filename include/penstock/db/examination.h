#pragma once

// What is to be known about a database before items are entrusted to it.
//
//   for (const finding& f : co_await session->examine({.sessions = 12})) std::cout << f.what << ": " << f.means;

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace penstock::db {

/// A table, and what is done to its rows.
struct used_table {
  std::string name;
  std::vector<std::string> rights;  ///< "SELECT", "INSERT", "UPDATE", "DELETE".
  std::string id_column = {};       ///< That the database gives ids to; empty for none.
};

/// What will be asked of the database.
struct expected_load {
  std::size_t sessions = 1;                        ///< Open at the same time, of all pools together.
  std::size_t batch_bytes = std::size_t{4} << 20;  ///< Of the largest batch.
  std::vector<used_table> tables = {};             ///< Those that are missing are to be made. Servers look at them.
};

/// Something about a database.
struct finding {
  enum class level : std::uint8_t {
    note,     ///< Good to know; nothing is at risk.
    warning,  ///< Items that were acknowledged may be lost in some failures, or it is slower than it could be.
    error,    ///< Items can't be stored.
  };

  level how = level::note;
  std::string what;    ///< "innodb_flush_log_at_trx_commit = 2".
  std::string means;   ///< What follows from it.
  std::string change;  ///< How to change it; empty when there is nothing to change.
};

}  // namespace penstock::db

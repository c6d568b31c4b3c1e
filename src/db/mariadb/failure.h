#pragma once

// What MariaDB's and MySQL's error codes mean.

#include "penstock/db/error.h"

#include <string>
#include <string_view>
#include <vector>

namespace penstock::db::mariadb {

// What the server said, or the library when the code is 2000 to 2999.
struct complaint {
  unsigned code = 0;
  std::string sqlstate;
  std::string message;
  bool is_known_conflict = false;  // of `may_have_left_group`
};

db_errc classify(const complaint& c) noexcept;

// True when the session can't be used after it.
bool ends_session(const complaint& c) noexcept;

// True when a COMMIT that was answered so is known not to have happened.
bool rolls_commit_back(const complaint& c) noexcept;

// True for what a member of a replication group says of a conflict, and of a COMMIT that it gives up as it leaves the
// group: it is known to be the former where it is a member still.
bool may_have_left_group(const complaint& c) noexcept;

// True when the server has rolled back the transaction that it was said in, or may have.
bool rolls_transaction_back(const complaint& c, bool on_timeout) noexcept;

// True for a refusal that concerns one row's values and undoes its statement alone.
bool refuses_row(const complaint& c) noexcept;

// The codes for which `refuses_row` holds whatever else was said.
const std::vector<unsigned>& row_refusals();

}  // namespace penstock::db::mariadb

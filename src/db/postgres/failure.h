#pragma once

#include "penstock/db/error.h"

#include <optional>
#include <string>
#include <string_view>

#include <libpq-fe.h>

namespace penstock::db::postgres {

// The class of an SQLSTATE (PostgreSQL manual, appendix A).
db_errc classify(std::string_view sqlstate) noexcept;

// The class of an error that is the fault of one row, and leaves the server able to take others.
std::optional<db_errc> refusal_of_row(const PGresult* r) noexcept;

// Whether what is no such error may be one all the same, where others go in: a function that a check, a default or a
// generated column calls may say anything of a value. Not so where the server lacks something or gives up, or where
// the statement was prepared for another table.
bool may_be_of_row(const PGresult* r) noexcept;

// A statement of a function lacks a table, a right, or the like: for all rows, or for this one.
bool lacks_in_function(const PGresult* r) noexcept;

// Whether the row may go in beside others: a reference was missing, or a function, which may ask for any, refused it.
bool may_lack_row(const PGresult* r) noexcept;

// As `failure_of`, of rows: a right that is lacking so is none of the account's own.
database_error failure_of_rows(const PGresult* r, const std::string& doing);

bool is_failure(const PGresult* r) noexcept;

std::string_view sqlstate_of(const PGresult* r) noexcept;
// Whether a column that takes no null got one, which it also gets where the statement does not name it.
inline bool lacks_value(const PGresult* r) noexcept { return sqlstate_of(r) == "23502"; }

// The server's message with its detail.
std::string said_by(const PGresult* r);

database_error failure_of(const PGresult* r, const std::string& doing);

// What broke the connection, as libpq tells it; classified when the server gave an SQLSTATE.
database_error connect_failure(PGconn* c);
database_error loss_of(PGconn* c, const std::string& doing);

// Of a commit whose wait for its synchronous standby was cut short: it may be lost with the primary.
database_error without_standby();

}  // namespace penstock::db::postgres

#include "penstock/db/error.h"
#include "session.h"

// What statements set for their session and we go by. The server tells of it with their answers, whoever set it: a
// statement, a function, or the end of a transaction.

namespace penstock::db::postgres {

// In other encodings our texts are other ones, or none. A pooler may not tell which it is.
void session::require_known_characters(const std::string& doing) const {
  static const int ours = pg_char_to_encoding("UTF8");
  if (PQclientEncoding(wire_->handle()) == ours) return;
  const char* told = PQparameterStatus(wire_->handle(), "client_encoding");
  if (told == nullptr) return;
  throw database_error(db_errc::other, "PostgreSQL, " + server_ + ", " + doing +
                                           ": texts would be garbled while the session's client_encoding is '" + told +
                                           "': SET client_encoding = 'UTF8', or reset the session");
}

}  // namespace penstock::db::postgres

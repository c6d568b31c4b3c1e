#pragma once

// Opens a session with one server: finds it, logs in, and sets the session up.

#include "../server_url.h"
#include "penstock/async/task.h"
#include "wire.h"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace penstock::db::mariadb {

// What a session needs to know of its server.
struct server_facts {
  bool is_mariadb = true;
  unsigned long version = 0;          // 101119 is 10.11.19
  std::string identity;               // tells the servers behind one address apart
  std::size_t max_packet = 16 << 20;  // max_allowed_packet, in bytes
  bool takes_files = false;           // local_infile
  bool takes_arrays = false;          // array binding, with the ids of the rows if there are any
  bool has_cluster = false;           // Galera
  bool holds_id_lock = false;         // ids are without gaps in a statement whose number of rows it does not know
  std::size_t id_step = 1;            // auto_increment_increment
  bool rolls_back_on_timeout = true;  // a lock timeout ends the transaction, or may
  bool nulls_become_now = false;      // in a TIMESTAMP that takes none: explicit_defaults_for_timestamp is off
  std::string_view read_only_by{};    // the setting that makes it so, if any
  bool has_read_only = false;         // such a setting, which may be turned on
  bool rejects_queries = false;       // a node of a cluster that was taken out of service
};

// Statements that make a session that was reset what `open_session` makes of a new one. The last answer tells the
// facts.
std::string words_after_reset(const server_url& url);
server_facts facts_of(wire& w, const text_result& shown);

// Logs in and sets the session up. Throws `db_errc::read_only` where `primary_only` asks for more, and what the server
// says. Cancellable. `url` outlives it.
task<std::unique_ptr<wire>> open_session(const server_url* url, server_address at, server_facts* facts);

// Ends the statement that the session `thread_id` of the server `identity` runs, from another session. Throws when it
// can't, as when the address leads to another server by now.
task<void> end_statement(const server_url* url, server_address at, std::string identity, unsigned long thread_id);

// Whether that session waits for a statement, as far as another one of its account is told. Throws as `end_statement`.
task<bool> is_asleep(const server_url* url, server_address at, std::string identity, unsigned long thread_id);

// The error for what was said while something was done.
database_error failure(const server_address& at, const std::string& doing, const complaint& said);

}  // namespace penstock::db::mariadb

#pragma once

// What a simulation knows to be open: each thing that must be given back enters itself, and a test fails when one is
// left at its end.
//
//   class simulated_connection {
//     ledger_entry open_;      // gone with the connection
//    public:
//     explicit simulated_connection(std::string peer, std::source_location where = std::source_location::current())
//         : open_("connection", std::move(peer), where) {}
//   };

#include "penstock/async/detail/list.h"

#include <source_location>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::testing {

/// One thing that is open. Enters itself in the ledger of the simulation that runs on this thread, and leaves it when
/// destroyed; outside a simulation it does nothing. It may outlive the simulation. On one thread.
class ledger_entry : private detail::list_hook {
 public:
  /// `kind` says what it is ("connection", "file"), and is a literal: the view is kept. `name` says which one.
  explicit ledger_entry(std::string_view kind, std::string name,
                        std::source_location made_at = std::source_location::current());
  ledger_entry(const ledger_entry&) = delete;
  ledger_entry& operator=(const ledger_entry&) = delete;
  ~ledger_entry() = default;

  std::string_view kind() const noexcept { return kind_; }
  const std::string& name() const noexcept { return name_; }
  /// Where in the source it was made.
  const std::source_location& made_at() const noexcept { return made_at_; }

 private:
  friend class ledger;
  friend class detail::list<ledger_entry>;

  std::string_view kind_;
  std::string name_;
  std::source_location made_at_;
};

/// The entries of a simulation, in the order they were made.
class ledger {
 public:
  /// What a report says of one entry.
  struct record {
    std::string_view kind;         ///< What it is, such as "connection".
    std::string name;              ///< Which one.
    std::source_location made_at;  ///< Where in the source it was made.
  };

  /// What is open now.
  std::vector<record> open() const;

 private:
  friend class ledger_entry;
  mutable detail::list<ledger_entry> entries_;
};

/// One line a record: "connection 'db' made at src/net/connect.cpp:41 in connect".
std::string describe(const std::vector<ledger::record>& records);

}  // namespace penstock::testing

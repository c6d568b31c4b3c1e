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
#include "penstock/async/scheduler_observer.h"

#include <source_location>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::testing {

/// One thing that is open. Enters itself in the ledger of the simulation that runs on this thread, and leaves it when
/// destroyed; outside a simulation it does nothing. It may outlive the simulation. On one thread.
class ledger_entry final : public tracked {
 public:
  /// `kind` says what it is ("connection", "file"), and is a literal: the pointer is kept. `name` says which one.
  explicit ledger_entry(const char* kind, std::string name,
                        std::source_location made_at = std::source_location::current());
  std::string name() const override { return name_; }

 private:
  std::string name_;
};

/// What is open in a simulation, in the order it was made or lent.
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
  /// Takes something in, until it leaves.
  void add(tracked& what) noexcept { entries_.push_back(what); }

 private:
  mutable detail::list<tracked> entries_;
};

/// "connection 'db' made at src/net/connect.cpp:41 in connect".
std::string ledger_text(const ledger::record& record);
/// As above, one line a record.
std::string describe(const std::vector<ledger::record>& records);

/// "src/net/connect.cpp:41 in connect".
std::string place_text(const std::source_location& where);

}  // namespace penstock::testing

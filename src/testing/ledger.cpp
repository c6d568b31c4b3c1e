#include "penstock/testing/ledger.h"

#include "penstock/core/traceback.h"

#include <utility>

// Invariant: an entry is in the list of the simulation that ran when it was made, or in none.

namespace penstock::testing {

ledger_entry::ledger_entry(const char* kind, std::string name, std::source_location made_at)
    : tracked(kind), name_(std::move(name)) {
  enter(made_at);
}

std::vector<ledger::record> ledger::open() const {
  std::vector<record> result;
  entries_.for_each([&](const tracked& e) { result.push_back({e.kind(), e.name(), e.made_at()}); });
  return result;
}

std::string place_text(const std::source_location& where) {
  return std::string(where.file_name()) + ":" + std::to_string(where.line()) + " in " +
         short_function_name(where.function_name());
}

std::string ledger_text(const ledger::record& r) {
  std::string name = r.name.empty() ? "" : " '" + r.name + "'";
  return std::string(r.kind) + name + " made at " + place_text(r.made_at);
}

std::string describe(const std::vector<ledger::record>& records) {
  std::string lines;
  for (const ledger::record& r : records) lines += ledger_text(r) + "\n";
  return lines;
}

}  // namespace penstock::testing

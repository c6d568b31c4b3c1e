#include "penstock/testing/ledger.h"

#include "penstock/core/traceback.h"
#include "penstock/testing/simulation.h"

#include <utility>

// Invariant: an entry is in the list of the simulation that ran when it was made, or in none.

namespace penstock::testing {

ledger_entry::ledger_entry(std::string_view kind, std::string name, std::source_location made_at)
    : kind_(kind), name_(std::move(name)), made_at_(made_at) {
  if (simulation* running = simulation::current_or_null()) running->open_things().entries_.push_back(*this);
}

std::vector<ledger::record> ledger::open() const {
  std::vector<record> result;
  entries_.for_each([&](const ledger_entry& e) { result.push_back({e.kind(), e.name(), e.made_at()}); });
  return result;
}

std::string describe(const std::vector<ledger::record>& records) {
  std::string lines;
  for (const ledger::record& r : records) {
    lines += std::string(r.kind);
    if (!r.name.empty()) lines += " '" + r.name + "'";
    lines += " made at " + std::string(r.made_at.file_name()) + ":" + std::to_string(r.made_at.line()) + " in " +
             short_function_name(r.made_at.function_name()) + "\n";
  }
  return lines;
}

}  // namespace penstock::testing

#pragma once

// Tells rows that the server will probably refuse from the others, by those that it has refused: a client that sends
// -1 for a size it does not know, or orders of a customer who is no more, does so again. Nothing relies on it: rows
// that are suspected are sent apart, and the server decides.
//
// A value is suspected once two refused rows had it in the same column, unless many other rows have it too, until a row
// that has it is stored.

#include "penstock/db/row_batch.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace penstock::db::postgres {

class refused_values {
 public:
  void add_refused(std::span<const cell> row);
  // Of a row that was suspected.
  void add_stored(std::span<const cell> row);
  // Acquits the values that more than `most` of the rows have.
  void acquit_common(const row_batch& rows, std::size_t most);

  bool suspects_any() const noexcept { return suspects_any_; }
  bool suspects(std::span<const cell> row) const;

 private:
  static constexpr std::size_t most_values = 8;  // of a column that are remembered

  // Stands for a value; nearly always another one for another value.
  struct mark {
    cell::kind type;
    std::uint64_t bits;
    bool operator==(const mark&) const = default;
  };
  enum class standing : std::uint8_t { refused_once, suspected, common };
  struct remembered {
    mark value;
    standing now = standing::refused_once;
    std::size_t rows = 0;  // that have it, while they are counted
  };
  struct column {
    std::vector<remembered> values;  // the newest first
    bool is_looked_at = false;       // one is suspected
  };

  static mark mark_of(const cell& c);
  void look_again() noexcept;

  std::vector<column> columns_;
  bool suspects_any_ = false;
};

}  // namespace penstock::db::postgres

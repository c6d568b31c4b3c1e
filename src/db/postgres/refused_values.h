#pragma once

// Tells rows that the server will probably refuse from the others, by those that it has refused: a client that sends
// -1 for a size it does not know, or orders of a customer who is no more, does so again. Nothing relies on it: rows
// that are suspected are sent apart, and the server decides.
//
// A value is suspected once two refused rows had it in the same column, and so are values below, or above, all that
// were stored once two refused rows had such; not where many rows have them, and until a row that has them is stored.
// Of texts, it is the lengths that are below or above.

#include "penstock/db/row_batch.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

namespace penstock::db::postgres {

class refused_values {
 public:
  void add_refused(std::span<const cell> row);
  // Of each row, once one was refused.
  void add_stored(std::span<const cell> row);
  // Acquits the values that more than `most` of the rows have.
  void acquit_common(const row_batch& rows, std::size_t most);

  // Until then it need not hear of stored rows.
  bool has_any() const noexcept { return !columns_.empty(); }
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
  enum class standing : std::uint8_t { unknown, refused_once, suspected, common };
  struct judged {
    standing now = standing::unknown;
    std::size_t rows = 0;  // for which it holds, while they are counted

    void add_refused() noexcept;
  };
  struct remembered {
    mark value;
    judged judgement = {};
  };
  struct column {
    std::vector<remembered> values;                          // the newest first
    double least = std::numeric_limits<double>::infinity();  // of those that were stored
    double most = -std::numeric_limits<double>::infinity();
    judged below = {};
    judged above = {};
    bool is_looked_at = false;  // something is suspected

    void count(const cell& c);
    bool suspects(const cell& c) const;
  };

  static mark mark_of(const cell& c);
  static std::optional<double> size_of(const cell& c);
  void look_again() noexcept;

  std::vector<column> columns_;
  bool suspects_any_ = false;
};

}  // namespace penstock::db::postgres

// A bad row is a rejected item; only a bad header gives up the file.

#include "app/load/csv_reader.h"

#include "app/load/file_format.h"
#include <penstock/core/error.h>

namespace penstock::app::load {

csv_reader::csv_reader(csv_options options, std::size_t most_row_bytes)
    : options_(std::move(options)), splitter_(options_.delimiter.value_or(default_delimiter), most_row_bytes) {}

bool csv_reader::fill(batch& into, const batch_limits& limits) {
  while (!given_up_ && !into.full(limits)) {
    const csv_row* row = splitter_.next();
    if (row == nullptr) return false;
    if (columns_)
      take(*row, into);
    else
      read_header(*row, into);
  }
  return !given_up_;
}

void csv_reader::read_header(const csv_row& row, batch& into) {
  std::string problem = row.problem;
  if (problem.empty()) try {
      columns_.emplace(row.fields, options_.types);
      return;
    } catch (const error& wrong) {
      problem = wrong.message();
    }
  given_up_ = true;
  into.reject(load_errc::malformed, row.line, problem + "; nothing of the file was read", row.text);
}

void csv_reader::take(const csv_row& row, batch& into) {
  if (!row.problem.empty()) {
    into.reject(row.too_large ? load_errc::too_large : load_errc::bad_row, row.line, row.problem, row.text);
    return;
  }
  if (row.fields.size() != columns_->size()) {
    into.reject(
        load_errc::bad_row, row.line,
        "the row has " + std::to_string(row.fields.size()) + " fields, the header " + std::to_string(columns_->size()),
        row.text);
    return;
  }
  if (std::optional<cell_problem> bad = columns_->append(row.fields, into.body))
    into.reject(load_errc::bad_cell, row.line, bad->message, row.text, bad->pointer);
  else
    into.end_item(row.line);
}

}  // namespace penstock::app::load

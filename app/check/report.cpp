#include "app/check/report.h"

#include <string_view>

namespace penstock::app::check {
namespace {

using level = db::finding::level;

std::string_view title(level how) {
  switch (how) {
    case level::error:
      return "ERROR    ";
    case level::warning:
      return "WARNING  ";
    default:
      return "         ";
  }
}

std::string count(std::size_t n, const std::string& noun) {
  return (n == 0 ? "no" : std::to_string(n)) + " " + noun + (n > 1 ? "s" : "");
}

}  // namespace

void report::add(const db::finding& f) {
  errors_ += f.how == level::error ? 1 : 0;
  warnings_ += f.how == level::warning ? 1 : 0;
  out_ << title(f.how) << f.what << (f.how == level::note ? ": " + f.means : "\n         means: " + f.means) << "\n";
  if (!f.change.empty()) out_ << "         change: " << f.change << "\n";
}

void report::summary() {
  out_ << count(errors_, "error") << ", " << count(warnings_, "warning");
  out_ << (errors_ > 0     ? ": items can't be stored as it is"
           : warnings_ > 0 ? ": items are stored, within what the warnings say"
                           : ": ready to serve")
       << "\n";
}

}  // namespace penstock::app::check

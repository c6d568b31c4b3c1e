#include "app/load/summary.h"

#include "app/load/progress.h"
#include "app/printable.h"
#include <penstock/http/problem.h>

#include <algorithm>

#include <fmt/format.h>

namespace penstock::app::load {
namespace {

double seconds_of(duration d) { return std::max(1e-6, std::chrono::duration<double>(d).count()); }

std::string count_line(std::string_view name, std::uint64_t count, std::string_view remark = {}) {
  return fmt::format("{:<11}{:>13}{}{}\n", name, with_commas(count), remark.empty() ? "" : "  ", remark);
}

std::string where_rejects_are(const report& result) {
  std::string text;
  bool all_written = result.rejects_failure().empty();
  bool all_named = result.counts().unnamed == 0;
  if (result.wrote_rejects())
    text = std::string(!all_written ? "those that could be written"
                       : all_named  ? "all of them"
                                    : "those that the server named") +
           ", with their items: " + result.rejects_path() + "\n";
  if (!all_named)
    text += fmt::format(
        "{} of the rejected are NOT there: the server's answers name only so many; a smaller --batch-items helps\n",
        with_commas(result.counts().unnamed));
  if (all_written) return text;
  std::uint64_t missing = result.missing_rejects();
  text += missing > 0 ? with_commas(missing) + " of them are" : "some of them may be";
  text += std::string(result.wrote_rejects() ? " NOT there: " : " in no file: ") + result.rejects_failure();
  if (missing > 0) text += "; the first is that of " + result.first_missing_reject();
  return text + "\n";
}

}  // namespace

exit_code exit_code_of(const report& result, const load_end& end) noexcept {
  const totals& t = result.counts();
  if (end.interrupted) return interrupted;
  if (!end.stopped_because.empty() || !result.rejects_failure().empty()) return could_not_send;
  return t.rejected + t.unknown + t.not_sent > 0 ? some_bad : all_stored;
}

std::string summary_text(const report& result, const load_end& end) {
  const totals& t = result.counts();
  double seconds = seconds_of(end.elapsed);
  std::string text = count_line("items", t.items());
  text += count_line("stored", t.stored);
  text += count_line("duplicates", t.duplicates);
  text += count_line("rejected", t.rejected);
  if (t.unknown > 0) text += count_line("unknown", t.unknown, "no answer came: stored or not");
  if (t.not_sent > 0) text += count_line("not sent", t.not_sent);
  if (t.retries > 0) text += count_line("retries", t.retries);
  text += fmt::format("in {:.2f} s: {} items/s, {}/s\n", seconds,
                      with_commas(static_cast<std::uint64_t>(static_cast<double>(t.items()) / seconds)),
                      in_megabytes(static_cast<double>(t.source_bytes) / seconds));
  for (const std::string& line : result.first_rejections()) text += "  " + printable(line) + "\n";
  text += where_rejects_are(result);
  if (!end.stopped_because.empty()) {
    text += "stopped before the end: " + printable(end.stopped_because) + "\n";
    std::string place = result.last_place();
    std::string item = " (item " + with_commas(result.last_item()) + " of the file)";
    text += place.empty() ? "nothing was sent\n" : "nothing behind " + place + item + " was sent\n";
  }
  return text;
}

std::string summary_json(const report& result, const load_end& end) {
  const totals& t = result.counts();
  double seconds = seconds_of(end.elapsed);
  return fmt::format(
      R"({{"items":{},"stored":{},"duplicates":{},"rejected":{},"unknown":{},"not_sent":{},"retries":{},)"
      R"("source_bytes":{},"seconds":{:.6f},"items_per_second":{:.1f},"rejects":{},"rejects_missing":{},"first_missing":{},"rejects_unnamed":{},)"
      R"("stopped":{},"last_place":{},"last_item":{}}})"
      "\n",
      t.items(), t.stored, t.duplicates, t.rejected, t.unknown, t.not_sent, t.retries, t.source_bytes, seconds,
      static_cast<double>(t.items()) / seconds,
      result.wrote_rejects() ? http::json_string(result.rejects_path()) : "null", result.missing_rejects(),
      result.missing_rejects() > 0 ? http::json_string(result.first_missing_reject()) : "null", t.unnamed,
      end.stopped_because.empty() ? "null" : http::json_string(end.stopped_because),
      end.stopped_because.empty() ? "null" : http::json_string(result.last_place()),
      end.stopped_because.empty() ? "null" : std::to_string(result.last_item()));
}

}  // namespace penstock::app::load

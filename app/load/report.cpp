// Every item of a batch is counted once, in one of five ways; all but the stored and duplicate ones are in the rejects
// file, or counted as missing there.

#include "app/load/report.h"

#include <penstock/http/problem.h>

namespace penstock::app::load {
namespace {

constexpr std::size_t shown_rejections = 5;

std::string told(const std::string& file, const rejection& r) {
  std::string text = file + " line " + std::to_string(r.line) + ": " + r.code + ": " + r.message;
  if (!r.pointer.empty()) text += " (at " + r.pointer + ")";
  return text;
}

}  // namespace

report::report(std::vector<std::string> files, std::string rejects_path)
    : files_(std::move(files)), rejects_(std::move(rejects_path)) {}

void report::carried_out(const batch& b, const answer& a) {
  read_rejections(b);
  totals_.stored += a.stored;
  totals_.duplicates += a.duplicates;
  totals_.rejected += a.rejected;
  if (a.rejected > a.refused.size()) totals_.unnamed += a.rejected - a.refused.size();
  for (const refused_item& r : a.refused)
    reject(b.file, {b.items[r.index].line, r.code, r.message, r.pointer, std::string(b.text_of(r.index))});
  rejects_.flush();
}

void report::lost(const batch& b, const std::string& why) {
  totals_.unknown += b.items.size();
  all(b, load_errc::outcome_unknown, why);
}

void report::not_sent(const batch& b, const std::string& why) {
  totals_.not_sent += b.items.size();
  all(b, load_errc::not_sent, why);
}

void report::all(const batch& b, load_errc code, const std::string& why) {
  read_rejections(b);
  if (b.items.empty()) return rejects_.flush();
  std::string lines = " lines " + std::to_string(b.items.front().line) + " to " + std::to_string(b.items.back().line);
  show(files_[b.file] + lines + ": " + std::string(code_name(code)) + ": " + why);
  for (std::size_t i = 0; i < b.items.size(); ++i)
    write(b.file, {b.items[i].line, std::string(code_name(code)), why, {}, std::string(b.text_of(i))});
  rejects_.flush();
}

void report::read_rejections(const batch& b) {
  totals_.source_bytes += b.source_bytes;
  totals_.rejected += b.rejected.size();
  for (const rejection& r : b.rejected) reject(b.file, r);
}

void report::reject(std::size_t file, const rejection& r) {
  show(told(files_[file], r));
  write(file, r);
}

void report::show(std::string rejection) {
  if (first_.size() < shown_rejections) first_.push_back(std::move(rejection));
}

void report::write(std::size_t file, const rejection& r) {
  rejects_.write({file, r.line},
                 "{\"file\":" + http::json_string(files_[file]) + ",\"line\":" + std::to_string(r.line) +
                     ",\"code\":" + http::json_string(r.code) + ",\"message\":" + http::json_string(r.message) +
                     ",\"pointer\":" + http::json_string(r.pointer) + ",\"item\":" + http::json_string(r.item) + "}\n");
}

std::string report::last_place() const { return in_words(last_begun_); }

std::string report::first_missing_reject() const { return in_words(rejects_.first_missing()); }

std::string report::in_words(std::optional<reject_place> place) const {
  return place ? files_[place->first] + " line " + std::to_string(place->second) : std::string();
}

}  // namespace penstock::app::load

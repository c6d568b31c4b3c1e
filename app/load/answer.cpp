// Nothing of an answer is believed unless all of it makes sense: it decides what is told to be stored.

#include "app/load/answer.h"

#include <penstock/http/response.h>
#include <penstock/ingest/error.h>

#include <simdjson.h>

namespace penstock::app::load {
namespace {

namespace dom = simdjson::dom;

std::string text_at(const dom::element& object, const char* key) {
  std::string_view text;
  return object[key].get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}

std::optional<std::uint64_t> count_at(const dom::element& object, const char* key) {
  std::uint64_t count = 0;
  if (object[key].get(count) != simdjson::SUCCESS) return std::nullopt;
  return count;
}

// Counts beyond that would add up past the largest number.
std::optional<std::uint64_t> count_up_to(std::size_t most, const dom::element& object, const char* key) {
  std::optional<std::uint64_t> count = count_at(object, key);
  return count && *count <= most ? count : std::nullopt;
}

// `named`: the items that were refused before.
bool read_refused(const dom::element& result, std::vector<bool>& named, std::vector<refused_item>& into) {
  dom::element error;
  if (result["error"].get(error) != simdjson::SUCCESS) return true;
  std::optional<std::uint64_t> index = count_at(result, "index");
  if (!index || *index >= named.size() || named[*index]) return false;
  named[*index] = true;
  into.push_back(
      {static_cast<std::size_t>(*index), text_at(error, "code"), text_at(error, "message"), text_at(error, "pointer")});
  return true;
}

void add_unnamed(std::size_t index, std::vector<bool>& named, std::vector<std::size_t>& into) {
  named[index] = true;
  into.push_back(index);
}

// The first and the last of each run of them.
bool read_unnamed(const dom::array& runs, std::vector<bool>& named, std::vector<std::size_t>& into) {
  for (dom::element run : runs) {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    if (run.at(0).get(first) != simdjson::SUCCESS || run.at(1).get(last) != simdjson::SUCCESS) return false;
    if (last < first || last >= named.size()) return false;
    for (std::uint64_t index = first; index <= last; ++index) {
      if (named[index]) return false;
      add_unnamed(index, named, into);
    }
  }
  return true;
}

}  // namespace

std::optional<answer> parse_answer(std::string_view body, std::size_t items) {
  dom::parser parser;
  dom::element document;
  if (parser.parse(body.data(), body.size()).get(document) != simdjson::SUCCESS) return std::nullopt;
  std::optional<std::uint64_t> stored = count_up_to(items, document, "stored");
  std::optional<std::uint64_t> rejected = count_up_to(items, document, "rejected");
  std::optional<std::uint64_t> duplicates = count_up_to(items, document, "duplicates");
  if (!stored || !rejected || !duplicates || *stored + *rejected + *duplicates != items) return std::nullopt;
  answer a{*stored, *rejected, *duplicates, {}, {}};
  std::vector<bool> named(items);
  dom::array results;
  if (document["results"].get(results) == simdjson::SUCCESS) {
    for (dom::element result : results)
      if (!read_refused(result, named, a.refused) || a.refused.size() > a.rejected) return std::nullopt;
  }
  dom::array unnamed;
  if (document["unnamed"].get(unnamed) == simdjson::SUCCESS && !read_unnamed(unnamed, named, a.unnamed))
    return std::nullopt;
  if (a.refused.size() + a.unnamed.size() > a.rejected) return std::nullopt;
  // Where none was stored, it needs no telling which were rejected.
  for (std::size_t index = 0; index < items && a.rejected == items; ++index)
    if (!named[index]) add_unnamed(index, named, a.unnamed);
  return a;
}

bool says_items_may_be_stored(std::string_view problem) {
  dom::parser parser;
  dom::element document;
  if (parser.parse(problem.data(), problem.size()).get(document) != simdjson::SUCCESS) return false;
  std::string_view code;
  bool unknown =
      document["code"].get(code) == simdjson::SUCCESS && code == code_name(ingest::ingest_errc::outcome_unknown);
  return unknown || count_at(document, "stored").value_or(0) > 0;
}

std::optional<std::string> code_that_one_item_may_cause(std::string_view problem) {
  dom::parser parser;
  dom::element document;
  if (parser.parse(problem.data(), problem.size()).get(document) != simdjson::SUCCESS) return std::nullopt;
  std::string code = text_at(document, "code");
  bool may_be = code == "db.other" || code == "db.syntax" || code == "db.interrupted";
  return may_be ? std::optional(std::move(code)) : std::nullopt;
}

std::string describe_problem(int status, std::string_view body) {
  std::string text = std::to_string(status);
  if (std::string_view reason = http::reason_phrase(status); !reason.empty()) text += " " + std::string(reason);
  dom::parser parser;
  dom::element document;
  if (parser.parse(body.data(), body.size()).get(document) != simdjson::SUCCESS || !document.is_object()) return text;
  if (std::string code = text_at(document, "code"); !code.empty()) text += " (" + code + ")";
  if (std::string detail = text_at(document, "detail"); !detail.empty()) text += ": " + detail;
  return text;
}

}  // namespace penstock::app::load

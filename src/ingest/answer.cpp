#include "answer.h"

#include "penstock/core/outcome.h"
#include "penstock/http/problem.h"
#include "penstock/ingest/error.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <vector>

// Results are rendered by hand, into one string: they are the bulk of what the service says.

namespace penstock::ingest {
namespace {

// They take some 100 KB, beside the results.
constexpr std::size_t most_runs = 8'192;

std::string what_stands(const item_ledger& taken) {
  return taken.counts().all() == 0 ? "; there is no item before it, and what follows was not looked at"
                                   : "; the items before it stand, what follows was not looked at";
}

template <class Integer>
void append_number(std::string& out, Integer n) {
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof(digits), n).ptr);
}

template <class Integer>
void append_member(std::string& out, std::string_view name, Integer n) {
  out += ",\"";
  out += name;
  out += "\":";
  append_number(out, n);
}

void append_error(std::string& out, const item_error& e) {
  out += R"(,"error":{"code":")";
  out += e.code;
  out += R"(","message":)";
  out += http::json_string(e.message);
  out += R"(,"pointer":)";
  out += http::json_string(e.pointer);
  if (e.offset) append_member(out, "offset", *e.offset);
  out += '}';
}

void append_result(std::string& out, const item_result& r) {
  out += R"({"index":)";
  append_number(out, r.index);
  if (r.line > 0) append_member(out, "line", r.line);
  out += R"(,"status":")";
  out += name_of(r.status);
  out += '"';
  if (r.status == item_status::stored) append_member(out, "id", r.id);
  if (r.error) append_error(out, *r.error);
  out += '}';
}

struct result_list {
  std::string array;
  bool truncated;
  std::string unnamed = {};  // where truncated
};

// Those that are true, as pairs of the first and the last of each run.
std::string list_runs(const std::vector<bool>& of) {
  std::string array = "[";
  std::size_t runs = 0;
  for (auto at = std::find(of.begin(), of.end(), true); at != of.end() && runs < most_runs; ++runs) {
    auto end = std::find(at, of.end(), false);
    array += runs == 0 ? "[" : ",[";
    append_number(array, at - of.begin());
    array += ',';
    append_number(array, end - of.begin() - 1);
    array += ']';
    at = std::find(end, of.end(), true);
  }
  return array += ']';
}

std::string list_unnamed(const item_ledger& taken, std::size_t named) {
  std::vector<bool> unnamed = taken.unnamed();
  for (std::size_t i = named; i < taken.results().size(); ++i) {
    const item_result& r = taken.results()[i];
    if (r.status != item_status::rejected) continue;
    if (r.index >= unnamed.size()) unnamed.resize(r.index + 1);
    unnamed[r.index] = true;
  }
  return list_runs(unnamed);
}

result_list list_results(const item_ledger& taken, std::size_t most_bytes) {
  result_list list{"[", taken.truncated()};
  std::size_t named = 0;
  for (const item_result& r : taken.results()) {
    std::size_t before = list.array.size();
    if (before > 1) list.array += ',';
    append_result(list.array, r);
    if (list.array.size() > most_bytes) {
      list.array.resize(before);
      list.truncated = true;
      break;
    }
    ++named;
  }
  list.array += ']';
  if (list.truncated && most_bytes > 0) list.unnamed = list_unnamed(taken, named);
  return list;
}

std::string summary(const item_ledger& taken, const result_list& results) {
  const item_counts& counts = taken.counts();
  std::string out = R"({"stored":)";
  append_number(out, counts.stored);
  append_member(out, "rejected", counts.rejected);
  append_member(out, "duplicates", counts.duplicates);
  out += R"(,"results":)";
  out += results.array;
  if (results.truncated) out += R"(,"results_truncated":true)";
  if (!results.unnamed.empty()) out.append(R"(,"unnamed":)").append(results.unnamed);
  return out += "}\n";
}

http::problem problem_with_counts(int status, std::string code, std::string detail, const item_ledger& taken,
                                  const result_list& results, const std::string& request_id) {
  const item_counts& counts = taken.counts();
  http::problem p{status, std::move(code), std::move(detail), request_id, {}};
  p.members.emplace_back("stored", std::to_string(counts.stored));
  p.members.emplace_back("rejected", std::to_string(counts.rejected));
  p.members.emplace_back("duplicates", std::to_string(counts.duplicates));
  if (counts.failed > 0) p.members.emplace_back("failed", std::to_string(counts.failed));
  p.members.emplace_back("results", results.array);
  if (results.truncated) p.members.emplace_back("results_truncated", "true");
  if (!results.unnamed.empty()) p.members.emplace_back("unnamed", results.unnamed);
  return p;
}

http::response single_rejection(const item_error& e, const std::string& request_id) {
  http::problem p{422, std::string(e.code), e.message, request_id, {}};
  p.members.emplace_back("pointer", http::json_string(e.pointer));
  if (e.offset) p.members.emplace_back("offset", std::to_string(*e.offset));
  return to_response(p);
}

http::response malformed_body(const body_error& e, const item_ledger& taken, const result_list& results,
                              const std::string& request_id) {
  std::string where = "line " + std::to_string(e.line) + ", byte " + std::to_string(e.offset) + ": ";
  http::problem p = problem_with_counts(400, std::string(code_name(ingest_errc::malformed_body)),
                                        where + e.message + what_stands(taken), taken, results, request_id);
  p.members.emplace_back("offset", std::to_string(e.offset));
  p.members.emplace_back("line", std::to_string(e.line));
  return to_response(p);
}

// A code of the database where the batch's failure has one: "db.full" says more than that a commit failed.
http::response commit_failure(const item_ledger& taken, const result_list& results, const body_end& end,
                              const std::string& request_id, duration retry_after) {
  const auto* refused = detail::exception_as<error>(taken.failure());
  std::string code(refused != nullptr ? refused->code() : code_name(ingest_errc::commit_failed));
  const item_counts& counts = taken.counts();
  const std::string of_all = " of " + std::to_string(counts.all()) + " items ";
  std::uint64_t lost = counts.failed - taken.unknown();
  std::string detail;
  if (taken.unknown() > 0)
    detail = "it is not known whether " + std::to_string(taken.unknown()) + of_all +
             "are stored: the database failed during their commit; " +
             (end.repeatable ? "repeat the request with the same Idempotency-Key"
                             : "look them up before sending them again, or send an Idempotency-Key with each request");
  if (lost > 0)
    detail += (detail.empty() ? "" : "; ") + std::to_string(lost) + of_all +
              "were not stored: their batch could not be committed; send them again";
  if (end.given_up || end.malformed) detail += "; what follows them in the body was not looked at";
  return to_response(problem_with_counts(503, std::move(code), std::move(detail), taken, results, request_id))
      .with("Retry-After", retry_after_field(retry_after));
}

}  // namespace

http::response answer_of(const item_ledger& taken, const body_end& end, const std::string& request_id,
                         duration retry_after, std::size_t most_result_bytes) {
  const item_counts& counts = taken.counts();
  const result_list results = list_results(taken, most_result_bytes);
  if (counts.failed > 0) return commit_failure(taken, results, end, request_id, retry_after);
  if (end.given_up) {
    bool is_overloaded = end.given_up->is(ingest_errc::overloaded);
    int status = is_overloaded ? 503 : end.given_up->is(ingest_errc::body_too_large) ? 413 : 400;
    http::problem p = problem_with_counts(status, std::string(end.given_up->code()),
                                          end.given_up->message() + what_stands(taken), taken, results, request_id);
    if (is_overloaded) return to_response(p).with("Retry-After", retry_after_field(retry_after));
    return to_response(p);
  }
  if (end.malformed) return malformed_body(*end.malformed, taken, results, request_id);
  if (!end.is_collection && counts.rejected == 1) return single_rejection(*taken.results().front().error, request_id);
  return http::response::json(200, summary(taken, results));
}

std::string retry_after_field(duration wait) {
  return std::to_string(std::max<std::int64_t>(1, std::chrono::ceil<std::chrono::seconds>(wait).count()));
}

}  // namespace penstock::ingest

#include "ndjson_types.h"
#include "penstock/async/timeout.h"
#include "penstock/core/nearest.h"
#include "penstock/db/error.h"
#include "penstock/http/problem.h"
#include "penstock/ingest/error.h"
#include "penstock/ingest/json_diagnosis.h"
#include "stream_endpoint.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <set>

// GET: pages by keyset (WHERE id > after ORDER BY id), so that the thousandth page costs what the first one does and
// rows that come in meanwhile shift nothing.

namespace penstock::ingest {
namespace {

constexpr std::uint64_t default_page_items = 100;
// A server may have ended sessions while nobody used them; one more of these than there usually are is a lost database.
constexpr int most_lost_sessions = 2;
constexpr std::uint64_t export_page_items = 1'000;
// What a page holds of the rows' values; it ends with the row that goes beyond.
constexpr std::size_t most_page_bytes = std::size_t{4} << 20;

// A place for an id, of 64 bits: PostgreSQL takes a parameter alone for a value of the type that it is compared with,
// which holds less where ids are of 16 or 32 bits.
const std::string any_id = "COALESCE(?, 9223372036854775807)";

// What an export says at a time: more would be held of it twice, by the connection too.
constexpr std::size_t export_piece_bytes = std::size_t{64} << 10;

struct page_is_full {};

template <class Integer>
std::optional<Integer> parse_integer(std::string_view text) {
  Integer n{};
  auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return n;
}

std::string_view trimmed(std::string_view text) {
  std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// Takes what stands before the first `by` off the list.
std::string_view take_part(std::string_view& list, char by) {
  std::size_t end = std::min(list.find(by), list.size());
  std::string_view part = trimmed(list.substr(0, end));
  list.remove_prefix(std::min(end + 1, list.size()));
  return part;
}

// Of a range's parameters; in thousandths, and 1 where there is none (RFC 9110, section 12.4.2).
int weight_in(std::string_view parameters) {
  int weight = 1'000;
  while (!parameters.empty()) {
    std::string_view parameter = take_part(parameters, ';');
    if (!parameter.starts_with("q=") && !parameter.starts_with("Q=")) continue;
    double given = 0;
    std::from_chars(parameter.data() + 2, parameter.data() + parameter.size(), given, std::chars_format::fixed);
    weight = given >= 0 ? static_cast<int>(std::min(given, 1.0) * 1'000) : 0;
  }
  return weight;
}

// It must be named, and preferred no less than JSON where that is named too.
bool accepts_ndjson(const http::request& r) {
  int ndjson = 0;
  int json = 0;
  for (const http::header_field& field : r.headers()) {
    if (!http::equal_ignoring_case(field.name, "Accept")) continue;
    for (std::string_view list = field.value; !list.empty();) {
      std::string_view range = take_part(list, ',');
      std::string_view type = take_part(range, ';');
      if (is_ndjson_type(type))
        ndjson = std::max(ndjson, weight_in(range));
      else if (http::equal_ignoring_case(type, "application/json"))
        json = std::max(json, weight_in(range));
    }
  }
  return ndjson > 0 && ndjson >= json;
}

void append_real(std::string& out, double v) {
  if (!std::isfinite(v)) {  // JSON has no name for it
    out += "null";
    return;
  }
  char digits[32];
  std::string_view text(digits,
                        static_cast<std::size_t>(std::to_chars(digits, digits + sizeof(digits), v).ptr - digits));
  out += text;
  if (text.find_first_of(".e") == std::string_view::npos) out += ".0";
}

// In one line: line breaks can only stand between tokens of JSON.
void append_json(std::string& out, const std::string& json) {
  std::size_t before = out.size();
  out += json;
  auto is_break = [](char c) { return c == '\n' || c == '\r'; };
  std::replace_if(out.begin() + static_cast<std::ptrdiff_t>(before), out.end(), is_break, ' ');
}

// A whole number as JSON has them. Such come as texts from decimal columns, and those above 2^63 - 1 do.
bool is_whole_number(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  bool is_padded = text.size() > 1 && text.front() == '0';
  return !text.empty() && !is_padded && text.find_first_not_of("0123456789") == std::string_view::npos;
}

void append_value(std::string& out, const db::value& v, db::column_type type) {
  if (const auto* text = std::get_if<std::string>(&v)) {
    // Penstock stored it as valid JSON; what others wrote into the table may be anything.
    if (type == db::column_type::json && !diagnose_json(*text))
      append_json(out, *text);
    else if (type == db::column_type::integer && is_whole_number(*text))
      out += *text;
    else
      out += http::json_string(*text);
  } else if (const auto* n = std::get_if<std::int64_t>(&v)) {
    if (type == db::column_type::boolean)
      out += *n != 0 ? "true" : "false";
    else
      out += std::to_string(*n);
  } else if (const auto* real = std::get_if<double>(&v)) {
    // A truth in a column that SQLite keeps reals in.
    if (type == db::column_type::boolean && (*real == 0 || *real == 1))
      out += *real == 1 ? "true" : "false";
    else
      append_real(out, *real);
  } else if (const auto* boolean = std::get_if<bool>(&v)) {
    // MariaDB gives a TINYINT(1) so, which may be a column of whole numbers.
    if (type == db::column_type::integer)
      out += *boolean ? '1' : '0';
    else
      out += *boolean ? "true" : "false";
  } else if (const auto* t = std::get_if<db::timestamp>(&v)) {
    out += '"' + db::format_timestamp(*t) + '"';
  } else if (const auto* bytes = std::get_if<db::blob>(&v)) {
    out += http::json_string({reinterpret_cast<const char*>(bytes->bytes.data()), bytes->bytes.size()});
  } else {
    out += "null";
  }
}

}  // namespace

stream_endpoint::stream_endpoint(stream_writer& writer, db::pool& readers, db::pool& writers,
                                 const service_options& options, request_memory& memory, metrics::registry& measure)
    : writer_(writer),
      readers_(readers),
      writers_(writers),
      options_(options),
      memory_(memory),
      refused_(measure.counter(
          "penstock_requests_refused_total",
          "Requests refused with 503: the queue, or the memory for requests, was full, the database away, or the "
          "service stopping.",
          {{"stream", writer.name()}})) {
  const db::table_definition& table = writer.schema().table();
  // SQLite takes a name in quotes that no column has for a text, unless it is that of a table's column.
  select_ = "SELECT item." + db::quote_identifier(table.id_column);
  for (const db::table_column& column : table.columns) select_ += ", item." + db::quote_identifier(column.name);
  select_ += " FROM ";
  where_id_ = " AS item WHERE item." + db::quote_identifier(table.id_column);
}

task<http::response> stream_endpoint::show_item(http::request& r) {
  if (!r.query().empty())
    throw http::problem_error(400, ingest_errc::bad_query,
                              "an item takes no parameters, as '" + std::string(r.query().substr(0, 100)) + "'");
  std::string_view text = r.parameter("id");
  std::optional<std::int64_t> id = parse_integer<std::int64_t>(text);
  db::result found;
  if (id) {
    task<db::result> reading = ask(where_id_ + " = " + any_id, db::parameters_of(*id));
    found = co_await std::move(reading);
  }
  if (found.rows.empty())
    throw http::problem_error(404, ingest_errc::not_found,
                              "stream '" + writer_.name() + "' has no item '" + std::string(text) + "'");
  std::string body;
  append_item(body, found.rows.front());
  co_return http::response::json(200, body + "\n");
}

task<http::response> stream_endpoint::list_items(http::request& r) {
  page_query query = parse_page_query(r);
  if (query.as_ndjson) {
    // The first page is read before the answer begins, while a failure can still be told by its status.
    task<page> reading = read_page(query.after, std::min(query.limit.value_or(UINT64_MAX), export_page_items));
    page read = co_await std::move(reading);
    auto held = std::make_shared<memory_share>(memory_.answers);
    if (!held->hold(read.bytes)) co_return refusal(r, ingest_errc::overloaded, no_room_for_answers());
    http::response answer(200, "");
    answer.headers.emplace_back("Content-Type", "application/x-ndjson");
    auto first = std::make_shared<page>(std::move(read));
    answer.stream = [this, query, first, held](http::body_writer& out) {
      return export_items(out, first, held, query.limit);
    };
    co_return answer;
  }
  std::uint64_t limit = std::min<std::uint64_t>(query.limit.value_or(default_page_items), options_.max_page_items);
  task<page> reading = read_page(query.after, limit);
  page read = co_await std::move(reading);
  std::string body = R"({"items":[)";
  for (const auto& row : read.rows) {
    if (&row != &read.rows.front()) body += ',';
    append_item(body, row);
  }
  bool more = !read.is_last && !read.rows.empty();
  std::string last = more ? std::to_string(std::get<std::int64_t>(read.rows.back().front())) : "null";
  http::response answer = http::response::json(200, body + R"(],"next":)" + last + "}\n");
  if (more)  // RFC 8288
    answer.headers.emplace_back(
        "Link", "</v1/" + writer_.name() + "?after=" + last + "&limit=" + std::to_string(limit) + ">; rel=\"next\"");
  co_return answer;
}

stream_endpoint::page_query stream_endpoint::parse_page_query(const http::request& r) const {
  static constexpr std::array<std::string_view, 3> known = {"after", "limit", "format"};
  page_query query{0, std::nullopt, accepts_ndjson(r)};
  auto refuse = [](const std::string& why) -> void { throw http::problem_error(400, ingest_errc::bad_query, why); };
  std::set<std::string, std::less<>> given;
  for (const auto& [name, value] : r.query_parameters()) {
    if (!given.insert(name).second) refuse("parameter '" + name + "' is given twice");
    if (name == "after") {
      std::optional<std::int64_t> after = parse_integer<std::int64_t>(value);
      if (!after) refuse("after=" + value + ": expected the id of an item");
      query.after = *after;
    } else if (name == "limit") {
      query.limit = parse_integer<std::uint64_t>(value);
      if (!query.limit) refuse("limit=" + value + ": expected a whole number");
    } else if (name == "format") {
      if (value != "json" && value != "ndjson") refuse("format=" + value + ": expected json or ndjson");
      query.as_ndjson = value == "ndjson";
    } else {
      refuse("unknown parameter '" + name + "'" + suggestion(name, known));
    }
  }
  return query;
}

task<stream_endpoint::page> stream_endpoint::read_page(std::int64_t after, std::uint64_t limit) {
  try {
    task<page> reading = with_timeout(options_.read_timeout, read_page_patiently(after, limit));
    co_return co_await std::move(reading);
  } catch (const timed_out&) {
  }
  throw_no_answer();
}

task<stream_endpoint::page> stream_endpoint::read_page_patiently(std::int64_t after, std::uint64_t limit) {
  for (int lost = 0;; ++lost) {
    auto acquiring = session_for_reading();
    db::pool::lease session = co_await std::move(acquiring);
    try {
      task<page> reading = read_page_over(*session, after, limit);
      co_return co_await std::move(reading);
    } catch (const db::database_error& e) {
      if (e.errc() != db::db_errc::connection_lost || lost == most_lost_sessions) throw;
    }
  }
}

task<stream_endpoint::page> stream_endpoint::read_page_over(db::connection& session, std::int64_t after,
                                                            std::uint64_t limit) {
  std::string id = "item." + db::quote_identifier(writer_.schema().table().id_column);
  std::string sql = select_from(session, where_id_ + " > " + any_id + " ORDER BY " + id + " LIMIT ?");
  page read;
  db::row_consumer take = [&](const db::result& some) -> task<void> {
    for (const auto& row : some.rows) {
      read.bytes += db::bytes_of(row);
      read.rows.push_back(row);
      if (read.bytes > most_page_bytes && read.rows.size() < limit) throw page_is_full();
    }
    co_return;
  };
  try {
    auto values = db::parameters_of(after, static_cast<std::int64_t>(limit));
    task<std::uint64_t> reading = session.query_each(std::move(sql), std::move(values), take);
    co_await std::move(reading);
    read.is_last = read.rows.size() < limit;
  } catch (const page_is_full&) {
    read.is_last = false;
  }
  co_return read;
}

task<db::result> stream_endpoint::ask(std::string condition, db::parameters values) {
  try {
    task<db::result> asking =
        with_timeout(options_.read_timeout, ask_patiently(std::move(condition), std::move(values)));
    co_return co_await std::move(asking);
  } catch (const timed_out&) {
  }
  throw_no_answer();
}

// The database may give an account no more sessions than writers have already.
task<db::pool::lease> stream_endpoint::session_for_reading() {
  std::exception_ptr refused;
  if (!readers_.unreachable() || writers_.unreachable()) {
    try {
      auto acquiring = readers_.acquire();
      co_return co_await std::move(acquiring);
    } catch (const db::database_error& e) {
      if (!says_that_it_is_away(e) || !readers_.unreachable()) throw;
      refused = std::current_exception();
    }
    if (writers_.unreachable()) std::rethrow_exception(refused);
  }
  auto acquiring = writers_.acquire();
  co_return co_await std::move(acquiring);
}

std::string stream_endpoint::select_from(const db::connection& session, const std::string& condition) const {
  return select_ + session.quoted_table(writer_.schema().table().name) + condition;
}

task<db::result> stream_endpoint::ask_patiently(std::string condition, db::parameters values) {
  for (int lost = 0;; ++lost) {
    auto acquiring = session_for_reading();
    db::pool::lease session = co_await std::move(acquiring);
    try {
      task<db::result> reading = session->query(select_from(*session, condition), values);
      co_return co_await std::move(reading);
    } catch (const db::database_error& e) {
      if (e.errc() != db::db_errc::connection_lost || lost == most_lost_sessions) throw;
    }
  }
}

// Neither a connection nor the rows are held while a page is sent: a slow client keeps nobody else from reading.
task<void> stream_endpoint::export_items(http::body_writer& out, std::shared_ptr<page> read,
                                         std::shared_ptr<memory_share> held, std::optional<std::uint64_t> limit) {
  std::string text;
  std::uint64_t left = limit.value_or(UINT64_MAX);
  while (!read->rows.empty()) {
    for (const auto& row : read->rows) {
      append_item(text, row);
      text += '\n';
      if (text.size() < export_piece_bytes && &row != &read->rows.back()) continue;
      task<void> writing = out.write(text);
      co_await std::move(writing);
      text.clear();
    }
    auto last = std::get<std::int64_t>(read->rows.back().front());
    left -= read->rows.size();
    bool is_last = read->is_last || left == 0;
    *read = {};
    if (is_last) break;
    // Others that hold some let it go when their clients take it, or within the time that clients have for that.
    held->hold_anyway(0);
    task<bool> waiting =
        held->wait_for_room(options_.read_timeout, std::min(most_page_bytes, options_.answer_bytes / 8));
    bool has_room = co_await std::move(waiting);
    if (!has_room) throw error(ingest_errc::overloaded, no_room_for_answers());
    task<page> reading = read_page(last, std::min(left, export_page_items));
    *read = co_await std::move(reading);
    held->hold_anyway(read->bytes);
  }
}

http::response stream_endpoint::counted_or_refused(const http::request& r, http::response answer) const {
  if (answer.body.size() <= memory_share::few_bytes) return answer;
  auto held = std::make_shared<memory_share>(memory_.answers);
  if (!held->hold(answer.body.size())) return refusal(r, ingest_errc::overloaded, no_room_for_answers());
  answer.held = std::move(held);
  return answer;
}

std::string stream_endpoint::no_room_for_answers() const {
  return "answers that clients have not taken yet hold " + std::to_string(memory_.answers.taken_bytes()) +
         " bytes; try again later";
}

void stream_endpoint::append_item(std::string& out, const std::vector<db::value>& row) const {
  const db::table_definition& table = writer_.schema().table();
  out += "{" + http::json_string(table.id_column) + ":";
  append_value(out, row[0], db::column_type::integer);
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    out += "," + http::json_string(table.columns[i].name) + ":";
    append_value(out, row[i + 1], table.columns[i].type);
  }
  out += "}";
}

}  // namespace penstock::ingest

#include "idempotency_table.h"

#include <algorithm>
#include <bit>
#include <map>
#include <span>
#include <string_view>

// Keys are looked up in lists of 1, 2, 4 … keys, the last one repeated, so that few different statements are prepared.
// Old answers are found by their ids, which ascend with time: no index on the time is needed.

namespace penstock::ingest {
namespace {

constexpr std::size_t most_keys_of_a_query = 1'024;
constexpr std::int64_t most_deletes_at_a_time = 500;

using found_by_key = std::map<std::string, kept_answer, std::less<>>;

db::timestamp current_time() { return std::chrono::floor<std::chrono::microseconds>(scheduler::current().wall_now()); }

task<void> look_up(db::connection& session, const std::string& stream, std::span<const batch_group> groups,
                   found_by_key& into) {
  std::size_t places = std::bit_ceil(groups.size());
  std::string sql =
      R"(SELECT "request_key", "request_hash", "status", "answer" FROM "penstock_idempotency" WHERE "stream" = ? )"
      R"(AND "request_key" IN ()";
  db::parameters values = db::parameters_of(stream);
  for (std::size_t i = 0; i < places; ++i) {
    sql += i == 0 ? "?" : ", ?";
    values.emplace_back(groups[std::min(i, groups.size() - 1)].with->key);
  }
  sql += ")";
  task<db::result> asking = session.query(std::move(sql), std::move(values));
  db::result found = co_await std::move(asking);
  for (std::vector<db::value>& row : found.rows)
    into.try_emplace(std::get<std::string>(row[0]),
                     kept_answer{std::get<std::string>(row[1]), static_cast<int>(std::get<std::int64_t>(row[2])),
                                 std::get<std::string>(row[3])});
}

}  // namespace

const db::table_definition& idempotency_table() {
  static const db::table_definition table = [] {
    db::table_definition t;
    t.name = "penstock_idempotency";
    t.columns = {{"stream", db::column_type::text, true},       {"request_key", db::column_type::text, true},
                 {"request_hash", db::column_type::text, true}, {"status", db::column_type::integer, true},
                 {"answer", db::column_type::text, true},       {"created_at", db::column_type::timestamp, true}};
    t.unique_key = {"stream", "request_key"};
    return t;
  }();
  return table;
}

task<std::vector<std::optional<kept_answer>>> find_kept_answers(db::connection& session, const std::string& stream,
                                                                const std::vector<batch_group>& groups) {
  found_by_key found;
  for (std::span<const batch_group> rest(groups); !rest.empty();) {
    std::span<const batch_group> some = rest.first(std::min(rest.size(), most_keys_of_a_query));
    rest = rest.subspan(some.size());
    task<void> looking = look_up(session, stream, some, found);
    co_await std::move(looking);
  }
  std::vector<std::optional<kept_answer>> answers;
  for (const batch_group& group : groups) {
    auto it = found.find(group.with->key);
    answers.push_back(it == found.end() ? std::nullopt : std::optional(it->second));
  }
  co_return answers;
}

void add_kept_answer(db::row_batch& to, const std::string& stream, const std::string& key, const kept_answer& answer) {
  to.add_text(stream);
  to.add_text(key);
  to.add_text(answer.request_hash);
  to.add_integer(answer.status);
  to.add_text(answer.body);
  to.add_timestamp(current_time());
  to.commit_row();
}

task<bool> forget_some_answers(db::connection& session, duration retention) {
  task<db::result> asking =
      session.query(R"(SELECT max("id") FROM (SELECT "id" FROM "penstock_idempotency" ORDER BY "id" LIMIT )" +
                        std::to_string(most_deletes_at_a_time) + ") AS oldest",
                    {});
  db::result oldest = co_await std::move(asking);
  if (std::holds_alternative<std::monostate>(oldest.rows.front().front())) co_return false;
  db::timestamp before = current_time() - std::chrono::duration_cast<std::chrono::microseconds>(retention);
  task<std::uint64_t> deleting =
      session.execute(R"(DELETE FROM "penstock_idempotency" WHERE "id" <= ? AND "created_at" < ?)",
                      db::parameters_of(std::get<std::int64_t>(oldest.rows.front().front()), before));
  std::uint64_t deleted = co_await std::move(deleting);
  co_return deleted == most_deletes_at_a_time;
}

}  // namespace penstock::ingest

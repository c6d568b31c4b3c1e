#include "idempotency_table.h"

#include <algorithm>
#include <bit>
#include <map>
#include <span>
#include <string_view>
#include <utility>

// Keys are looked up in lists of 1, 2, 4 … keys, the last one repeated, so that few different statements are prepared.
// Old answers are found by their ids, which ascend with time: no index on the time is needed. Those of a server whose
// clock was ahead stay for longer and are stepped over.

namespace penstock::ingest {
namespace {

constexpr std::size_t most_keys_of_a_query = 1'024;
constexpr std::int64_t most_deletes_at_a_time = 500;

using found_by_key = std::map<std::string, kept_answer, std::less<>>;
using key_list = std::vector<const std::string*>;

db::timestamp current_time() { return std::chrono::floor<std::chrono::microseconds>(scheduler::current().wall_now()); }

task<db::result> look_up(db::connection& session, const char* columns, const std::string& stream,
                         std::span<const std::string* const> keys) {
  std::size_t places = std::bit_ceil(keys.size());
  std::string sql =
      std::string("SELECT ") + columns + R"( FROM "penstock_idempotency" WHERE "stream" = ? AND "request_key" IN ()";
  db::parameters values = db::parameters_of(stream);
  for (std::size_t i = 0; i < places; ++i) {
    sql += i == 0 ? "?" : ", ?";
    values.emplace_back(*keys[std::min(i, keys.size() - 1)]);
  }
  sql += ")";
  return session.query(std::move(sql), std::move(values));
}

// Calls `take` with each row that is there, some keys at a time.
template <class Take>
task<void> look_up_all(db::connection& session, const char* columns, const std::string& stream, const key_list& keys,
                       Take take) {
  for (std::span<const std::string* const> rest(keys); !rest.empty();) {
    std::span<const std::string* const> some = rest.first(std::min(rest.size(), most_keys_of_a_query));
    rest = rest.subspan(some.size());
    task<db::result> asking = look_up(session, columns, stream, some);
    db::result found = co_await std::move(asking);
    for (std::vector<db::value>& row : found.rows) take(row);
  }
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
  key_list keys;
  for (const batch_group& group : groups) keys.push_back(&group.with->key);
  found_by_key found;
  auto take_what_it_was = [&](std::vector<db::value>& row) {
    found.try_emplace(
        std::get<std::string>(row[0]),
        kept_answer{std::get<std::string>(row[1]), static_cast<int>(std::get<std::int64_t>(row[2])), {}, false});
  };
  task<void> looking =
      look_up_all(session, R"("request_key", "request_hash", "status")", stream, keys, take_what_it_was);
  co_await std::move(looking);
  keys.clear();
  for (const batch_group& group : groups)
    if (auto it = found.find(group.with->key); it != found.end() && it->second.request_hash == group.with->hash)
      keys.push_back(&it->first);
  auto take_answer = [&](std::vector<db::value>& row) {
    kept_answer& answer = found.at(std::get<std::string>(row[0]));
    answer.body = std::move(std::get<std::string>(row[1]));
    answer.is_kept = true;
  };
  task<void> fetching = look_up_all(session, R"("request_key", "answer")", stream, keys, take_answer);
  co_await std::move(fetching);
  std::vector<std::optional<kept_answer>> answers(groups.size());
  for (std::size_t g = 0; g < groups.size(); ++g) {
    auto it = found.find(groups[g].with->key);
    if (it == found.end()) continue;
    bool is_gone = it->second.request_hash == groups[g].with->hash && !it->second.is_kept;
    if (!is_gone) answers[g] = std::move(it->second);
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

task<bool> forget_some_answers(db::connection& session, duration retention, std::int64_t& after) {
  const db::timestamp now = current_time();
  const std::int64_t behind = std::exchange(after, 0);
  task<db::result> asking = session.query(
      R"(SELECT max("id"), count("id"), count(CASE WHEN "created_at" > ? THEN 1 END) FROM (SELECT "id", "created_at" )"
      R"(FROM "penstock_idempotency" WHERE "id" > ? ORDER BY "id" LIMIT )" +
          std::to_string(most_deletes_at_a_time) + ") AS oldest",
      db::parameters_of(now, behind));
  db::result oldest = co_await std::move(asking);
  const std::vector<db::value>& found = oldest.rows.front();
  if (std::holds_alternative<std::monostate>(found[0])) co_return false;
  auto last = std::get<std::int64_t>(found[0]);
  db::timestamp before = now - std::chrono::duration_cast<std::chrono::microseconds>(retention);
  task<std::uint64_t> deleting =
      session.execute(R"(DELETE FROM "penstock_idempotency" WHERE "id" > ? AND "id" <= ? AND "created_at" < ?)",
                      db::parameters_of(behind, last, before));
  std::uint64_t deleted = co_await std::move(deleting);
  bool all_are_younger = deleted == 0 && std::get<std::int64_t>(found[2]) == 0;
  if (all_are_younger || std::get<std::int64_t>(found[1]) < most_deletes_at_a_time) co_return false;
  after = last;
  co_return true;
}

}  // namespace penstock::ingest

#include "idempotency_table.h"

#include <algorithm>
#include <map>
#include <utility>

// Old answers are found by their ids, which ascend with time: no index on the time is needed. Those of a server whose
// clock was ahead stay for longer and are stepped over.

namespace penstock::ingest {
namespace {

constexpr std::int64_t most_deletes_at_a_time = 500;

using found_by_key = std::map<std::string, kept_answer, std::less<>>;

db::timestamp current_time() { return std::chrono::floor<std::chrono::microseconds>(scheduler::current().wall_now()); }

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
  std::vector<std::string> keys;
  for (const batch_group& group : groups) keys.push_back(group.with->key);
  task<db::result> looking = session.find_by_key(idempotency_table(), {"request_key", "request_hash", "status"},
                                                 db::parameters_of(stream), std::move(keys));
  db::result asked_before = co_await std::move(looking);
  found_by_key found;
  for (std::vector<db::value>& row : asked_before.rows)
    found.try_emplace(
        std::get<std::string>(row[0]),
        kept_answer{std::get<std::string>(row[1]), static_cast<int>(std::get<std::int64_t>(row[2])), {}, false});
  std::vector<std::string> repeated;
  for (const batch_group& group : groups)
    if (auto it = found.find(group.with->key); it != found.end() && it->second.request_hash == group.with->hash)
      repeated.push_back(it->first);
  task<db::result> fetching = session.find_by_key(idempotency_table(), {"request_key", "answer"},
                                                  db::parameters_of(stream), std::move(repeated));
  db::result answered = co_await std::move(fetching);
  for (std::vector<db::value>& row : answered.rows) {
    kept_answer& answer = found.at(std::get<std::string>(row[0]));
    answer.body = std::move(std::get<std::string>(row[1]));
    answer.is_kept = true;
  }
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

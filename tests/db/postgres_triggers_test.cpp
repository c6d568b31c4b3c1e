#include "postgres_rows.h"
#include "server_fixture.h"
#include "table_drift.h"
#include <penstock/db/connection.h>
#include <penstock/db/error.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

// Batches in tables whose triggers, defaults or partitions change what is stored.

namespace penstock::db {
namespace {

class postgres_triggers : public server_test {
 protected:
  postgres_triggers() : server_test("TESTED_POSTGRESQL") {}
};

struct numbering {
  const char* name;
  std::vector<std::string> made;  // the table `t (id, k)`, and what gives it ids
};

TEST_F(postgres_triggers, rows_have_the_ids_that_are_told_whatever_gives_them) {
  const std::string own_ids = "CREATE TEMPORARY SEQUENCE own_ids START 1000000";
  const std::string made = "CREATE TEMPORARY TABLE t (id bigserial PRIMARY KEY, k bigint UNIQUE)";
  const numbering ways[] = {
      {"a trigger", {own_ids, made, trigger_function("NEW.id := nextval('own_ids');"), judging("t")}},
      {"a trigger of a partition",
       {own_ids, "CREATE TEMPORARY TABLE t (id bigserial, k bigint UNIQUE) PARTITION BY RANGE (k)",
        "CREATE TEMPORARY TABLE part PARTITION OF t FOR VALUES FROM (MINVALUE) TO (MAXVALUE)",
        trigger_function("NEW.id := nextval('own_ids');"), judging("part")}},
      {"another sequence than the one it owns",
       {own_ids, made, "ALTER TABLE t ALTER id SET DEFAULT nextval('own_ids')"}},
      {"a default that is more than a sequence's next",
       {own_ids, made, "ALTER TABLE t ALTER id SET DEFAULT 7 * nextval('own_ids')"}},
      {"an identity that owns another sequence too",
       {"CREATE TEMPORARY TABLE t (id bigint GENERATED ALWAYS AS IDENTITY (START 1000000), k bigint UNIQUE)",
        "CREATE TEMPORARY SEQUENCE others OWNED BY t.id"}},
  };
  with_connection([&](connection& c) -> task<> {
    for (const numbering& way : ways)
      for (std::int64_t count : {1, 40, 600}) {
        SCOPED_TRACE(std::string(way.name) + ", " + std::to_string(count));
        for (const std::string& sql : way.made) co_await c.execute(sql);
        row_batch few = numbers(count / 2, count / 2 + 1);
        row_batch all = numbers(0, count);
        batch_report report;
        co_await c.insert_batch(keyed, few, report);
        EXPECT_EQ(co_await expect_stored_under_their_ids(c, few, report), 1u);
        co_await c.insert_batch(keyed, all, report);
        EXPECT_EQ(report.rows.at(static_cast<std::size_t>(count / 2)).what, status::duplicate);
        EXPECT_EQ(co_await expect_stored_under_their_ids(c, all, report), static_cast<std::size_t>(count - 1));
        co_await c.execute("DELETE FROM t");
        co_await c.insert_batch(table, all, report);
        EXPECT_EQ(co_await expect_stored_under_their_ids(c, all, report), static_cast<std::size_t>(count));
        co_await c.reset();
        co_await c.execute("DROP FUNCTION IF EXISTS pg_temp.judge");
      }
  });
}

TEST_F(postgres_triggers, an_id_that_nothing_gives_is_drift) {
  struct giving {
    const char* name;
    std::vector<std::string> made;
    bool fits;
  };
  const std::string own_ids = "CREATE TEMPORARY SEQUENCE own_ids";
  const std::string bare = "CREATE TEMPORARY TABLE t (id bigint PRIMARY KEY, k bigint)";
  const giving ways[] = {
      {"nothing", {bare}, false},
      {"nothing, where null is taken", {"CREATE TEMPORARY TABLE t (id bigint, k bigint)"}, false},
      {"an identity", {"CREATE TEMPORARY TABLE t (id bigint GENERATED ALWAYS AS IDENTITY, k bigint)"}, true},
      {"a default", {own_ids, "CREATE TEMPORARY TABLE t (id bigint DEFAULT nextval('own_ids'), k bigint)"}, true},
      {"its type",
       {own_ids, "CREATE DOMAIN pg_temp.own_id AS bigint DEFAULT nextval('own_ids')",
        "CREATE TEMPORARY TABLE t (id pg_temp.own_id PRIMARY KEY, k bigint)"},
       true},
      {"a trigger", {own_ids, bare, trigger_function("NEW.id := nextval('own_ids');"), judging("t")}, true},
      {"the table behind a view",
       {"CREATE TEMPORARY TABLE behind (id bigserial PRIMARY KEY, k bigint)",
        "CREATE TEMPORARY VIEW t AS TABLE behind"},
       true},
  };
  with_connection([&](connection& c) -> task<> {
    for (const giving& way : ways) {
      SCOPED_TRACE(way.name);
      for (const std::string& sql : way.made) co_await c.execute(sql);
      task<std::string> preparing = drift_of(c, table);
      std::string difference = co_await std::move(preparing);
      EXPECT_EQ(difference.find("does not generate ids") != std::string::npos, !way.fits) << difference;
      if (way.fits) {
        row_batch rows = numbers(0, 3);
        batch_report report;
        co_await c.insert_batch(table, rows, report);
        EXPECT_TRUE(report.refusals.empty());
      }
      co_await c.reset();
      co_await c.execute("DROP FUNCTION IF EXISTS pg_temp.judge");
    }
  });
}

// It is no row's fault: they are stored when the sequence goes on.
TEST_F(postgres_triggers, a_batch_for_which_no_ids_are_left_is_refused_whole_as_full) {
  with_connection([](connection& c) -> task<> {
    for (const char* way : {"of the id", "of a trigger"}) {
      co_await c.execute("CREATE TEMPORARY TABLE t (id bigserial PRIMARY KEY, k bigint)");
      co_await c.execute("ALTER SEQUENCE t_id_seq MAXVALUE 2");
      if (way == std::string_view("of a trigger")) {
        co_await c.execute("ALTER TABLE t ALTER id DROP DEFAULT");
        co_await c.execute(trigger_function("NEW.id := nextval('t_id_seq');"));
        co_await c.execute(judging("t"));
      }
      for (std::int64_t count : {3, 600}) {
        row_batch rows = numbers(0, count);
        batch_report report;
        task<std::optional<db_errc>> inserting = batch_failure(c, table, rows, report);
        std::optional<db_errc> failed = co_await std::move(inserting);
        EXPECT_EQ(failed, db_errc::full) << way << ", " << count;
      }
      co_await c.reset();
      co_await c.execute("DROP FUNCTION IF EXISTS pg_temp.judge");
    }
  });
}

TEST_F(postgres_triggers, a_large_batch_is_copied_beside_a_trigger_where_no_ids_are_wanted) {
  with_connection([](connection& c) -> task<> {
    co_await c.execute("CREATE TEMPORARY TABLE t (id bigserial PRIMARY KEY, k bigint)");
    co_await c.execute(trigger_function("NEW.id := 10000 + NEW.k;"));
    co_await c.execute(judging("t"));
    row_batch rows = numbers(0, 600);
    batch_report report;
    report.wants_ids = false;
    co_await c.insert_batch(table, rows, report);
    EXPECT_EQ(report.method, "copy");
    result found = co_await c.query("SELECT count(*) FROM t WHERE id = 10000 + k");
    EXPECT_EQ(found.rows.at(0).at(0), value(std::int64_t{600}));
  });
}

TEST_F(postgres_triggers, a_rule_sees_large_batches) {
  with_connection([](connection& c) -> task<> {
    co_await c.execute("CREATE TEMPORARY SEQUENCE own_ids");
    for (std::string ids : {"bigserial", "bigint DEFAULT 7 * nextval('own_ids')"})
      for (bool wants_ids : {false, true}) {
        std::string creating = "CREATE TEMPORARY TABLE t (id " + ids + ", k bigint)";
        co_await c.execute(creating);
        co_await c.execute("CREATE TEMPORARY TABLE seen (k bigint)");
        co_await c.execute("CREATE RULE sees AS ON INSERT TO t DO ALSO INSERT INTO seen VALUES (NEW.k)");
        row_batch rows = numbers(0, 600);
        batch_report report;
        report.wants_ids = wants_ids;
        co_await c.insert_batch(table, rows, report);
        result found = co_await c.query("SELECT count(*) FROM seen");
        EXPECT_EQ(found.rows.at(0).at(0), value(std::int64_t{600})) << ids << ", " << report.method;
        co_await c.execute("DROP TABLE t, seen");
      }
  });
}

TEST_F(postgres_triggers, a_row_that_a_trigger_drops_is_no_duplicate) {
  with_connection([](connection& c) -> task<> {
    co_await c.execute(
        "CREATE TEMPORARY TABLE t (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, v bigint UNIQUE)");
    co_await c.execute(trigger_function("IF NEW.v < 0 THEN RETURN NULL; END IF;"));
    co_await c.execute(judging("t"));
    const table_definition into{"t", "id", {{"v", column_type::integer}}, {"v"}};
    for (int count : {1, 40}) {
      for (bool drops : {false, true}) {
        row_batch rows(1);
        for (std::int64_t i = 0; i < count; ++i) {
          rows.add_integer(drops && i == 0 ? -1 : i);
          rows.commit_row();
        }
        batch_report report;
        for (int round = 0; round < 2; ++round) co_await c.insert_batch(into, rows, report);
        EXPECT_EQ(report.rows.at(0).what, drops ? row_outcome::status::refused : row_outcome::status::duplicate);
        EXPECT_EQ(report.refusals.size(), drops ? 1u : 0u);
        for (const row_refusal& refusal : report.refusals)
          EXPECT_NE(refusal.message.find("not stored"), refusal.message.npos);
      }
    }
  });
}

struct judgement {
  const char* name;
  std::vector<std::string> made;  // the table `t (id, k, v)` with a unique lower-case key, which drops a `v` below zero
};

// Each row is stored, a duplicate, or refused for itself, and the batch is taken.
TEST_F(postgres_triggers, a_row_that_a_trigger_drops_or_gives_another_key_is_told_from_the_others) {
  const std::string judge = trigger_function("IF NEW.v < 0 THEN RETURN NULL; END IF; NEW.k := lower(NEW.k);");
  const std::string plain = "CREATE TEMPORARY TABLE t (id bigserial, k text UNIQUE, v bigint)";
  const judgement ways[] = {
      {"a table", {plain, judge, judging("t")}},
      {"a table without ids", {"CREATE TEMPORARY TABLE t (k text UNIQUE, v bigint)", judge, judging("t")}},
      {"a partition",
       {"CREATE TEMPORARY TABLE t (id bigserial, k text UNIQUE, v bigint) PARTITION BY RANGE (k)",
        "CREATE TEMPORARY TABLE part PARTITION OF t FOR VALUES FROM (MINVALUE) TO (MAXVALUE) PARTITION BY RANGE (k)",
        "CREATE TEMPORARY TABLE leaf PARTITION OF part FOR VALUES FROM (MINVALUE) TO (MAXVALUE)", judge,
        judging("leaf")}},
      {"a table behind a view",
       {"CREATE TEMPORARY TABLE behind (id bigserial, k text UNIQUE, v bigint)", judge, judging("behind"),
        "CREATE TEMPORARY VIEW t AS TABLE behind"}},
  };
  struct given {
    const char* k;
    std::int64_t v;
    status what;
  };
  const given all[] = {
      {"there", 1, status::duplicate},  {"There", 1, status::duplicate},  {"dropped", -1, status::refused},
      {"dropped", 1, status::stored},   {"new", 1, status::stored},       {"New", 1, status::duplicate},
      {"Raised", 1, status::stored},    {"Raised", 1, status::duplicate}, {"alone", -1, status::refused},
      {"there", -1, status::duplicate}, {"last", 1, status::stored},
  };
  with_connection([&](connection& c) -> task<> {
    for (const judgement& way : ways) {
      SCOPED_TRACE(way.name);
      for (const std::string& sql : way.made) co_await c.execute(sql);
      co_await c.execute("INSERT INTO t (k) VALUES ('there')");
      bool has_ids = way.name != std::string_view("a table without ids");
      const table_definition into{
          "t", has_ids ? "id" : "", {{"k", column_type::text}, {"v", column_type::integer}}, {"k"}};
      row_batch rows(2);
      for (const given& row : all) {
        rows.add_text(row.k);
        rows.add_integer(row.v);
        rows.commit_row();
      }
      batch_report report;
      co_await c.insert_batch(into, rows, report);
      for (std::size_t i = 0; i < std::size(all); ++i) EXPECT_EQ(report.rows.at(i).what, all[i].what) << all[i].k << i;
      EXPECT_EQ(report.refusals.size(), 2u);
      for (const row_refusal& refusal : report.refusals) EXPECT_EQ(refusal.code, "db.constraint");
      result stored = co_await c.query("SELECT k FROM t ORDER BY k");
      std::string keys;
      for (const auto& row : stored.rows) keys += std::get<std::string>(row[0]) + " ";
      EXPECT_EQ(keys, "dropped last new raised there ");
      if (has_ids) {
        result found = co_await c.query("SELECT id FROM t WHERE k = 'dropped'");
        EXPECT_EQ(found.rows.at(0).at(0), value(report.rows.at(3).id));
      }
      co_await c.reset();
      co_await c.execute("DROP FUNCTION IF EXISTS pg_temp.judge");
    }
  });
}

struct deferral {
  const char* name;
  std::vector<std::string> made;  // the relation `t (id, k)`, which writes a row of `parent`'s children for each
};

TEST_F(postgres_triggers, a_row_that_breaks_a_deferred_constraint_elsewhere_harms_no_neighbour) {
  const std::string deferred = "bigint REFERENCES parent DEFERRABLE INITIALLY DEFERRED";
  const std::string child = "CREATE TEMPORARY TABLE child (id bigserial PRIMARY KEY, k " + deferred + ")";
  const std::string plain = "CREATE TEMPORARY TABLE t (id bigserial PRIMARY KEY, k bigint)";
  const deferral ways[] = {
      {"a partition",
       {"CREATE TEMPORARY TABLE t (id bigserial, k bigint) PARTITION BY RANGE (k)",
        "CREATE TEMPORARY TABLE part PARTITION OF t FOR VALUES FROM (MINVALUE) TO (MAXVALUE)",
        "ALTER TABLE part ADD FOREIGN KEY (k) REFERENCES parent DEFERRABLE INITIALLY DEFERRED"}},
      {"behind a view", {child, "CREATE TEMPORARY VIEW t AS TABLE child"}},
      {"written by a trigger",
       {child, plain, trigger_function("INSERT INTO child (k) VALUES (NEW.k);"),
        "CREATE TRIGGER judged AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION pg_temp.judge()"}},
      {"written by a partition's trigger",
       {child, "CREATE TEMPORARY TABLE t (id bigserial, k bigint) PARTITION BY RANGE (k)",
        "CREATE TEMPORARY TABLE part PARTITION OF t FOR VALUES FROM (MINVALUE) TO (MAXVALUE)",
        trigger_function("INSERT INTO child (k) VALUES (NEW.k);"), judging("part")}},
      {"a trigger that waits",
       {plain, trigger_function("IF NEW.k = 2 THEN RAISE 'no'; END IF;"),
        "CREATE CONSTRAINT TRIGGER judged AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE "
        "FUNCTION "
        "pg_temp.judge()"}},
  };
  with_connection([&](connection& c) -> task<> {
    for (const deferral& way : ways)
      for (std::size_t count : {1, 40, 600}) {
        SCOPED_TRACE(std::string(way.name) + ", " + std::to_string(count));
        co_await c.execute("CREATE TEMPORARY TABLE parent (id bigint PRIMARY KEY)");
        co_await c.execute("INSERT INTO parent VALUES (1)");
        for (const std::string& sql : way.made) co_await c.execute(sql);
        row_batch rows(1);
        for (std::size_t i = 0; i < count; ++i) {
          rows.add_integer(i == count / 2 ? 2 : 1);
          rows.commit_row();
        }
        batch_report report;
        for (bool wants_ids : {true, false}) {
          report.wants_ids = wants_ids;
          co_await c.insert_batch(table, rows, report);
          EXPECT_EQ(report.refusals.size(), 1u);
          EXPECT_EQ(report.rows.at(count / 2).what, status::refused);
        }
        result stored = co_await c.query("SELECT count(*) FROM t");
        EXPECT_EQ(stored.rows.at(0).at(0), value(static_cast<std::int64_t>(2 * count - 2)));
        co_await c.reset();
        co_await c.execute("DROP FUNCTION IF EXISTS pg_temp.judge");
      }
  });
}

TEST_F(postgres_triggers, constraints_are_checked_at_once_without_a_trip_of_their_own) {
  with_connection([](connection& c) -> task<> {
    co_await c.execute("CREATE TEMPORARY TABLE parent (id bigint PRIMARY KEY)");
    co_await c.execute("INSERT INTO parent VALUES (0)");
    for (std::size_t count : {1, 40, 600}) {
      std::vector<std::size_t> trips;
      for (const char* deferrable : {"", " DEFERRABLE INITIALLY DEFERRED"}) {
        co_await c.execute("CREATE TEMPORARY TABLE t (id bigserial, k bigint REFERENCES parent" +
                           std::string(deferrable) + ")");
        row_batch rows(1);
        for (std::size_t i = 0; i < count; ++i) {
          rows.add_integer(0);
          rows.commit_row();
        }
        batch_report report;
        for (int round = 0; round < 2; ++round) co_await c.insert_batch(table, rows, report);
        trips.push_back(report.round_trips);
        co_await c.execute("DROP TABLE t");
      }
      EXPECT_EQ(trips[0], trips[1]) << count;
    }
  });
}

// Whether such a row is stored when it is tried.
task<bool> stores(connection& c, const table_definition& into) {
  bool stored = true;
  try {
    row_batch rows = numbers(0, 3);
    batch_report report;
    task<void> inserting = c.insert_batch(into, rows, report);
    co_await std::move(inserting);
  } catch (const database_error&) {
    stored = false;
  }
  co_return stored;
}

TEST_F(postgres_triggers, what_the_server_takes_no_row_for_is_drift) {
  struct rule {
    const char* made;
    bool takes_rows;
    bool takes_keys;
  };
  const rule rules[] = {
      {"CREATE RULE r AS ON INSERT TO t DO ALSO INSERT INTO seen VALUES (NEW.k)", true, false},
      {"CREATE RULE r AS ON INSERT TO t WHERE NEW.k = 7 DO INSTEAD NOTHING", false, false},
      {"CREATE RULE r AS ON INSERT TO t DO ALSO NOTHING", true, true},
      {"CREATE RULE r AS ON UPDATE TO t DO ALSO INSERT INTO seen VALUES (NEW.k)", true, false},
      {"CREATE RULE r AS ON DELETE TO t DO ALSO INSERT INTO seen VALUES (OLD.k)", true, true},
  };
  with_connection([&](connection& c) -> task<> {
    for (const rule& r : rules)
      for (bool enabled : {true, false}) {
        SCOPED_TRACE(std::string(r.made) + (enabled ? "" : ", disabled"));
        co_await c.execute("CREATE TEMPORARY TABLE t (id bigserial PRIMARY KEY, k bigint UNIQUE)");
        co_await c.execute("CREATE TEMPORARY TABLE seen (k bigint)");
        co_await c.execute(r.made);
        if (!enabled) co_await c.execute("ALTER TABLE t DISABLE RULE r");
        for (const table_definition& into : {table, keyed}) {
          std::string difference = co_await drift_of(c, into);
          bool stored = co_await stores(c, into);
          bool is_taken = into.unique_key.empty() ? r.takes_rows : r.takes_keys;
          EXPECT_TRUE(stored == is_taken || !enabled);
          EXPECT_EQ(difference.empty(), stored) << difference;
          EXPECT_EQ(difference.find("it takes no rows") == std::string::npos, stored) << difference;
          co_await c.execute("DELETE FROM t");
        }
        co_await c.reset();
      }
    co_await c.execute("CREATE TEMPORARY VIEW t AS SELECT 1::bigint AS id, 1::bigint AS k UNION SELECT 2, 2");
    std::string difference = co_await drift_of(c, table);
    EXPECT_NE(difference.find("it takes no rows"), std::string::npos) << difference;
  });
}

}  // namespace
}  // namespace penstock::db

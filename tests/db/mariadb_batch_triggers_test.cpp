#include "mariadb_batch.h"
#include <penstock/observe/log_capture.h>

#include <optional>
#include <utility>

// Tables whose triggers have a say: what they choose, what they leave behind, and every error of theirs is that of the
// row that they ran for.

namespace penstock::db {
namespace {

using status = row_outcome::status;

class mariadb_batch_triggers : public batch_test, public ::testing::WithParamInterface<const char*> {
 protected:
  const table_definition table{"t", "id", {{"n", column_type::integer}}, {}};

  static row_batch numbers(int count, int bad_every = 0) {
    row_batch rows(1);
    for (int n = 0; n < count; ++n) {
      rows.add_integer(bad_every != 0 && n % bad_every == 1 ? -1 : n);
      rows.commit_row();
    }
    return rows;
  }

  static std::size_t count(const batch_report& report, status what) {
    auto is_so = [what](const row_outcome& row) { return row.what == what; };
    return static_cast<std::size_t>(std::count_if(report.rows.begin(), report.rows.end(), is_so));
  }

  // Runs `body(connection&, rows, report)` behind each batch of several sizes, into a table of its own.
  template <class Body>
  void store_each(const std::string& columns, const std::string& trigger, int bad_every, Body body) {
    auto whole = [&](connection& c) -> task<> {
      for (int size : {1, 40, 300, 2'500}) {
        SCOPED_TRACE(size);
        co_await c.execute("DROP TABLE IF EXISTS t, audit");
        co_await c.execute("CREATE TABLE audit(n BIGINT)");
        co_await c.execute("CREATE TABLE t(" + columns + ")");
        co_await c.execute("CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW " + trigger);
        co_await c.prepare_table(table);
        row_batch rows = numbers(size, bad_every);
        batch_report report;
        co_await c.insert_batch(table, rows, report);
        task<void> checking = body(c, rows, report);
        co_await std::move(checking);
      }
    };
    with_session(whole, GetParam());
  }
};

TEST_P(mariadb_batch_triggers, that_choose_ids_are_believed) {
  auto body = [](connection& c, const row_batch& rows, const batch_report& report) -> task<> {
    EXPECT_EQ(count(report, status::stored), rows.rows());
    result r = co_await c.query("SELECT n, id FROM t ORDER BY n");
    for (std::size_t i = 0; i < rows.rows(); ++i) EXPECT_EQ(value(report.rows[i].id), r.rows.at(i).at(1));
  };
  store_each("id BIGINT AUTO_INCREMENT PRIMARY KEY, n BIGINT", "SET NEW.id = 100000 + 3 * NEW.n", 0, body);
}

TEST_P(mariadb_batch_triggers, that_choose_ids_are_believed_beside_rows_that_are_refused) {
  auto body = [](connection& c, const row_batch& rows, const batch_report& report) -> task<> {
    std::size_t stored = count(report, status::stored);
    EXPECT_EQ(stored + count(report, status::refused), rows.rows());
    value there = co_await ask(c, "SELECT count(*) FROM t");
    EXPECT_EQ(there, value(static_cast<std::int64_t>(stored)));
    for (std::size_t i = 0; i < rows.rows(); ++i) {
      if (report.rows[i].what != status::stored) continue;
      EXPECT_EQ(report.rows[i].id, 100'000 + 3 * rows.row(i)[0].integer);
    }
  };
  for (int bad_every : {1'500, 100})
    store_each("id BIGINT AUTO_INCREMENT PRIMARY KEY, n BIGINT CHECK (n >= 0)", "SET NEW.id = 100000 + 3 * NEW.n",
               bad_every, body);
}

// The server runs a trigger for rows, too, that IGNORE drops behind it.
TEST_P(mariadb_batch_triggers, leave_nothing_of_a_row_that_is_refused) {
  auto body = [](connection& c, const row_batch& rows, const batch_report& report) -> task<> {
    std::size_t stored = count(report, status::stored);
    EXPECT_EQ(stored + count(report, status::refused), rows.rows());
    value kept = co_await ask(c, "SELECT count(*) FROM audit");
    EXPECT_EQ(kept, value(static_cast<std::int64_t>(stored)));
    value there = co_await ask(c, "SELECT count(*) FROM t");
    EXPECT_EQ(there, value(static_cast<std::int64_t>(stored)));
  };
  for (int bad_every : {3'000, 100})
    store_each("id BIGINT AUTO_INCREMENT PRIMARY KEY, n BIGINT CHECK (n >= 0)", "INSERT INTO audit VALUES (NEW.n)",
               bad_every, body);
}

TEST_P(mariadb_batch_triggers, beneath_a_view_leave_nothing_of_a_row_that_is_refused) {
  auto body = [&](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE audit(n BIGINT)");
    co_await c.execute("CREATE TABLE t(n BIGINT CHECK (n >= 0))");
    co_await c.execute("CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW INSERT INTO audit VALUES (NEW.n)");
    co_await c.execute("CREATE VIEW seen AS SELECT n FROM t");
    const table_definition view{"seen", "", {{"n", column_type::integer}}, {}};
    co_await c.prepare_table(view);
    row_batch rows = numbers(600, 700);
    batch_report report;
    co_await c.insert_batch(view, rows, report);
    EXPECT_EQ(count(report, status::refused), 1u);
    value kept = co_await ask(c, "SELECT count(*) FROM audit");
    EXPECT_EQ(kept, value(std::int64_t{599}));
  };
  with_session(body, GetParam());
}

TEST_P(mariadb_batch_triggers, that_change_keys_leave_no_row_out_as_one_that_is_there) {
  auto body = [&](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE numbers(n BIGINT)");
    co_await c.execute("INSERT INTO numbers VALUES (0)");
    co_await c.execute("CREATE TABLE t(id BIGINT AUTO_INCREMENT PRIMARY KEY, n BIGINT, UNIQUE(n))");
    co_await c.execute(
        "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW IF NEW.n = 0 THEN UPDATE numbers SET n = n + 1; "
        "SET NEW.n = (SELECT n FROM numbers); END IF");
    const table_definition keyed{"t", "id", {{"n", column_type::integer}}, {"n"}};
    co_await c.prepare_table(keyed);
    for (int round = 0; round < 2; ++round) {
      row_batch rows(1);
      for (int n : {0, 0, 1'000, 0, 1'000}) {
        rows.add_integer(n);
        rows.commit_row();
      }
      batch_report report;
      co_await c.insert_batch(keyed, rows, report);
      for (std::size_t i = 0; i < rows.rows(); ++i)
        EXPECT_EQ(report.rows[i].what == status::stored, i == 2 ? round == 0 : i != 4) << round << ' ' << i;
      value there = co_await ask(c, "SELECT count(*) FROM t");
      EXPECT_EQ(there, value(std::int64_t{4 + 3 * round}));
    }
  };
  with_session(body, GetParam());
}

TEST_P(mariadb_batch_triggers, that_change_no_key_cost_repeats_no_trips_each) {
  auto body = [&](connection& c) -> task<> {
    co_await c.execute("CREATE TABLE t(id BIGINT AUTO_INCREMENT PRIMARY KEY, n BIGINT, at INT, UNIQUE(n))");
    co_await c.execute("CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.at = 7");
    const table_definition keyed{"t", "id", {{"n", column_type::integer}}, {"n"}};
    co_await c.prepare_table(keyed);
    row_batch rows = numbers(1'000);
    batch_report report;
    for (status expected : {status::stored, status::duplicate}) {
      co_await c.insert_batch(keyed, rows, report);
      EXPECT_EQ(count(report, expected), rows.rows());
      EXPECT_LT(report.round_trips, 40u);
    }
  };
  with_session(body, GetParam());
}

TEST_P(mariadb_batch_triggers, fail_for_their_row_alone_whatever_they_say) {
  auto body = [](connection&, const row_batch& rows, const batch_report& report) -> task<> {
    for (std::size_t i = 0; i < rows.rows(); ++i)
      EXPECT_EQ(code_of(report, i), rows.row(i)[0].integer < 0 ? "db.constraint" : "") << i;
    co_return;
  };
  for (const char* trigger :
       {"BEGIN DECLARE got INT; CASE WHEN NEW.n >= 0 THEN SET got = 1; END CASE; END",
        "IF NEW.n < 0 THEN SET NEW.n = (SELECT 1 UNION SELECT 2); END IF",
        "BEGIN DECLARE got INT; IF NEW.n < 0 THEN SELECT x.a INTO got FROM (SELECT 1 a UNION SELECT 2) x; END IF; END",
        "BEGIN DECLARE got INT; DECLARE c CURSOR FOR SELECT 1 FROM (SELECT 1 AS a) x WHERE NEW.n >= 0; "
        "OPEN c; FETCH c INTO got; CLOSE c; END",
        // The rows that are stored leave such a code as a warning.
        "BEGIN DECLARE got INT; SELECT x.a INTO got FROM (SELECT 1 AS a) x WHERE NEW.n < 0; "
        "IF NEW.n < 0 THEN SIGNAL SQLSTATE '45000'; END IF; END",
        "IF NEW.n < 0 THEN DELETE FROM t WHERE n = 0; END IF", "IF NEW.n < 0 THEN SIGNAL SQLSTATE '02000'; END IF",
        "IF NEW.n < 0 THEN SIGNAL SQLSTATE '45001' SET MYSQL_ERRNO = 1213; END IF",
        "IF NEW.n < 0 THEN SIGNAL SQLSTATE '45001' SET MYSQL_ERRNO = 1290; END IF",
        "IF NEW.n < 0 THEN SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1045; END IF"}) {
    SCOPED_TRACE(trigger);
    store_each("id BIGINT AUTO_INCREMENT PRIMARY KEY, n BIGINT", trigger, 150, body);
  }
}

class mariadb_batch_altered_tables : public batch_test {
 protected:
  // Runs `body(connection& c, connection& other)`; `c` looks at a table before each batch.
  template <class Body>
  void with_sessions(Body body) {
    auto main = [&]() -> task<> {
      task<std::unique_ptr<connection>> connecting = connect_believing([](auto&) {}, url(), duration::zero());
      std::unique_ptr<connection> c = co_await std::move(connecting);
      task<std::unique_ptr<connection>> connecting_too = connect("");
      std::unique_ptr<connection> other = co_await std::move(connecting_too);
      task<void> running = body(*c, *other);
      co_await std::move(running);
    };
    net::run(main());
  }
};

TEST_F(mariadb_batch_altered_tables, take_the_ids_that_a_new_trigger_chooses) {
  const table_definition into{"t", "id", {{"n", column_type::integer}}, {}};
  with_sessions([&](connection& c, connection& other) -> task<> {
    co_await c.prepare_table(into);
    for (int count : {10, 600, 3'000}) {
      co_await other.execute("DROP TRIGGER IF EXISTS tr");
      co_await other.execute("TRUNCATE TABLE t");
      for (bool chosen : {false, true}) {
        if (chosen)
          co_await other.execute("CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.id = 1000000 + 3 * NEW.n");
        row_batch rows(1);
        for (int n = 0; n < count; ++n) {
          rows.add_integer(n + (chosen ? count : 0));
          rows.commit_row();
        }
        batch_report report;
        co_await c.insert_batch(into, rows, report);
        result r = co_await c.query("SELECT n, id FROM t ORDER BY n");
        std::size_t before = chosen ? rows.rows() : 0;
        for (std::size_t i = 0; i < rows.rows(); ++i)
          EXPECT_EQ(value(report.rows[i].id), r.rows.at(before + i).at(1)) << i << " of " << count;
      }
    }
  });
}

TEST_F(mariadb_batch_altered_tables, cut_nothing_off_that_they_have_no_room_for) {
  const table_definition into{"t", "id", {{"s", column_type::text}}, {"s"}};
  with_sessions([&](connection& c, connection& other) -> task<> {
    co_await c.prepare_table(into);
    co_await other.execute("ALTER TABLE t MODIFY s VARCHAR(6) COLLATE " +
                           std::string(is_mysql() ? "utf8mb4_0900_bin" : "utf8mb4_nopad_bin"));
    row_batch rows(1);
    rows.add_text("abcde       ");
    rows.commit_row();
    batch_report report;
    co_await c.insert_batch(into, rows, report);
    EXPECT_EQ(code_of(report, 0), "db.data");
  });
}

TEST_F(mariadb_batch_altered_tables, take_no_rows_until_they_fit_again) {
  const table_definition into{
      "t", "id", {{"k", column_type::text}, {"n", column_type::integer}, {"v", column_type::real}}, {"k"}};
  const std::pair<const char*, const char*> changes[] = {
      {"ALTER TABLE t DROP INDEX k", "ALTER TABLE t ADD UNIQUE k (k)"},
      {"ALTER TABLE t MODIFY n FLOAT", "ALTER TABLE t MODIFY n BIGINT"},
      {"ALTER TABLE t MODIFY v DOUBLE(10,2)", "ALTER TABLE t MODIFY v DOUBLE"},
      {"ALTER TABLE t ADD must INT NOT NULL", "ALTER TABLE t DROP must"},
      {"ALTER TABLE t ENGINE=MyISAM", "ALTER TABLE t ENGINE=InnoDB"},
  };
  with_sessions([&](connection& c, connection& other) -> task<> {
    co_await c.prepare_table(into);
    for (const auto& [change, change_back] : changes)
      for (std::int64_t count : {1, 600}) {
        if (is_mysql() && std::string_view(change).ends_with("MyISAM")) continue;  // no room in its indexes
        SCOPED_TRACE(change);
        co_await other.execute("DELETE FROM t");
        row_batch rows(3);
        for (std::int64_t i = 0; i < count; ++i) {
          rows.add_text(std::to_string(i));
          rows.add_integer(16'777'217);
          rows.add_real(0.125);
          rows.commit_row();
        }
        co_await other.execute(change);
        batch_report report;
        for (int tries = 0; tries < 2; ++tries) {
          std::optional<db_errc> failed;
          try {
            co_await c.insert_batch(into, rows, report);
          } catch (const database_error& e) {
            failed = e.errc();
          }
          EXPECT_EQ(failed, db_errc::table_drift);
        }
        co_await other.execute(change_back);
        co_await c.insert_batch(into, rows, report);
        result found = co_await c.query("SELECT count(*), min(n), min(v) FROM t");
        EXPECT_EQ(found.rows.at(0), (std::vector<value>{count, std::int64_t{16'777'217}, 0.125}));
      }
  });
}

TEST_F(mariadb_batch_altered_tables, are_to_fit_each_definition_that_is_used) {
  const table_definition keyed{"t", "id", {{"k", column_type::text}}, {"k"}};
  const table_definition plain{"t", "id", {{"k", column_type::text}}, {}};
  with_sessions([&](connection& c, connection& other) -> task<> {
    co_await c.prepare_table(keyed);
    co_await c.prepare_table(plain);
    co_await other.execute("ALTER TABLE t DROP INDEX k");
    for (int rounds = 0; rounds < 2; ++rounds)
      for (const table_definition* into : {&plain, &keyed}) {
        row_batch rows(1);
        rows.add_text("one");
        rows.commit_row();
        batch_report report;
        std::optional<db_errc> failed;
        try {
          co_await c.insert_batch(*into, rows, report);
        } catch (const database_error& e) {
          failed = e.errc();
        }
        EXPECT_EQ(failed.has_value(), into == &keyed);
      }
    result found = co_await c.query("SELECT count(*) FROM t");
    EXPECT_EQ(found.rows.at(0).at(0), value(std::int64_t{2}));
  });
}

TEST_P(mariadb_batch_triggers, may_give_a_later_row_of_the_key_another_one) {
  auto body = [&](connection& c) -> task<> {
    const std::string collation = is_mysql() ? "utf8mb4_0900_bin" : "utf8mb4_nopad_bin";
    co_await c.execute("CREATE TABLE t(id BIGINT AUTO_INCREMENT PRIMARY KEY, k VARCHAR(30) COLLATE " + collation +
                       " UNIQUE, n BIGINT CHECK (n >= 0))");
    co_await c.execute(
        "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.k = IF(NEW.n = 4, CONCAT('m', NEW.k), NEW.k)");
    co_await c.execute("INSERT INTO t(k, n) VALUES ('e', 1)");
    const table_definition into{"t", "id", {{"k", column_type::text}, {"n", column_type::integer}}, {"k"}};
    co_await c.prepare_table(into);
    row_batch rows(2);
    for (const auto& [k, n] : {std::pair{"x", -1}, {"y", -1}, {"z", -1}, {"e", 1}, {"e", 4}}) {
      rows.add_text(k);
      rows.add_integer(n);
      rows.commit_row();
    }
    batch_report report;
    report.wants_ids = false;
    co_await c.insert_batch(into, rows, report);
    std::vector<status> told;
    for (const row_outcome& row : report.rows) told.push_back(row.what);
    EXPECT_EQ(told, (std::vector<status>{status::refused, status::refused, status::refused, status::duplicate,
                                         status::stored}));
  };
  with_session(body, GetParam());
}

TEST_F(mariadb_batch_altered_tables, are_what_they_were_while_the_server_has_no_room_to_look_at_them_in) {
  if (is_mysql()) GTEST_SKIP() << "has no such limit of a session";
  const table_definition into{"t", "id", {{"n", column_type::integer}}, {}};
  with_sessions([&](connection& c, connection& other) -> task<> {
    co_await c.prepare_table(into);
    co_await c.execute("SET tmp_memory_table_size = 0, tmp_disk_table_size = 1024");
    log::capture logged;
    for (int n = 0; n < 3; ++n) {
      row_batch rows(1);
      rows.add_integer(n);
      rows.commit_row();
      batch_report report;
      co_await c.insert_batch(into, rows, report);
      EXPECT_EQ(report.rows.at(0).what, row_outcome::status::stored);
    }
    std::string text = logged.text();
    std::size_t first = text.find("batches go by what was known");
    EXPECT_NE(first, std::string::npos);
    EXPECT_EQ(text.find("batches go by what was known", first + 1), std::string::npos) << text;
    std::optional<db_errc> failed;
    try {
      co_await c.prepare_table(into);
    } catch (const database_error& e) {
      failed = e.errc();
    }
    EXPECT_EQ(failed, db_errc::full) << "there was room to look";
    EXPECT_EQ(co_await ask(other, "SELECT count(*) FROM t"), value(std::int64_t{3}));
  });
}

TEST_F(mariadb_batch_altered_tables, that_did_not_fit_take_no_rows_while_the_server_has_no_room_to_look_at_them_in) {
  if (is_mysql()) GTEST_SKIP() << "has no such limit of a session";
  const table_definition into{"t", "id", {{"n", column_type::integer}}, {"n"}};
  with_sessions([&](connection& c, connection& other) -> task<> {
    co_await c.prepare_table(into);
    result indexes = co_await other.query("SHOW INDEX FROM t WHERE Column_name = 'n'");
    co_await other.execute("ALTER TABLE t DROP INDEX " + std::get<std::string>(indexes.rows.at(0).at(2)));
    for (bool has_room : {true, false, false, true}) {
      co_await c.execute("SET tmp_memory_table_size = DEFAULT, tmp_disk_table_size = DEFAULT");
      if (!has_room) co_await c.execute("SET tmp_memory_table_size = 0, tmp_disk_table_size = 1024");
      row_batch rows(1);
      rows.add_integer(1);
      rows.commit_row();
      batch_report report;
      std::optional<db_errc> failed;
      try {
        co_await c.insert_batch(into, rows, report);
      } catch (const database_error& e) {
        failed = e.errc();
      }
      EXPECT_EQ(failed, has_room ? db_errc::table_drift : db_errc::full);
    }
    EXPECT_EQ(co_await ask(other, "SELECT count(*) FROM t"), value(std::int64_t{0}));
  });
}

INSTANTIATE_TEST_SUITE_P(ways, mariadb_batch_triggers, ::testing::ValuesIn(batch_test::ways), batch_test::name_of_way);

}  // namespace
}  // namespace penstock::db

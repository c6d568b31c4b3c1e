#include "sqlite_lock_fixture.h"

// Readers, which are in the way of a COMMIT without WAL, or read what is out of date.

namespace penstock::db {
namespace {

// Without WAL a reader is in the way of COMMIT. The driver always asks for WAL, so the reader is a session of another
// database that attaches the file.
template <class Body>
void with_reader(Body body) {
  with_sessions([&](database&, connection& c, const std::string& url) -> task<> {
    co_await c.query("PRAGMA journal_mode=DELETE");
    std::unique_ptr<connection> reader = co_await database(url + "-other").connect();
    co_await reader->execute("ATTACH ? AS file", parameters_of(url.substr(std::string("sqlite:").size())));
    co_await reader->execute("BEGIN");
    co_await reader->query("SELECT * FROM file.t");
    task<void> running = body(c, *reader);
    co_await std::move(running);
  });
}

TEST(sqlite_lock_reader, is_not_waited_for_by_a_transaction_that_began_by_reading) {
  for (bool committed : {false, true}) {
    with_sessions([committed](database& file, connection& writer, const std::string&) -> task<> {
      std::unique_ptr<connection> reader = co_await file.connect();
      co_await reader->execute("BEGIN");
      EXPECT_EQ(co_await count(*reader), 0);
      co_await writer.begin();
      co_await insert(writer, 1);
      if (committed) co_await writer.commit();
      stopwatch since_asked;
      task<std::optional<db_errc>> refused = error_of(insert(*reader, 2));
      EXPECT_EQ(co_await std::move(refused), db_errc::serialization);
      EXPECT_LT(since_asked.elapsed(), 1ms);
      if (!committed) co_await writer.commit();
      co_await reader->rollback();
      co_await insert(*reader, 2);
      EXPECT_EQ(co_await count(writer), 2);
    });
  }
}

TEST(sqlite_lock_reader, a_commit_waits_for_readers_with_its_transaction_open) {
  with_reader([](connection& c, connection& reader) -> task<> {
    stopwatch since_asked;
    task_group both;
    both.start(insert_in_transaction(c, 1));
    both.start(commit_after(1s, reader));
    co_await both.join();
    EXPECT_GE(since_asked.elapsed(), 1s);
    EXPECT_EQ(co_await count(c), 1);
  });
}

TEST(sqlite_lock_reader, a_commit_that_is_cancelled_while_it_waits_is_rolled_back) {
  with_reader([](connection& c, connection& reader) -> task<> {
    task<bool> cut = is_cut_short(10ms, insert_in_transaction(c, 1));
    EXPECT_TRUE(co_await std::move(cut));
    EXPECT_EQ(c.state(), session_state::clean);
    co_await reader.rollback();
    EXPECT_EQ(co_await count(c), 0);
  });
}

TEST(sqlite_lock_reader, a_batch_whose_commit_waits_is_stored_once_or_not_at_all) {
  with_reader([](connection& c, connection& reader) -> task<> {
    table_definition table{"t", "", {{"x", column_type::integer, false}}, {}};
    row_batch rows(1);
    rows.add_integer(1);
    rows.commit_row();
    batch_report report;
    task<std::optional<db_errc>> refused = error_of(c.insert_batch(table, rows, report));
    EXPECT_EQ(co_await std::move(refused), db_errc::lock_timeout);
    EXPECT_TRUE(report.rows.empty());
    EXPECT_EQ(c.state(), session_state::clean);
    task_group both;
    both.start(c.insert_batch(table, rows, report));
    both.start(commit_after(1s, reader));
    co_await both.join();
    EXPECT_EQ(report.rows.size(), 1u);
    EXPECT_EQ(co_await count(c), 1);
  });
}

TEST(sqlite_lock_reader, a_reader_of_a_database_in_memory_waits_for_its_writer) {
  auto main = []() -> task<> {
    database memory("sqlite::memory:");
    std::unique_ptr<connection> writer = co_await memory.connect();
    co_await writer->execute("CREATE TABLE t(x INTEGER)");
    std::unique_ptr<connection> reader = co_await memory.connect();
    std::int64_t seen = -1;
    auto look = [&]() -> task<> { seen = co_await count(*reader); };
    co_await writer->begin();
    co_await insert(*writer, 1);
    task_group both;
    both.start(look());
    both.start(commit_after(1s, *writer));
    co_await both.join();
    EXPECT_EQ(seen, 1);
  };
  penstock::testing::simulation sim;
  sim.run(main());
}

}  // namespace
}  // namespace penstock::db

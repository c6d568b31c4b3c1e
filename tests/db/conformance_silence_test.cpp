#include "conformance_fixture.h"
#include "db/server_url.h"
#include "meddling_proxy.h"
#include <penstock/async/timeout.h>
#include <penstock/db/pool.h>

#include <stdexcept>

// A server that says nothing any more, on a line that stays open: as when every packet is dropped.

namespace penstock::db {
namespace {

const tested_database all_servers[] = {{"mariadb", "TESTED_MARIADB", ""}, {"postgresql", "TESTED_POSTGRESQL", ""}};

class conformance_silence : public conformance_test {
 protected:
  // Runs `body(proxy, url of the database by way of it)`, with an empty table there.
  template <class Body>
  void with_proxy(Body body) {
    with_connection([&](database&, connection& direct) -> task<> {
      table_definition table = table_of_numbers();
      task<void> preparing = direct.prepare_table(table);
      co_await std::move(preparing);
      auto meddle = [&](meddling_proxy& proxy, std::string by_way) { return body(proxy, std::move(by_way), direct); };
      task<void> meddling = with_meddling_proxy(url() + "?silence_timeout=300ms", meddle);
      co_await std::move(meddling);
    });
  }

  static table_definition table_of_numbers() { return {table_name(), "id", {{"x", column_type::integer}}, {}}; }

  static task<void> insert_one(connection& c) {
    task<std::uint64_t> inserting =
        c.execute("INSERT INTO " + quote_identifier(table_name()) + "(x) VALUES (?)", parameters_of(1));
    co_await std::move(inserting);
  }
};

TEST_P(conformance_silence, in_the_middle_of_a_commit_ends_it_as_ambiguous_once_silence_timeout_is_over) {
  with_proxy([](meddling_proxy& proxy, std::string by_way, connection& direct) -> task<> {
    task<std::unique_ptr<connection>> connecting = database(by_way).connect();
    std::unique_ptr<connection> c = co_await std::move(connecting);
    co_await c->begin();
    task<void> inserting = insert_one(*c);
    co_await std::move(inserting);
    proxy.fall_silent();
    time_point before = scheduler::current().now();
    std::optional<db_errc> failed = co_await failure_of(c->commit());
    duration took = scheduler::current().now() - before;
    EXPECT_EQ(failed, db_errc::ambiguous_commit);
    EXPECT_GE(took, 300ms);
    EXPECT_LT(took, 5s);
    EXPECT_EQ(c->state(), session_state::dead);
    task<std::int64_t> counting = count(direct, quote_identifier(table_name()));
    EXPECT_EQ(co_await std::move(counting), 0) << "the server never got it";
  });
}

// It lets clients in, and what they commit waits for ever: as one that its cluster has gone on without.
TEST_P(conformance_silence, in_the_middle_of_a_commit_makes_its_sessions_dead_and_the_next_ones_begin_elsewhere) {
  with_proxy([this](meddling_proxy& proxy, std::string by_way, connection&) -> task<> {
    const std::string direct = parse_server_url(url(), 0).addresses.front().to_string();
    by_way.replace(by_way.find(proxy.address()), proxy.address().size(), proxy.address() + "," + direct);
    database two(by_way);
    task<std::unique_ptr<connection>> connecting = two.connect();
    std::unique_ptr<connection> c = co_await std::move(connecting);
    task<std::unique_ptr<connection>> connecting_idle = two.connect();
    std::unique_ptr<connection> idle = co_await std::move(connecting_idle);
    task<std::unique_ptr<connection>> connecting_busy = two.connect();
    std::unique_ptr<connection> busy = co_await std::move(connecting_busy);
    for (connection* one : {c.get(), busy.get()}) {
      co_await one->begin();
      task<void> inserting = insert_one(*one);
      co_await std::move(inserting);
    }
    proxy.fall_silent();
    EXPECT_EQ(idle->state(), session_state::clean);
    std::optional<db_errc> failed = co_await failure_of(c->commit());
    EXPECT_EQ(failed, db_errc::ambiguous_commit);
    EXPECT_EQ(idle->state(), session_state::dead);
    EXPECT_EQ(busy->state(), session_state::dirty);
    proxy.speak();
    co_await busy->rollback();
    EXPECT_EQ(busy->state(), session_state::dead);
    task<std::unique_ptr<connection>> connecting_again = two.connect();
    std::unique_ptr<connection> next = co_await std::move(connecting_again);
    task<void> inserting_next = insert_one(*next);
    co_await std::move(inserting_next);
    EXPECT_EQ(next->state(), session_state::clean);
    next->close();
    idle->close();
    busy->close();
  });
}

TEST_P(conformance_silence, that_ends_is_forgotten_by_the_pool) {
  with_proxy([](meddling_proxy& proxy, std::string by_way, connection& direct) -> task<> {
    pool p(database(by_way), {.max_size = 1, .validation_timeout = 300ms, .reconnect_max = 200ms});
    {
      pool::lease c = co_await p.acquire();
      co_await c->begin();
      task<void> inserting = insert_one(*c);
      co_await std::move(inserting);
      proxy.fall_silent();
      std::optional<db_errc> failed = co_await failure_of(c->commit());
      EXPECT_EQ(failed, db_errc::ambiguous_commit);
    }
    proxy.speak();
    {
      pool::lease c = co_await p.acquire();
      task<void> inserting = insert_one(*c);
      co_await std::move(inserting);
    }
    co_await p.close();
    task<std::int64_t> counting = count(direct, quote_identifier(table_name()));
    EXPECT_EQ(co_await std::move(counting), 1);
  });
}

// The request to end it gets no answer either.
TEST_P(conformance_silence, while_a_statement_is_to_be_ended_gives_up_the_session_and_no_more) {
  with_proxy([this](meddling_proxy& proxy, std::string by_way, connection&) -> task<> {
    task<std::unique_ptr<connection>> connecting = database(by_way).connect();
    std::unique_ptr<connection> c = co_await std::move(connecting);
    bool cut_short = false;
    try {
      const char* slow = is_postgresql() ? "SELECT pg_sleep(2)::text" : "SELECT SLEEP(2)";
      task<result> asking = with_timeout(50ms, c->query(slow));
      co_await std::move(asking);
    } catch (const timed_out&) {
      cut_short = true;
    }
    EXPECT_TRUE(cut_short);
    proxy.fall_silent();
    time_point before = scheduler::current().now();
    std::optional<db_errc> failed = co_await failure_of(c->reset());
    EXPECT_EQ(failed, db_errc::connection_lost);
    EXPECT_LT(scheduler::current().now() - before, 5s);
    EXPECT_EQ(c->state(), session_state::dead);
  });
}

// What is no commit may take as long as it likes.
TEST_P(conformance_silence, of_a_long_query_is_borne) {
  with_proxy([this](meddling_proxy&, std::string by_way, connection&) -> task<> {
    task<std::unique_ptr<connection>> connecting = database(by_way).connect();
    std::unique_ptr<connection> c = co_await std::move(connecting);
    task<result> asking = c->query(is_postgresql() ? "SELECT pg_sleep(0.7)::text" : "SELECT SLEEP(0.7)");
    result r = co_await std::move(asking);
    EXPECT_EQ(r.rows.size(), 1u);
  });
}

TEST_P(conformance_silence, of_the_servers_system_too_is_a_lost_connection) {
  with_proxy([](meddling_proxy& proxy, std::string by_way, connection&) -> task<> {
    task<std::unique_ptr<connection>> connecting = database(by_way).connect();
    std::unique_ptr<connection> c = co_await std::move(connecting);
    proxy.vanish();
    std::optional<db_errc> failed = co_await failure_of(with_timeout(20s, c->query("SELECT 1")));
    EXPECT_EQ(failed, db_errc::connection_lost);
    EXPECT_EQ(c->state(), session_state::dead);
  });
}

// Its system says so when it is asked, and what counts is whether it does: by its own clock.
TEST_P(conformance_silence, of_a_server_that_takes_no_more_for_the_moment_is_borne) {
  with_proxy([this](meddling_proxy& proxy, std::string by_way, connection&) -> task<> {
    constexpr std::int64_t more_than_buffers_take = 12'000'000;
    task<std::unique_ptr<connection>> connecting = database(by_way).connect();
    std::unique_ptr<connection> c = co_await std::move(connecting);
    auto length = [&](std::int64_t bytes) -> task<value> {
      const char* asked = is_postgresql() ? "SELECT length(?::text)::bigint" : "SELECT LENGTH(?)";
      result r = co_await c->query(asked, parameters_of(std::string(static_cast<std::size_t>(bytes), 'x')));
      co_return r.rows.at(0)[0];
    };
    task<value> preparing = length(1);
    co_await std::move(preparing);
    proxy.hold();
    co_await with_task_group([&](task_group& group) -> task<> {
      group.start([](meddling_proxy& p) -> task<> {
        co_await sleep_for(3s);
        p.go_on();
      }(proxy));
      task<value> asking = length(more_than_buffers_take);
      EXPECT_EQ(co_await std::move(asking), value(more_than_buffers_take));
    });
  });
}

TEST_P(conformance_silence, as_a_consumer_throws_leaves_what_it_threw_to_be_seen) {
  with_proxy([](meddling_proxy& proxy, std::string by_way, connection&) -> task<> {
    task<std::unique_ptr<connection>> connecting = database(by_way).connect();
    std::unique_ptr<connection> c = co_await std::move(connecting);
    row_consumer take = [&](const result&) -> task<void> {
      proxy.fall_silent();
      throw std::runtime_error("enough");
      co_return;
    };
    const std::string many =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) "
        "SELECT repeat('x', 1000) FROM n a, n b";
    std::string threw;
    try {
      task<std::uint64_t> reading = c->query_each(many, {}, take, 10);
      co_await std::move(reading);
    } catch (const std::runtime_error& e) {
      threw = e.what();
    }
    EXPECT_EQ(threw, "enough");
    EXPECT_EQ(c->state(), session_state::dead);
  });
}

INSTANTIATE_TEST_SUITE_P(servers, conformance_silence, ::testing::ValuesIn(all_servers), name_of_tested);

}  // namespace
}  // namespace penstock::db

#include "conformance_fixture.h"
#include <penstock/async/gather.h>
#include <penstock/async/yield.h>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <set>
#include <stdexcept>

// A session that is closed beside what it does, at any moment of it.

namespace penstock::db {
namespace {

class conformance_beside_close : public conformance_test {
 protected:
  using operation = std::function<task<void>(connection&)>;

  // More are ready than the loop resumes at a time: a close comes between an answer and whoever waits for it, too.
  static constexpr int others = 70;

  // Runs the operation on a session of its own, which is closed after so many turns of the loop unless that has ended
  // before. Gives the code of what it ended with, and counts its turns.
  static task<std::string> end_beside_close(database db, const operation& before, const operation& run,
                                            std::size_t close_after, std::size_t& turns) {
    task<std::unique_ptr<connection>> connecting = db.connect();
    std::unique_ptr<connection> c = co_await std::move(connecting);
    task<void> preparing = before(*c);
    co_await std::move(preparing);
    bool is_over = false;
    auto yields = [&]() -> task<> {
      while (!is_over) co_await yield();
    };
    auto closes = [&]() -> task<> {
      for (turns = 0; !is_over && turns < close_after; ++turns) co_await yield();
      if (!is_over) c->close();
    };
    std::string code;
    auto runs = [&]() -> task<> {
      try {
        task<void> running = run(*c);
        co_await std::move(running);
      } catch (const error& e) {
        code = e.code();
      }
      is_over = true;
    };
    auto body = [&](task_group& group) -> task<> {
      for (int i = 0; i < others; ++i) group.start(yields());
      auto both = gather(runs(), closes());
      co_await std::move(both);
    };
    task<void> all = with_task_group(body);
    co_await std::move(all);
    co_return code;
  }

  // Closes at many moments between the operation's begin and its end, as long as that takes without.
  void close_at_many_moments(operation before, operation run, std::size_t moments) {
    with_connection([&](database& db, connection&) -> task<> {
      constexpr std::size_t never = ~std::size_t{};
      std::size_t whole = 0;
      task<std::string> undisturbed = end_beside_close(db, before, run, never, whole);
      std::string first = co_await std::move(undisturbed);
      EXPECT_EQ(first, "");
      std::set<std::string> seen;
      for (std::size_t i = 0; i < moments; ++i) {
        std::size_t turns = 0;
        task<std::string> disturbed = end_beside_close(db, before, run, whole * i / moments, turns);
        std::string code = co_await std::move(disturbed);
        seen.insert(code);
      }
      seen.erase("");
      if (is_sqlite() && seen.empty()) co_return;  // there was nothing to wait for
      EXPECT_EQ(seen, std::set<std::string>{"db.connection_lost"});
    });
  }

  operation cut_short() const {
    return [this](connection& c) -> task<> {
      bool was_cut = co_await times_out(20ms, c.query(endless_query()));
      EXPECT_TRUE(was_cut);
    };
  }
  static operation nothing() {
    return [](connection&) -> task<> { co_return; };
  }
  std::string many_rows() const {
    std::string rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900) SELECT i, '";
    return rows + std::string(100, 'x') + "' FROM n";
  }
};

TEST_P(conformance_beside_close, a_reset_of_a_session_that_was_cut_short_ends_as_lost) {
  auto reset = [](connection& c) -> task<> { co_await c.reset(); };
  close_at_many_moments(cut_short(), reset, 32);
}

TEST_P(conformance_beside_close, a_rollback_of_a_session_that_was_cut_short_ends_as_lost) {
  auto before = [cut = cut_short()](connection& c) -> task<> {
    co_await c.begin();
    task<void> cutting = cut(c);
    co_await std::move(cutting);
  };
  auto roll_back = [](connection& c) -> task<> { co_await c.rollback(); };
  close_at_many_moments(before, roll_back, 32);
}

TEST_P(conformance_beside_close, a_query_ends_as_lost_also_where_its_answer_has_just_come) {
  auto ask = [this](connection& c) -> task<> { co_await c.query(many_rows()); };
  close_at_many_moments(nothing(), ask, 64);
}

TEST_P(conformance_beside_close, a_piecewise_query_ends_as_lost) {
  auto read = [this](connection& c) -> task<> {
    row_consumer pauses = [](const result&) -> task<> { co_await yield(); };
    co_await c.query_each(many_rows(), {}, pauses, 50);
  };
  close_at_many_moments(nothing(), read, 64);
}

TEST_P(conformance_beside_close, a_query_whose_consumer_had_enough_fails_with_its_reason_or_ends_as_lost) {
  auto read = [this](connection& c) -> task<> {
    row_consumer leaves = [](const result&) -> task<> {
      throw std::runtime_error("enough");
      co_return;
    };
    try {
      co_await c.query_each(many_rows(), {}, leaves, 10);
    } catch (const std::runtime_error&) {
    }
  };
  close_at_many_moments(nothing(), read, 64);
}

TEST_P(conformance_beside_close, a_batch_ends_as_lost) {
  table_definition into;
  into.name = table_name();
  into.columns = {{.name = "data", .type = column_type::text}};
  auto prepare = [&](connection& c) -> task<> { co_await c.prepare_table(into); };
  auto store = [&](connection& c) -> task<> {
    row_batch rows(1);
    for (int i = 0; i < 50; ++i) {
      rows.add_text("row");
      rows.commit_row();
    }
    batch_report report;
    co_await c.begin();
    co_await c.insert_rows(into, rows, report);
    co_await c.rollback();
  };
  close_at_many_moments(prepare, store, 64);
}

TEST_P(conformance_beside_close, a_consumer_that_closes_its_session_ends_its_query) {
  with_connection([this](database&, connection& c) -> task<> {
    int pieces = 0;
    row_consumer closes = [&](const result& some) -> task<> {
      ++pieces;
      EXPECT_EQ(some.rows.size(), 10U);
      c.close();
      EXPECT_EQ(std::get<std::string>(some.rows.back().at(1)), std::string(100, 'x'));
      co_return;
    };
    task<std::uint64_t> reading = c.query_each(many_rows(), {}, closes, 10);
    std::optional<db_errc> ended = co_await failure_of(std::move(reading));
    EXPECT_EQ(ended, db_errc::connection_lost);
    EXPECT_EQ(pieces, 1);
    EXPECT_EQ(c.state(), session_state::dead);
  });
}

TEST_P(conformance_beside_close, close_does_not_wait_for_a_query_that_runs) {
  with_connection([this](database&, connection& c) -> task<> {
    auto ask = [&]() -> task<> {
      std::optional<db_errc> ended = co_await failure_of(c.query(endless_query()));
      EXPECT_EQ(ended, db_errc::connection_lost);
    };
    auto closes = [&]() -> task<> {
      for (int turn = 0; turn < 1'000; ++turn) co_await yield();
      c.close();
    };
    auto both = gather(ask(), closes());
    co_await std::move(both);
  });
}

INSTANTIATE_TEST_SUITE_P(all, conformance_beside_close, ::testing::ValuesIn(all_databases), name_of_tested);

}  // namespace
}  // namespace penstock::db

#include "fake_database.h"
#include <penstock/async/error.h>

// A pool under another scheduler than its own: refused, where its sessions would never hear of an answer.

namespace penstock::db {
namespace {

// Runs it under a scheduler of its own; true when that is refused as not the pool's.
bool refused_elsewhere(task<void> what) {
  penstock::testing::simulation sim;
  try {
    sim.run(std::move(what));
  } catch (const error& e) {
    EXPECT_NE(e.message().find("pool 'orders'"), std::string::npos) << e.message();
    return e.is(async_errc::wrong_scheduler);
  }
  return false;
}

TEST(pool_scheduler, is_the_one_that_used_the_pool_first) {
  auto server = std::make_shared<fake_server>();
  pool_options options;
  options.name = "orders";
  pool p(database(std::make_shared<fake_driver>(server)), options);
  {
    penstock::testing::simulation first;
    first.run(use(p, 1s));
    EXPECT_TRUE(refused_elsewhere(use(p, 1s))) << "while the first one is there";
    EXPECT_TRUE(refused_elsewhere(p.run()));
    first.run(use(p, 1s));
  }
  EXPECT_TRUE(refused_elsewhere(use(p, 1s))) << "when it has gone";
}

}  // namespace
}  // namespace penstock::db

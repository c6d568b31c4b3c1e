// The data processor in a program of one's own: each order is priced by a coroutine, ten at a time, and stored in
// batches. A bad order is rejected alone, a busy processor says so, and closing loses nothing.

#include <penstock/async/gather.h>
#include <penstock/async/timeout.h>
#include <penstock/ingest/error.h>
#include <penstock/ingest/processor.h>
#include <penstock/net/event_loop.h>

#include <iostream>
#include <string>
#include <vector>

using namespace penstock;
using namespace std::chrono_literals;

// [processor]
task<std::string> price(std::string order) {
  co_await sleep_for(1ms);  // asks a price list, say
  if (order.find("unicorn") != std::string::npos) throw std::runtime_error("no price for a unicorn");
  order.insert(order.size() - 1, R"(,"price":5)");
  co_return order;
}

task<int> sell() {
  ingest::processor_options options;
  options.when_busy = ingest::admission::reject;
  int failures = 0;
  co_await ingest::with_processor(
      db::database("sqlite::memory:"), options, price, [&](ingest::processor& orders) -> task<void> {
        std::vector<std::string> batch(50, R"({"what":"apple"})");
        batch[7] = R"({"what":"unicorn"})";
        auto both = gather_settled(orders.process(batch), orders.process(batch));
        auto [first, second] = co_await std::move(both);
        std::cout << "stored " << first->counts.stored << ", rejected " << first->counts.rejected << ": "
                  << first->items[7].error->message << "\n";
        std::cout << "the second batch: " << second.error_as<error>()->message() << "\n";
        std::cout << "processed so far: " << orders.processed_count() << "\n";
        if (orders.processed_count() != 49 || !second.error_as<error>()->is(ingest::ingest_errc::busy)) failures = 1;
      });
  co_return failures;
}
// [processor]

int main() { return net::run(sell()); }

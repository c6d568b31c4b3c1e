#include "penstock/ingest/processor.h"

#include "intake.h"
#include "penstock/async/error.h"
#include "penstock/async/event.h"
#include "penstock/async/map_bounded.h"
#include "penstock/async/semaphore.h"
#include "penstock/async/task_group.h"
#include "penstock/core/outcome.h"
#include "penstock/core/traceback.h"
#include "penstock/db/pool.h"
#include "penstock/ingest/error.h"
#include "penstock/observe/log.h"
#include "stream_writer.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <span>

// A batch is worked in stretches: the step runs over so many items with bounded concurrency, then their rows are
// submitted in order, so that a batch of any length holds only a stretch of step results at a time.

namespace penstock::ingest {
namespace {

constexpr std::size_t stretch_items = 1'000;

item_error error_of_step(const std::exception_ptr& failure) {
  if (const auto* known = detail::exception_as<error>(failure)) return {known->code(), known->what(), {}, {}};
  return {code_name(item_errc::step_failed), describe(failure), {}, {}};
}

processor_options fitting_options(processor_options options, const db::database& database) {
  options.commits = fitting(options.commits, database);
  options.max_batches = std::max<std::size_t>(options.max_batches, 1);
  return options;
}

// One more session than commits: for what waits for locks.
db::pool_options pool_options_of(const processor_options& options, const db::database& database,
                                 metrics::registry& measure) {
  db::pool_options pool = session_pool_options(options.stream.name, options.commits.commits_in_flight, measure);
  if (database.commits_can_be_ambiguous()) ++pool.max_size;
  return pool;
}

}  // namespace

struct processor::implementation {
  implementation(const db::database& database, processor_options o, processing_step s, metrics::registry& measure)
      : options(fitting_options(std::move(o), database)),
        step(std::move(s)),
        connections(database, pool_options_of(options, database, measure)),
        writer(item_schema(options.stream), database, connections, options.commits, measure),
        turns(options.max_batches) {}

  task<semaphore::permit> admit();
  task<void> process_stretch(std::span<std::string> items, intake& into);
  task<void> count_later(std::unique_ptr<intake> of);
  void submit(std::string& text, intake& into) const;

  processor_options options;
  processing_step step;
  db::pool connections;
  stream_writer writer;
  semaphore turns;
  item_counts counts;
  bool taking = false;
  task_group committing;
};

processor::processor(db::database database, processor_options options, processing_step step, metrics::registry* measure)
    : implementation_(std::make_unique<implementation>(database, std::move(options), std::move(step),
                                                       measure != nullptr ? *measure : metrics::default_registry())) {}

processor::~processor() = default;

task<void> processor::open() {
  implementation& p = *implementation_;
  auto acquiring = p.connections.acquire();
  db::pool::lease session = co_await std::move(acquiring);
  task<void> preparing = p.writer.prepare(*session);
  co_await std::move(preparing);
  p.committing.start_background(p.connections.run(), "connections");
  p.committing.start(p.writer.run(), "commits of " + p.writer.name());
  p.taking = true;
}

task<batch_result> processor::process(std::vector<std::string> items) {
  implementation& p = *implementation_;
  task<semaphore::permit> admitting = p.admit();
  semaphore::permit turn = co_await std::move(admitting);
  auto into = std::make_unique<intake>(p.writer, kept_results{true, items.size()});
  std::exception_ptr failure;
  try {
    for (std::span<std::string> rest(items); !rest.empty(); rest = rest.subspan(std::min(rest.size(), stretch_items))) {
      task<void> stretch = p.process_stretch(rest.first(std::min(rest.size(), stretch_items)), *into);
      co_await std::move(stretch);
    }
  } catch (...) {
    failure = std::current_exception();
  }
  try {
    task<void> finishing = into->finish();
    co_await std::move(finishing);
  } catch (const operation_cancelled&) {
    p.committing.start(p.count_later(std::move(into)), "items of a cancelled batch");
    throw;
  }
  p.counts += into->ledger().counts();
  if (failure) std::rethrow_exception(failure);
  batch_result result;
  result.counts = into->ledger().counts();
  result.items = into->ledger().take_results();
  co_return result;
}

// Rows that were handed over end with their batches, though nobody waits for them any more.
task<void> processor::implementation::count_later(std::unique_ptr<intake> of) {
  task<void> finishing = of->finish();
  co_await std::move(finishing);
  counts += of->ledger().counts();
}

task<semaphore::permit> processor::implementation::admit() {
  const auto refuse_when_closed = [this] {
    if (!taking) throw error(ingest_errc::closed, "processor '" + writer.name() + "' is not open");
  };
  refuse_when_closed();
  if (options.when_busy == admission::reject) {
    std::optional<semaphore::permit> turn = turns.try_acquire();
    if (!turn)
      throw error(ingest_errc::busy, "processor '" + writer.name() + "' is busy with " +
                                         std::to_string(options.max_batches) + " of at most " +
                                         std::to_string(options.max_batches) + " batches: try again later");
    co_return std::move(*turn);
  }
  semaphore::permit turn = co_await turns.acquire();
  refuse_when_closed();
  co_return turn;
}

task<void> processor::implementation::process_stretch(std::span<std::string> items, intake& into) {
  std::vector<outcome<std::string>> stepped;
  if (step) {
    auto running = map_bounded_settled(items, options.max_concurrency,
                                       [this](std::string& item) { return step(std::move(item)); });
    stepped = co_await std::move(running);
  }
  for (std::size_t i = 0; i < items.size(); ++i) {
    while (into.should_wait()) {
      task<void> room = into.make_room();
      co_await std::move(room);
    }
    if (!step) {
      submit(items[i], into);
    } else if (stepped[i]) {
      submit(*stepped[i], into);
    } else {
      log::exception(log::level::error, "item was not processed", stepped[i].exception(), {{"stream", writer.name()}});
      into.reject(error_of_step(stepped[i].exception()), 0);
    }
  }
}

void processor::implementation::submit(std::string& text, intake& into) const {
  std::size_t size = text.size();
  if (size > options.max_item_bytes) {
    into.reject({code_name(item_errc::too_large),
                 "the item is longer than " + std::to_string(options.max_item_bytes) + " bytes",
                 {},
                 {}},
                0);
    return;
  }
  text.resize(size + item_padding);
  into.take(std::string_view(text).substr(0, size), 0);
}

std::uint64_t processor::processed_count() const noexcept { return implementation_->counts.stored; }

const item_counts& processor::counts() const noexcept { return implementation_->counts; }

bool processor::busy() const noexcept { return implementation_->turns.available() == 0; }

task<void> processor::close() {
  implementation& p = *implementation_;
  p.taking = false;
  p.writer.queue().stop_waiting_apart();
  {
    semaphore::permit all = co_await p.turns.acquire(p.options.max_batches);
    p.writer.queue().stop();
  }
  task<void> committed = p.committing.join();
  co_await std::move(committed);
  task<void> closing = p.connections.close();
  co_await std::move(closing);
}

}  // namespace penstock::ingest

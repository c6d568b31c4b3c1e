#include "observe/log_pipeline.h"
#include "penstock/async/error.h"
#include "penstock/observe/metrics.h"

#include <cstdlib>
#include <exception>
#include <string_view>
#include <utility>

namespace penstock::log {
namespace {

std::terminate_handler previous_terminate = nullptr;

void log_unhandled(const std::exception_ptr& error, std::string_view where) {
  metrics::default_registry()
      .counter("penstock_unhandled_errors_total", "Exceptions that no task was left to receive.")
      .add();
  exception(level::error, "unhandled error", error, {{"where", where}});
}

[[noreturn]] void log_and_terminate() {
  exception(level::error, "the process ends: an exception that nobody caught", std::current_exception());
  flush();
  if (previous_terminate != nullptr) previous_terminate();
  std::abort();
}

}  // namespace

void install_error_handlers() {
  set_unhandled_error_handler(log_unhandled);
  std::terminate_handler replaced = std::set_terminate(log_and_terminate);
  if (replaced != log_and_terminate) previous_terminate = replaced;
}

}  // namespace penstock::log

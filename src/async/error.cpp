#include "penstock/async/error.h"

#include "penstock/core/traceback.h"

#include <cstdio>
#include <utility>

namespace penstock {
namespace {

void print_unhandled(const std::exception_ptr& error, std::string_view where) {
  std::string text = "unhandled error in " + std::string(where) + "\n" + format_traceback(error);
  std::fwrite(text.data(), 1, text.size(), stderr);
}

unhandled_error_handler& handler() {
  static unhandled_error_handler instance = print_unhandled;
  return instance;
}

}  // namespace

operation_cancelled::operation_cancelled(const std::string& reason, std::source_location where)
    : error(async_errc::operation_cancelled, reason.empty() ? "cancelled" : "cancelled: " + reason, {}, where) {}

timed_out::timed_out(const std::string& message, std::exception_ptr cause, std::source_location where)
    : error(async_errc::timed_out, message, std::move(cause), where) {}

unhandled_error_handler set_unhandled_error_handler(unhandled_error_handler replacement) {
  return std::exchange(handler(), replacement ? std::move(replacement) : unhandled_error_handler(print_unhandled));
}

void report_unhandled_error(std::exception_ptr error, std::string_view where) noexcept {
  if (error) handler()(std::move(error), where);
}

}  // namespace penstock

#include "penstock/core/error.h"

#include <utility>
#include <vector>

namespace penstock {

struct error::state {
  std::string_view code;
  std::string message;
  std::exception_ptr cause;
  std::source_location where;
  std::vector<std::string> context;
  std::string what;
};

error::error(std::string_view code, std::string message, std::exception_ptr cause, std::source_location where)
    : state_(std::make_shared<state>(state{code, std::move(message), std::move(cause), where, {}, {}})) {
  state_->what = state_->message;
}

error::~error() = default;

std::string_view error::code() const noexcept { return state_->code; }
const std::string& error::message() const noexcept { return state_->message; }
std::span<const std::string> error::context() const noexcept { return state_->context; }
std::exception_ptr error::cause() const noexcept { return state_->cause; }
const std::source_location& error::where() const noexcept { return state_->where; }
const char* error::what() const noexcept { return state_->what.c_str(); }

error& error::add_context(std::string phrase) {
  state_->context.push_back(std::move(phrase));
  std::string what = state_->message;
  for (std::size_t i = 0; i < state_->context.size(); ++i) {
    what += i == 0 ? " (" : ", ";
    what += state_->context[i];
  }
  what += ')';
  state_->what = std::move(what);
  return *this;
}

}  // namespace penstock

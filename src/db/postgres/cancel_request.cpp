#include "cancel_request.h"

#include "penstock/async/on_worker.h"
#include "penstock/observe/log.h"

#include <string>

namespace penstock::db::postgres {

task<bool> cancel_request::send() const {
  if (!handle_) co_return false;
  std::string why(256, '\0');
  auto call = on_worker([&] { return PQcancel(handle_.get(), why.data(), static_cast<int>(why.size())); });
  int ok = co_await call;
  if (ok == 0) log::debug("PostgreSQL: a statement could not be cancelled yet", {{"reason", why.c_str()}});
  co_return ok != 0;
}

}  // namespace penstock::db::postgres

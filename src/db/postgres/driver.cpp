#include "driver.h"

#include "../host_rotation.h"
#include "server_context.h"
#include "session.h"
#include "startup.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

namespace penstock::db::postgres {
namespace {

constexpr std::uint16_t default_port = 5432;
// After that, a server has noticed that the session is gone, or was restarted.
constexpr duration orphans_live = std::chrono::minutes(1);
// Of openings to end one, when they are cut short: a server that is silent then is not to be kept from all of them.
constexpr int most_tries = 2;

class postgres_driver final : public driver {
 public:
  explicit postgres_driver(const std::string& url)
      : context_(std::make_shared<server_context>(server_context{parse_server_url(url, default_port)})),
        hosts_(context_->url) {}

  const std::string& name() const noexcept override { return context_->url.name; }

  task<std::unique_ptr<connection>> connect() override {
    if (std::optional<server_address> silent = context_->silent.take_last()) hosts_.pass_over(*silent);
    return hosts_.connect([this](const server_address& at) { return open(at); });
  }

 private:
  task<std::unique_ptr<connection>> open(const server_address& at) {
    std::string server = at.to_string();
    task<connection_handle> connecting = connect_to(context_->url, at);
    connection_handle connected = co_await std::move(connecting);
    auto opened = std::make_unique<session>(context_, at, std::move(connected));
    task<void> ending = end_orphans(std::move(server));
    co_await std::move(ending);
    task<void> introducing = opened->introduce();
    co_await std::move(introducing);
    co_return opened;
  }

  task<void> end_orphans(std::string server) {
    std::vector<orphan>& all = context_->orphans;
    time_point now = scheduler::current().now();
    std::erase_if(all, [&](const orphan& o) { return now - o.since >= orphans_live; });
    for (;;) {
      auto next = std::find_if(all.begin(), all.end(), [&](const orphan& o) { return o.server == server; });
      if (next == all.end()) co_return;
      orphan one = std::move(*next);
      all.erase(next);
      std::exception_ptr cut_short;
      try {
        task<bool> ending = one.ending.send(context_->url.connect_timeout);
        co_await std::move(ending);
      } catch (...) {
        cut_short = std::current_exception();
      }
      if (!cut_short) continue;
      if (++one.tries < most_tries) all.push_back(std::move(one));
      std::rethrow_exception(cut_short);
    }
  }

  std::shared_ptr<server_context> context_;
  host_rotation hosts_;
};

}  // namespace

std::shared_ptr<driver> make_driver(const std::string& url) { return std::make_shared<postgres_driver>(url); }

}  // namespace penstock::db::postgres

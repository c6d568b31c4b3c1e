#include "driver.h"

#include "../host_rotation.h"
#include "../server_url.h"
#include "session.h"
#include "startup.h"

#include <utility>

namespace penstock::db::postgres {
namespace {

constexpr std::uint16_t default_port = 5432;

class postgres_driver final : public driver {
 public:
  explicit postgres_driver(const std::string& url) : url_(parse_server_url(url, default_port)), hosts_(url_) {}

  const std::string& name() const noexcept override { return url_.name; }

  task<std::unique_ptr<connection>> connect() override {
    return hosts_.connect([this](const server_address& at) { return open(at); });
  }

 private:
  task<std::unique_ptr<connection>> open(const server_address& at) {
    task<connection_handle> connecting = connect_to(url_, at);
    connection_handle connected = co_await std::move(connecting);
    session::settings settings{url_.primary_only, url_.bulk_allowed, url_.silence_timeout};
    auto opened = std::make_unique<session>(std::move(connected), settings);
    if (url_.primary_only) {
      task<void> checking = opened->require_primary();
      co_await std::move(checking);
    }
    co_return opened;
  }

  server_url url_;
  host_rotation hosts_;
};

}  // namespace

std::shared_ptr<driver> make_driver(const std::string& url) { return std::make_shared<postgres_driver>(url); }

}  // namespace penstock::db::postgres

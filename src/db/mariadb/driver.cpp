#include "driver.h"

#include "../host_rotation.h"
#include "opening.h"
#include "penstock/db/error.h"
#include "server_context.h"
#include "session.h"
#include "wire_text.h"

#include <algorithm>
#include <utility>

namespace penstock::db::mariadb {
namespace {

using namespace std::chrono_literals;

constexpr std::uint16_t default_port = 3306;
// After that, a server has noticed that the session is gone, or was restarted.
constexpr duration orphans_live = 1min;

// The library's only global set-up, at the first driver rather than at the first session of any thread.
void set_library_up() {
  static const bool done = mysql_server_init(0, nullptr, nullptr) == 0;
  if (!done) throw database_error(db_errc::other, "libmariadb could not be set up");
}

class mariadb_driver final : public driver {
 public:
  explicit mariadb_driver(const std::string& url)
      : context_(std::make_shared<server_context>(server_context{parse_server_url(url, default_port)})),
        hosts_(context_->url) {
    set_library_up();
  }

  const std::string& name() const noexcept override { return context_->url.name; }

  task<std::unique_ptr<connection>> connect() override {
    if (std::optional<server_address> silent = context_->silent.take_last()) hosts_.pass_over(*silent);
    return hosts_.connect([this](const server_address& at) { return open(at); });
  }

 private:
  task<std::unique_ptr<connection>> open(server_address at) {
    server_facts facts;
    task<std::unique_ptr<wire>> opening = open_session(&context_->url, at, &facts);
    std::unique_ptr<wire> w = co_await std::move(opening);
    task<void> ending = end_orphans(w.get(), facts.identity);
    co_await std::move(ending);
    co_return std::make_unique<session>(context_, std::move(at), std::move(w), std::move(facts));
  }

  // A server that was started again gives the numbers of its sessions again, to others; none of these has run its
  // statement for as long as the orphan has. Those that an opening was cut short before it had ended are left to the
  // next one; one whose KILL was sent is not, or a KILL that takes long would keep every opening from its end.
  task<void> end_orphans(wire* w, std::string identity) {
    std::string wanted;
    std::vector<unsigned long> asked_for;
    time_point now = scheduler::current().now();
    std::erase_if(context_->orphans, [&](const orphan& o) { return now - o.since >= orphans_live; });
    for (const orphan& o : context_->orphans) {
      if (o.identity != identity) continue;
      asked_for.push_back(o.thread_id);
      wanted.append(wanted.empty() ? "" : " OR ")
          .append("ID = " + std::to_string(o.thread_id) + " AND COMMAND <> 'Sleep' AND TIME >= " +
                  std::to_string(std::chrono::floor<std::chrono::seconds>(now - o.since).count()));
    }
    if (wanted.empty()) co_return;
    std::string text = "SELECT ID FROM information_schema.PROCESSLIST WHERE " + wanted;
    std::vector<text_result> answers;
    task<bool> asking = w->run(text, answers, 1);
    bool answered = co_await std::move(asking);
    if (!answered) co_return;
    std::vector<unsigned long> found;
    for (const auto& row : answers.front().rows) found.push_back(static_cast<unsigned long>(number_in(row.at(0))));
    for (unsigned long id : asked_for)
      if (std::find(found.begin(), found.end(), id) == found.end()) forget_orphan(identity, id);
    for (unsigned long id : found) {
      forget_orphan(identity, id);
      text = "KILL CONNECTION " + std::to_string(id);
      task<bool> killing = w->run(text, answers);
      co_await std::move(killing);  // false for one that has ended already
    }
  }

  void forget_orphan(const std::string& identity, unsigned long id) {
    std::erase_if(context_->orphans, [&](const orphan& o) { return o.identity == identity && o.thread_id == id; });
  }

  std::shared_ptr<server_context> context_;
  host_rotation hosts_;
};

}  // namespace

std::shared_ptr<driver> make_driver(const std::string& url) { return std::make_shared<mariadb_driver>(url); }

}  // namespace penstock::db::mariadb

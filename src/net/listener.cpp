#include "penstock/net/listener.h"

#include "accept_failure.h"
#include "address.h"
#include "event_loop_implementation.h"
#include "penstock/async/scheduler_observer.h"
#include "penstock/async/timeout.h"
#include "penstock/async/yield.h"
#include "penstock/net/asio.h"
#include "penstock/net/error.h"
#include "socket_stream.h"

#include <cerrno>
#include <optional>
#include <utility>

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/io_context.hpp>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace penstock::net {
namespace {

using acceptor =
    boost::asio::basic_socket_acceptor<boost::asio::generic::stream_protocol, boost::asio::io_context::executor_type>;

constexpr std::size_t accepts_in_a_turn = 64;
constexpr auto pause_between_tries = std::chrono::milliseconds(50);

// Removes the file of a Unix socket that nobody listens on any more.
void remove_stale_socket(const endpoint& where, const socket_address& address) {
  struct stat status {};
  if (::lstat(where.path().c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return;
  // Without blocking: one who listens and does not accept is alive too.
  int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return;
  bool refused = ::connect(probe, address.data(), static_cast<socklen_t>(address.size())) != 0 && errno == ECONNREFUSED;
  ::close(probe);
  if (refused) ::unlink(where.path().c_str());
}

// Which file a Unix socket was bound to. The file exists as long as the socket is open, so none that takes its name has
// its number.
struct file_identity {
  static std::optional<file_identity> of(const std::string& path) noexcept {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) return std::nullopt;
    return file_identity{status.st_dev, status.st_ino};
  }
  friend bool operator==(const file_identity&, const file_identity&) = default;

  dev_t device;
  ino_t number;
};

class socket_listener final : public listener, private tracked {
 public:
  socket_listener(std::shared_ptr<loop_sockets> home, acceptor a, endpoint local, std::source_location made_at)
      : tracked("listener"), home_(std::move(home)), acceptor_(std::move(a)), local_(std::move(local)) {
    enter(made_at);
    if (local_.type() == endpoint::kind::unix_socket) file_ = file_identity::of(local_.path());
  }
  ~socket_listener() override { close(); }

  task<std::unique_ptr<stream>> accept() override {
    home_->require_loop("the listener");
    for (;;) {
      // Who waits already is taken at once, some at a time: a pass through the loop for each would let many wait for
      // long, and none for all would keep those back who were accepted.
      if (++accepted_ % accepts_in_a_turn == 0) co_await yield();
      boost::system::error_code failure;
      stream_socket socket(acceptor_.get_executor());
      acceptor_.accept(socket, failure);
      if (failure == boost::asio::error::would_block) {
        // The socket is the operation's, which may outlive this task.
        auto [later, came] = co_await acceptor_.async_accept(use_task_tuple);
        failure = later;
        socket = std::move(came);
      }
      if (!failure) {
        std::optional<std::string> peer = name_of_peer(socket);
        if (!peer) continue;
        co_return std::make_unique<socket_stream>(std::move(socket), std::move(*peer), made_at());
      }
      switch (after_failed_accept(failure.value())) {
        case after_accept::goes_on:
          break;
        case after_accept::pauses:
          co_await sleep_for(pause_between_tries);
          break;
        case after_accept::ends:
          throw_if_failed(failure, "accept");
      }
    }
  }

  void close() noexcept override {
    leave();
    if (!acceptor_.is_open()) return;
    // Another process may have taken the name meanwhile, as a successor does whose predecessor's file was removed.
    if (file_ && file_identity::of(local_.path()) == file_) ::unlink(local_.path().c_str());
    boost::system::error_code ignored;  // close(2) frees the descriptor whatever it reports
    acceptor_.close(ignored);
  }

  const endpoint& local_endpoint() const noexcept override { return local_; }

 private:
  std::string name() const override { return local_.to_string(); }
  // None of one that is gone already.
  std::optional<std::string> name_of_peer(const stream_socket& socket) const {
    if (local_.type() == endpoint::kind::unix_socket) return local_.to_string();
    boost::system::error_code gone;
    socket_address peer = socket.remote_endpoint(gone);
    if (gone) return std::nullopt;
    return describe_address(peer).to_string();
  }

  std::shared_ptr<loop_sockets> home_;  // the acceptor's, which may outlive the loop
  acceptor acceptor_;
  std::size_t accepted_ = 0;
  endpoint local_;
  std::optional<file_identity> file_;  // of a Unix socket
};

// Not to what another's symbolic link names, whom the folder may belong to. The C library needs /proc for that.
bool give_mode(const std::string& path, mode_t mode) noexcept {
  if (::fchmodat(AT_FDCWD, path.c_str(), mode, AT_SYMLINK_NOFOLLOW) == 0) return true;
  struct stat there {};
  return errno == EOPNOTSUPP && ::lstat(path.c_str(), &there) == 0 && S_ISSOCK(there.st_mode) &&
         ::chmod(path.c_str(), mode) == 0;
}

boost::system::error_code open_acceptor(acceptor& a, const endpoint& where, const socket_address& address,
                                        const listen_options& options) {
  boost::system::error_code failure;
  bool is_unix = address.data()->sa_family == AF_UNIX;
  if (a.open(address.protocol(), failure)) return failure;
  int on = 1;
  if (!is_unix) ::setsockopt(a.native_handle(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (!is_unix && options.reuse_port && ::setsockopt(a.native_handle(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0)
    return {errno, boost::system::system_category()};
  // The file of a Unix socket takes over the mode of the unbound socket (unix(7) on Linux), less the umask. What that
  // took away is given back before anyone can connect.
  if (is_unix && ::fchmod(a.native_handle(), options.mode) != 0) return {errno, boost::system::system_category()};
  if (a.bind(address, failure)) return failure;
  if (is_unix && !give_mode(where.path(), options.mode)) return {errno, boost::system::system_category()};
  if (a.listen(options.backlog, failure)) return failure;
  if (a.non_blocking(true, failure)) return failure;
  // Asio would take ECONNABORTED and EPROTO for its own to handle, and block until the next connection comes.
  a.set_option(boost::asio::socket_base::enable_connection_aborted(true), failure);
  return failure;
}

std::string advice_on(const boost::system::error_code& failure, const endpoint& where) {
  if (failure == boost::asio::error::address_in_use) return "; stop what listens there";
  if (where.type() != endpoint::kind::unix_socket || failure.value() != ENOENT) return "";
  std::string folder = where.path().substr(0, where.path().rfind('/'));
  return "; there is no folder '" + folder + "' to make it in";
}

}  // namespace

std::unique_ptr<listener> listen(const endpoint& where, const listen_options& options, std::source_location made_at) {
  note_real_operation("listening on " + where.to_string());
  std::shared_ptr<loop_sockets> home = event_loop::current().native().sockets;
  boost::system::error_code failure;
  for (const socket_address& address : resolve_blocking(where, true)) {
    acceptor a(home->context.get_executor());
    if (where.type() == endpoint::kind::unix_socket) remove_stale_socket(where, address);
    failure = open_acceptor(a, where, address, options);
    if (failure) continue;
    bool tcp = where.type() == endpoint::kind::tcp;
    endpoint local = tcp ? describe_address(a.local_endpoint()) : where;
    return std::make_unique<socket_listener>(std::move(home), std::move(a), std::move(local), made_at);
  }
  throw error(net_errc::listen_failed,
              "cannot listen on " + where.to_string() + ": " + failure.message() + advice_on(failure, where));
}

}  // namespace penstock::net

#pragma once

// A peer that speaks raw bytes by a script: for what no proper server or client would say. It works over any stream, so
// over real sockets and in a simulation.
//
//   peer_script greets;
//   greets.expect("HELLO\r\n").send("WEL").wait(50ms).send("COME\r\n").reset();
//   co_await with_scripted_peer(greets, [&](const net::endpoint& at) -> task<> {
//     std::string answer = co_await ask(at);
//     EXPECT_EQ(answer, "WELCOME");
//   });

#include "penstock/async/event.h"
#include "penstock/async/scheduler.h"
#include "penstock/async/task.h"
#include "penstock/net/endpoint.h"
#include "penstock/net/listener.h"
#include "penstock/net/stream.h"

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace penstock::testing {

/// What a peer does on one connection, step by step. After the last step it closes; what was read along with
/// what the steps asked for, and is left then, fails the script, save behind a `reset`.
class peer_script {
 public:
  /// Reads exactly these bytes; anything else, or an end, fails the script.
  peer_script& expect(std::string bytes);
  /// Reads on until these bytes have come, whatever stands before them. An end fails the script.
  peer_script& read_until(std::string bytes);
  /// Reads until the other side ends or resets the connection.
  peer_script& read_to_end();
  /// Sends these bytes.
  peer_script& send(std::string bytes);
  /// Lets time pass.
  peer_script& wait(duration d);
  /// Does something else, such as setting an event or speaking to the connection by itself; what earlier steps have
  /// read of it beyond what they asked for is not given back.
  peer_script& then(std::function<task<void>(net::stream&)> what);
  /// Sends nothing more; reading goes on.
  peer_script& half_close();
  /// Closes the connection. Nothing may follow, here and below.
  peer_script& close();
  /// Resets the connection.
  peer_script& reset();

  /// Follows the script on a connection and gives all that was read. Throws `testing_errc::off_script` that shows the
  /// step, or the end, what it expects and what came; net errors when the other side is gone at a `send`. Cancellable.
  /// The script outlives it.
  task<std::string> play(net::stream& connection) const;

 private:
  friend class scripted_peer;
  enum class verb { expect, read_until, read_to_end, send, wait, call, half_close, close, reset };
  class step {
   public:
    explicit step(verb v, std::string t = {}) : does(v), text(std::move(t)) {}
    verb does;
    std::string text;
    duration time{};
    std::function<task<void>(net::stream&)> call;
  };
  class player;

  peer_script& add(step s);
  // `says` is told before each step whether the step needs nothing but the client.
  task<std::string> play(net::stream& connection, const std::function<void(bool)>& says) const;

  std::vector<step> steps_;
};

/// A server that follows scripts: the first connection the first one, and so on; the last one serves all that follow.
class scripted_peer {
 public:
  /// At least one script; throws `testing_errc::bad_setting` for none.
  explicit scripted_peer(std::vector<peer_script> scripts);
  scripted_peer(const scripted_peer&) = delete;
  scripted_peer& operator=(const scripted_peer&) = delete;

  /// Accepts connections until it is cancelled, or until one goes off its script, which is thrown. A client that is
  /// gone when something is sent to it is no failure.
  task<void> serve(net::listener& at);
  /// Awaits, beside `serve` and once the clients are done, what connections that wait to be accepted and scripts that
  /// stand at `expect`, `read_until` or `send` come to: `serve` throws when a client left in the middle of its script.
  /// Scripts at other steps are not waited for. Throws `testing_errc::off_script` when a client neither went on nor
  /// left within five seconds. Cancellable.
  task<void> finish();

  /// Connections accepted so far.
  std::size_t connections() const noexcept { return heard_.size(); }
  /// Of each script that was played to its end, what the client said; empty for the others.
  const std::vector<std::string>& heard() const noexcept { return heard_; }

 private:
  class attention;
  task<void> play(std::unique_ptr<net::stream> connection, std::size_t number);
  task<void> wait_until_idle();

  std::vector<peer_script> scripts_;
  std::vector<std::string> heard_;
  std::size_t busy_ = 0;  // scripts that `finish` waits for
  event all_idle_;
};

/// Runs `body` beside a scripted peer on a port of 127.0.0.1, which ends with it. Throws what the body throws, or how a
/// client went off its script, leaving in the middle of it included: so the body closes its clients. A script that
/// still waits, reads to the end or does something else of its own when the body is done is broken off. How many
/// connections are made is for the body to check: scripts that nobody connected for are no failure.
task<void> with_scripted_peer(std::vector<peer_script> scripts, std::function<task<void>(const net::endpoint&)> body);
/// As above, with one script for all connections.
task<void> with_scripted_peer(peer_script script, std::function<task<void>(const net::endpoint&)> body);

}  // namespace penstock::testing

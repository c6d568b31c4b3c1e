#include "penstock/testing/scripted_peer.h"

#include "penstock/async/task_group.h"
#include "penstock/async/timeout.h"
#include "penstock/core/units.h"
#include "penstock/net/error.h"
#include "penstock/testing/error.h"
#include "quoted_bytes.h"

#include <algorithm>
#include <array>
#include <utility>

// Invariant: what was read and not yet asked for by a step is kept for the next one.

namespace penstock::testing {

class peer_script::player {
 public:
  explicit player(net::stream& connection) : connection_(connection) {}

  task<void> follow(const step& s, std::size_t number);
  // Throws when more has come than the steps asked for.
  void end() const;
  std::string take_heard() noexcept { return std::move(heard_); }

 private:
  task<bool> read_more();
  task<void> expect(const step& s, std::size_t number);
  task<void> read_until(const step& s, std::size_t number);
  task<void> read_to_end();
  void take(std::size_t n) {
    heard_ += unread_.substr(0, n);
    unread_.erase(0, n);
  }

  net::stream& connection_;
  std::string unread_;
  std::string heard_;
};

namespace {

// For a client whose test is done.
constexpr duration patience = std::chrono::seconds(5);
// Each turn of an event loop takes up one of the things that have come, and a connection is two of them.
constexpr int turns_for_a_connection = 16;

[[noreturn]] void go_off(const std::string& where, const std::string& expected, const std::string& came, bool ended) {
  throw error(testing_errc::off_script, where + " of the script: expected " + expected + "\n  and got " +
                                            (came.empty() ? "nothing" : quoted_bytes(came)) +
                                            (ended ? "\n  before the connection ended" : ""));
}

[[noreturn]] void go_off(std::size_t number, const std::string& expected, const std::string& came, bool ended) {
  go_off("step " + std::to_string(number), expected, came, ended);
}

}  // namespace

task<void> peer_script::player::follow(const step& s, std::size_t number) {
  switch (s.does) {
    case verb::expect:
      return expect(s, number);
    case verb::read_until:
      return read_until(s, number);
    case verb::read_to_end:
      return read_to_end();
    case verb::send:
      return connection_.write(net::bytes_of(s.text));
    case verb::wait:
      return [](duration d) -> task<void> { co_await sleep_for(d); }(s.time);
    case verb::call:
      return s.call(connection_);
    case verb::half_close:
      connection_.shutdown_send();
      break;
    case verb::close:
      connection_.close();
      break;
    case verb::reset:
      connection_.reset();
      break;
  }
  return []() -> task<void> { co_return; }();
}

void peer_script::player::end() const {
  if (!unread_.empty()) go_off("the end", "nothing more", unread_, false);
}

// False at the end, which a reset is too.
task<bool> peer_script::player::read_more() {
  std::array<std::byte, 4096> buffer;
  std::size_t n = 0;
  try {
    task<std::size_t> reading = connection_.read_some(buffer);
    n = co_await std::move(reading);
  } catch (const error& e) {
    if (!e.is(net::net_errc::connection_closed)) throw;
  }
  unread_.append(reinterpret_cast<const char*>(buffer.data()), n);
  co_return n > 0;
}

// Fails at the first byte that differs, and does not wait for as many as were expected.
task<void> peer_script::player::expect(const step& s, std::size_t number) {
  for (;;) {
    std::size_t compared = std::min(unread_.size(), s.text.size());
    if (unread_.compare(0, compared, s.text, 0, compared) != 0) go_off(number, quoted_bytes(s.text), unread_, false);
    if (compared == s.text.size()) break;
    task<bool> more = read_more();
    if (!co_await std::move(more)) go_off(number, quoted_bytes(s.text), unread_, true);
  }
  take(s.text.size());
}

task<void> peer_script::player::read_until(const step& s, std::size_t number) {
  std::size_t at;
  while ((at = unread_.find(s.text)) == std::string::npos) {
    task<bool> more = read_more();
    if (!co_await std::move(more)) go_off(number, "something up to " + quoted_bytes(s.text), unread_, true);
  }
  take(at + s.text.size());
}

task<void> peer_script::player::read_to_end() {
  for (bool more = true; more;) {
    task<bool> reading = read_more();
    more = co_await std::move(reading);
    take(unread_.size());
  }
}

task<std::string> peer_script::play(net::stream& connection) const {
  std::function<void(bool)> to_nobody = [](bool) {};
  task<std::string> playing = play(connection, to_nobody);
  co_return co_await std::move(playing);
}

task<std::string> peer_script::play(net::stream& connection, const std::function<void(bool)>& says) const {
  player plays(connection);
  std::size_t number = 0;
  for (const step& s : steps_) {
    says(s.does != verb::wait && s.does != verb::call && s.does != verb::read_to_end);
    task<void> following = plays.follow(s, ++number);
    co_await std::move(following);
  }
  if (steps_.empty() || steps_.back().does != verb::reset) plays.end();
  co_return plays.take_heard();
}

peer_script& peer_script::add(step s) {
  steps_.push_back(std::move(s));
  return *this;
}
peer_script& peer_script::expect(std::string bytes) { return add(step(verb::expect, std::move(bytes))); }
peer_script& peer_script::read_until(std::string bytes) { return add(step(verb::read_until, std::move(bytes))); }
peer_script& peer_script::read_to_end() { return add(step(verb::read_to_end)); }
peer_script& peer_script::send(std::string bytes) { return add(step(verb::send, std::move(bytes))); }
peer_script& peer_script::wait(duration d) {
  step waits(verb::wait);
  waits.time = d;
  return add(std::move(waits));
}
peer_script& peer_script::then(std::function<task<void>(net::stream&)> what) {
  step calls(verb::call);
  calls.call = std::move(what);
  return add(std::move(calls));
}
peer_script& peer_script::half_close() { return add(step(verb::half_close)); }
peer_script& peer_script::close() { return add(step(verb::close)); }
peer_script& peer_script::reset() { return add(step(verb::reset)); }

scripted_peer::scripted_peer(std::vector<peer_script> scripts) : scripts_(std::move(scripts)) {
  if (scripts_.empty()) throw error(testing_errc::bad_setting, "scripted_peer: no script was given");
}

task<void> scripted_peer::serve(net::listener& at) {
  auto accept_all = [&](task_group& group) -> task<void> {
    for (;;) {
      task<std::unique_ptr<net::stream>> accepting = at.accept();
      std::unique_ptr<net::stream> connection = co_await std::move(accepting);
      heard_.emplace_back();
      group.start(play(std::move(connection), heard_.size() - 1), "script");
    }
  };
  task<void> all = with_task_group(accept_all);
  co_await std::move(all);
}

// Whether `finish` waits for a script; no longer once this is gone.
class scripted_peer::attention {
 public:
  explicit attention(scripted_peer& peer) noexcept : peer_(peer) {}
  attention(const attention&) = delete;
  attention& operator=(const attention&) = delete;
  ~attention() { set(false); }

  void set(bool busy) noexcept {
    if (busy == busy_) return;
    busy_ = busy;
    if (busy)
      ++peer_.busy_;
    else if (--peer_.busy_ == 0)
      peer_.all_idle_.set();
  }

 private:
  scripted_peer& peer_;
  bool busy_ = false;
};

task<void> scripted_peer::finish() {
  // What came is taken up within some turns of the loop: no time is waited for.
  for (std::size_t before = heard_.size(), turn = 0; turn < turns_for_a_connection; ++turn) {
    co_await sleep_for(std::chrono::nanoseconds(1));
    if (std::exchange(before, heard_.size()) != heard_.size()) turn = 0;
  }
  task<void> ending = with_timeout(patience, wait_until_idle());
  try {
    co_await std::move(ending);
  } catch (const timed_out&) {
    throw error(testing_errc::off_script,
                std::to_string(busy_) + " of " + std::to_string(heard_.size()) +
                    " connections of a scripted peer stand in the middle of their script, and their clients neither "
                    "went on nor left within " +
                    format_duration(patience) + ": close them before the test's body ends");
  }
}

task<void> scripted_peer::wait_until_idle() {
  while (busy_ > 0) {
    all_idle_.clear();
    auto waiting = all_idle_.wait();
    co_await waiting;
  }
}

task<void> scripted_peer::play(std::unique_ptr<net::stream> connection, std::size_t number) {
  attention mine(*this);
  std::function<void(bool)> says = [&](bool busy) { mine.set(busy); };
  try {
    task<std::string> playing = scripts_[std::min(number, scripts_.size() - 1)].play(*connection, says);
    std::string heard = co_await std::move(playing);
    heard_[number] = std::move(heard);
  } catch (error& e) {
    if (e.is(net::net_errc::connection_closed)) co_return;
    e.add_context("on connection " + std::to_string(number + 1) + " of a scripted peer");
    throw;
  }
}

task<void> with_scripted_peer(std::vector<peer_script> scripts, std::function<task<void>(const net::endpoint&)> body) {
  scripted_peer peer(std::move(scripts));
  std::unique_ptr<net::listener> at = net::listen(net::endpoint::parse("127.0.0.1:0"));
  auto beside = [&](task_group& group) -> task<void> {
    group.start_background(peer.serve(*at), "scripted peer");
    task<void> running = body(at->local_endpoint());
    co_await std::move(running);
    task<void> ending = peer.finish();
    co_await std::move(ending);
  };
  task<void> all = with_task_group(beside);
  co_await std::move(all);
}

task<void> with_scripted_peer(peer_script script, std::function<task<void>(const net::endpoint&)> body) {
  std::vector<peer_script> scripts;
  scripts.push_back(std::move(script));
  return with_scripted_peer(std::move(scripts), std::move(body));
}

}  // namespace penstock::testing

#pragma once

#include "chaos_flow.h"
#include "penstock/async/cancel.h"
#include "penstock/async/task.h"
#include "penstock/net/stream.h"
#include "penstock/testing/chaos_proxy.h"

#include <cstdint>
#include <memory>

namespace penstock::testing {

// A client's connection, the one to the server that was made for it, and the two flows between them.
class chaos_connection {
 public:
  chaos_connection(std::uint64_t number, std::unique_ptr<net::stream> client, chaos_shared& shared,
                   const toxics& to_server, const toxics& to_client);
  chaos_connection(const chaos_connection&) = delete;
  chaos_connection& operator=(const chaos_connection&) = delete;

  // Connects and passes on until both sides have ended, or it was ended.
  task<void> run(const chaos_proxy::connector& connect);
  // False when it was ended before.
  bool end(chaos_ending how, flow unheard = flow::to_client) noexcept;
  bool ended() const noexcept { return ended_; }
  chaos_flow& of(flow direction) noexcept { return direction == flow::to_server ? to_server_ : to_client_; }
  chaos_connection_info info() const;
  std::uint64_t number() const noexcept { return number_; }

 private:
  task<void> pass(const chaos_proxy::connector& connect);

  std::uint64_t number_;
  chaos_shared& shared_;
  time_point accepted_;
  std::unique_ptr<net::stream> client_;
  std::unique_ptr<net::stream> server_;
  chaos_flow to_server_;
  chaos_flow to_client_;
  bool ended_ = false;
  cancel_scope scope_;
};

}  // namespace penstock::testing

#pragma once

// Errors of the net room.

#include "penstock/core/error.h"

#include <string>
#include <string_view>

namespace penstock::net {

/// Errors of the net room.
enum class net_errc {
  bad_endpoint,       ///< A text is no endpoint.
  resolve_failed,     ///< A host name has no address.
  listen_failed,      ///< An endpoint could not be listened on.
  connect_failed,     ///< A connection was refused, or its peer not reached.
  connection_closed,  ///< The peer closed or reset the connection.
  io_failed,          ///< Any other failure of a system call.
};

/// The stable code of a net error.
constexpr std::string_view code_name(net_errc code) noexcept {
  switch (code) {
    case net_errc::bad_endpoint:
      return "net.bad_endpoint";
    case net_errc::resolve_failed:
      return "net.resolve_failed";
    case net_errc::listen_failed:
      return "net.listen_failed";
    case net_errc::connect_failed:
      return "net.connect_failed";
    case net_errc::connection_closed:
      return "net.connection_closed";
    case net_errc::io_failed:
      return "net.io_failed";
  }
  return "net.unknown";
}

}  // namespace penstock::net

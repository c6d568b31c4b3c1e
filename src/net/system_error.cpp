#include "penstock/net/asio.h"
#include "penstock/net/error.h"

#include <string>

#include <boost/asio/error.hpp>

namespace penstock::net {
namespace {

net_errc classify(const boost::system::error_code& code) {
  namespace failure = boost::asio::error;
  if (code == failure::connection_reset || code == failure::broken_pipe || code == failure::eof ||
      code == failure::operation_aborted || code == failure::bad_descriptor || code == failure::not_connected ||
      code == failure::connection_aborted)
    return net_errc::connection_closed;
  if (code == failure::connection_refused || code == failure::host_unreachable ||
      code == failure::network_unreachable || code == failure::timed_out || code == failure::network_down)
    return net_errc::connect_failed;
  if (code == failure::host_not_found || code == failure::host_not_found_try_again) return net_errc::resolve_failed;
  return net_errc::io_failed;
}

}  // namespace

void throw_if_failed(const boost::system::error_code& code, const char* doing) {
  if (code) throw error(classify(code), std::string(doing) + ": " + code.message());
}

}  // namespace penstock::net

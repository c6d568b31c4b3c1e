#include "body_streams.h"

#include "penstock/http/error.h"
#include "server_implementation.h"

#include <charconv>

namespace penstock::http {
namespace {

constexpr std::size_t flush_bytes = std::size_t{64} << 10;
constexpr std::size_t longest_chunk_line = 4 * 1024;

}  // namespace

task<std::string_view> connection::incoming_body::read_some() {
  connection& c = connection_;
  request_parser& parser = *c.parser_;
  for (;;) {
    if (parser.is_done()) co_return std::string_view();
    bool need_more = c.begin_ == c.end_;
    if (!need_more) {
      request_parser::step s = parser.put_body(c.buffered());
      c.begin_ += s.consumed;
      if (!s.body.empty()) co_return s.body;
      if (s.need_more && c.end_ - c.begin_ > longest_chunk_line)
        throw protocol_error(http_errc::bad_request, "a chunk's size line is too long");
      need_more = s.need_more || s.consumed == 0;
    }
    if (!need_more) continue;
    if (parser.expects_continue() && !continued_ && c.begin_ == c.end_) c.out_ += "HTTP/1.1 100 Continue\r\n\r\n";
    continued_ = true;
    co_await c.flush();
    c.enter(phase::body);
    std::size_t n = co_await c.fill();
    if (n == 0) throw protocol_error(http_errc::body_incomplete, "the connection ended inside the body");
    c.enter(phase::handling);
  }
}

task<void> connection::outgoing_body::write(std::string_view piece) {
  if (piece.empty()) co_return;
  std::string& out = connection_.out_;
  if (chunked_) {
    char size[20];
    out.append(size, std::to_chars(size, size + sizeof(size), piece.size(), 16).ptr);
    out += "\r\n";
  }
  out += piece;
  if (chunked_) out += "\r\n";
  if (out.size() >= flush_bytes) co_await connection_.flush();
}

}  // namespace penstock::http

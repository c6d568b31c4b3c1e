#include "breakable_stream.h"

#include "penstock/net/error.h"

#include <string_view>
#include <utility>

// Invariant: of an answer that breaks, the bytes up to the break are written, and then none.

namespace penstock::testing {

breakable_stream::breakable_stream(std::unique_ptr<net::stream> inner, registry& in)
    : inner_(std::move(inner)), registry_(in) {
  registry_[remote_address()] = this;
}

void breakable_stream::break_after(std::size_t body_bytes, bool by_reset) noexcept {
  breaks_after_ = body_bytes;
  by_reset_ = by_reset;
}

task<void> breakable_stream::write(std::span<const std::span<const std::byte>> buffers) {
  return breaks_after_ ? write_and_break(buffers) : inner_->write(buffers);
}

// Writes what is left until the break. The answer so far is kept, to find the end of its head, which may come in
// pieces.
task<void> breakable_stream::write_and_break(std::span<const std::span<const std::byte>> buffers) {
  constexpr std::string_view end_of_head = "\r\n\r\n";
  std::size_t before = written_.size();
  for (std::span<const std::byte> b : buffers) written_.append(reinterpret_cast<const char*>(b.data()), b.size());
  std::size_t head = written_.find(end_of_head);
  std::size_t last = head == std::string::npos ? std::string::npos : head + end_of_head.size() + *breaks_after_;
  std::string_view rest = std::string_view(written_).substr(0, last).substr(before);
  task<void> writing = inner_->write(net::bytes_of(rest));
  co_await std::move(writing);
  if (last > written_.size()) co_return;
  by_reset_ ? inner_->reset() : inner_->close();
  throw error(net::net_errc::connection_closed, "write: the answer was to break here");
}

task<std::unique_ptr<net::stream>> breakable_listener::accept() {
  task<std::unique_ptr<net::stream>> accepting = inner_->accept();
  std::unique_ptr<net::stream> accepted = co_await std::move(accepting);
  co_return std::make_unique<breakable_stream>(std::move(accepted), open_);
}

breakable_stream* breakable_listener::connection(std::string_view remote_address) noexcept {
  auto found = open_.find(remote_address);
  return found == open_.end() ? nullptr : found->second;
}

}  // namespace penstock::testing

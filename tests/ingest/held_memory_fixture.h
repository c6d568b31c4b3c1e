#pragma once

// A service in a simulation that has memory for one long item and one long answer.

#include "simulated_service.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <zstd.h>

namespace penstock::ingest {

inline constexpr std::size_t long_bytes =
    90'000;  // beyond what the simulated network takes of an answer without being read
inline constexpr std::size_t room_for_one = 150'000;

// A frame that asks for a window of 8 MiB, and is not at its end.
inline std::string zstd_with_large_window(const std::string& text) {
  std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context(ZSTD_createCCtx(), &ZSTD_freeCCtx);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_windowLog, 23);
  std::string out(ZSTD_compressBound(text.size()) + 64, '\0');
  ZSTD_inBuffer in{text.data(), text.size(), 0};
  ZSTD_outBuffer into{out.data(), out.size(), 0};
  ZSTD_compressStream2(context.get(), &into, &in, ZSTD_e_flush);
  out.resize(into.pos);
  return out;
}

class held_memory : public simulated_service {
 protected:
  held_memory() {
    options_.reading_bytes = room_for_one;
    options_.answer_bytes = room_for_one;
  }
  void run(std::function<task<void>()> body) { simulate(server_, options_, std::move(body)); }

  // Sends so much of a request, and gives the service time for it.
  task<std::unique_ptr<net::stream>> begin(std::string some) {
    net::endpoint to = net::endpoint::parse("server:80");
    task<std::unique_ptr<net::stream>> connecting = net_.connect("client", to);
    std::unique_ptr<net::stream> stream = co_await std::move(connecting);
    task<void> writing = stream->write(net::bytes_of(some));
    co_await std::move(writing);
    co_await sleep_for(1s);
    co_return stream;
  }
  task<answer> end(std::unique_ptr<net::stream> stream, std::string rest) {
    task<answer> asking = ask_on(*stream, std::move(rest));
    co_return co_await std::move(asking);
  }
  static task<std::string> read_until(net::stream& stream, std::string last) {
    std::string all;
    std::vector<std::byte> buffer(65536);
    while (!all.ends_with(last)) {
      task<std::size_t> reading = stream.read_some(buffer);
      std::size_t n = co_await std::move(reading);
      if (n == 0) break;
      all.append(reinterpret_cast<const char*>(buffer.data()), n);
    }
    co_return all;
  }
  static std::string ndjson(const std::string& body, std::size_t length, const std::string& more = {}) {
    return "POST /v1/items HTTP/1.1\r\nHost: server\r\nConnection: close\r\n" + more +
           "Content-Type: application/x-ndjson\r\nContent-Length: " + std::to_string(length) + "\r\n\r\n" + body;
  }
  void tell_less_beside_a_slow(const std::string& key) {
    run([&]() -> task<void> {
      auto first = begin(ndjson(many_bad_, many_bad_.size(), key));
      std::unique_ptr<net::stream> slow = co_await std::move(first);
      task<answer> second = ask_server(ndjson(many_bad_, many_bad_.size()));
      answer told = co_await std::move(second);
      EXPECT_GE(shown("penstock_answer_bytes"), room_for_one);
      EXPECT_EQ(told.status, 200);
      EXPECT_EQ(told.json("/rejected"), "2000");
      EXPECT_EQ(told.json("/results_truncated"), "true");
      EXPECT_LT(told.body.size(), 20'000u);
      task<answer> taking = end(std::move(slow), "");
      answer late = co_await std::move(taking);
      EXPECT_EQ(late.json("/results_truncated"), "") << "it was the first";
      task<answer> again = ask_server(ndjson(many_bad_, many_bad_.size()));
      answer whole = co_await std::move(again);
      EXPECT_EQ(whole.json("/results_truncated"), "") << "what the answer had held was not given back";
      EXPECT_EQ(shown("penstock_answer_bytes"), 0);
    });
  }
  double shown(const char* gauge) {
    registry_.render();
    return registry_.gauge(gauge, "").value();
  }

  const std::string half_item_ = "\"" + std::string(long_bytes, 'x');
  const std::string end_of_item_ = "\"\n";
  const std::string many_bad_ = [] {
    std::string lines;
    for (int i = 0; i < 2'000; ++i) lines += "x\n";
    return lines;
  }();
  std::shared_ptr<marked_server> server_ = std::make_shared<marked_server>();
  service_options options_ = options_of(whole_items());
  event next_page_;
};

}  // namespace penstock::ingest

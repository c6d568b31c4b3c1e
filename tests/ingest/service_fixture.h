#pragma once

// A service on a database of its own behind a real server on loopback, and a client that speaks plain HTTP/1.1 to it.

#include <penstock/async/event.h>
#include <penstock/async/task_group.h>
#include <penstock/async/yield.h>
#include <penstock/http/server.h>
#include <penstock/ingest/service.h>
#include <penstock/net/event_loop.h>
#include <penstock/net/listener.h>
#include <penstock/observe/metrics.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <simdjson.h>
#include <sqlite3.h>
#include <zlib.h>
#include <zstd.h>

namespace penstock::ingest {

struct answer {
  int status = 0;
  std::string head;
  std::string body;

  // The value of a header field; empty when it is not there.
  std::string header(const std::string& name) const {
    std::size_t at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return {};
    at += name.size() + 4;
    return head.substr(at, head.find("\r\n", at) - at);
  }
  // A member of the JSON body, as its text; empty when it is not there.
  std::string json(const std::string& pointer) const {
    simdjson::dom::parser parser;
    simdjson::dom::element found;
    simdjson::padded_string padded(body);
    if (parser.parse(padded).at_pointer(pointer).get(found) != simdjson::SUCCESS) return {};
    return simdjson::to_string(found);
  }
};

using header_list = std::vector<std::pair<std::string, std::string>>;

inline stream_definition orders() {
  stream_definition s;
  s.name = "orders";
  s.table = "orders";
  s.key = {"number"};
  s.columns = {{.name = "number", .pointer = "/number", .type = db::column_type::integer, .required = true},
               {.name = "total", .pointer = "/sum/total", .type = db::column_type::real},
               {.name = "paid", .pointer = "/paid", .type = db::column_type::boolean, .default_value = "false"},
               {.name = "at", .pointer = "/at", .type = db::column_type::timestamp},
               {.name = "note", .pointer = "/note"},
               {.name = "raw", .pointer = "", .type = db::column_type::json}};
  return s;
}

inline std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

inline std::string gzip(const std::string& text) {
  z_stream z{};
  deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&z, text.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

class service_test : public ::testing::Test {
 protected:
  service_test() {
    char name[] = "/tmp/penstock-service-XXXXXX";
    folder_ = mkdtemp(name);
  }
  ~service_test() override { std::filesystem::remove_all(folder_); }

  std::string database_file() const { return folder_ + "/test.db"; }

  // Serves the streams while `body` runs, then stops as `penstock serve` does.
  void serve(service_options options, std::function<task<void>()> body) {
    serve(db::database("sqlite:" + database_file()), std::move(options), std::move(body));
  }
  void serve(db::database database, service_options options, std::function<task<void>()> body) {
    net::run(serve_while(std::move(database), std::move(options), std::move(body)));
  }

  task<answer> post(std::string path, std::string body, std::string type = "application/json", header_list more = {}) {
    std::string head = "POST " + path + " HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: " +
                       std::to_string(body.size()) + "\r\n";
    if (!type.empty()) head += "Content-Type: " + type + "\r\n";
    for (auto& [name, value] : more) head += name + ": " + value + "\r\n";
    task<answer> asking = ask(head + "\r\n" + body);
    co_return co_await std::move(asking);
  }
  task<answer> get(std::string path, std::string accept = "*/*") {
    task<answer> asking = ask("GET " + path + " HTTP/1.0\r\nHost: test\r\nAccept: " + accept + "\r\n\r\n");
    co_return co_await std::move(asking);
  }
  // The second part is sent when the service has read the first.
  task<answer> ask_in_two(std::string first, std::string rest) {
    task<std::unique_ptr<net::stream>> connecting = net::connect(*where_);
    std::unique_ptr<net::stream> stream = co_await std::move(connecting);
    task<void> beginning = stream->write(net::bytes_of(first));
    co_await std::move(beginning);
    for (int turn = 0; turn < 100; ++turn) co_await yield();  // of the loop that both are on
    task<answer> asking = ask_on(*stream, std::move(rest));
    co_return co_await std::move(asking);
  }
  // Sends the body when the service has begun to take the request, and `go` is set; `begun` counts those.
  task<answer> post_when(event& go, std::size_t& begun, std::string path, std::string body) {
    task<std::unique_ptr<net::stream>> connecting = net::connect(*where_);
    std::unique_ptr<net::stream> stream = co_await std::move(connecting);
    std::string head = "POST " + path +
                       " HTTP/1.1\r\nHost: test\r\nConnection: close\r\nExpect: 100-continue\r\n"
                       "Content-Type: application/json\r\nContent-Length: " +
                       std::to_string(body.size()) + "\r\n\r\n";
    task<void> beginning = stream->write(net::bytes_of(head));
    co_await std::move(beginning);
    std::vector<std::byte> invitation(1024);
    task<std::size_t> reading = stream->read_some(invitation);
    co_await std::move(reading);
    ++begun;
    co_await go.wait();
    task<answer> asking = ask_on(*stream, std::move(body));
    co_return co_await std::move(asking);
  }
  task<answer> ask(std::string request) {
    task<std::unique_ptr<net::stream>> connecting = net::connect(*where_);
    std::unique_ptr<net::stream> stream = co_await std::move(connecting);
    task<answer> asking = ask_on(*stream, std::move(request));
    co_return co_await std::move(asking);
  }
  static task<answer> ask_on(net::stream& stream, std::string request) {
    task<void> writing = stream.write(net::bytes_of(request));
    co_await std::move(writing);
    std::string all;
    std::vector<std::byte> buffer(65536);
    for (;;) {
      task<std::size_t> reading = stream.read_some(buffer);
      std::size_t n = co_await std::move(reading);
      if (n == 0) break;
      all.append(reinterpret_cast<const char*>(buffer.data()), n);
    }
    std::size_t end = all.find("\r\n\r\n");
    answer a;
    a.status = all.size() > 12 ? std::stoi(all.substr(9, 3)) : 0;
    a.head = all.substr(0, end);
    a.body = end == std::string::npos ? "" : all.substr(end + 4);
    co_return a;
  }

  // The first column of the first row, read from the file by other means than the service's.
  std::string sql(const std::string& statement) const {
    sqlite3* db = nullptr;
    sqlite3_open(database_file().c_str(), &db);
    sqlite3_busy_timeout(db, 10'000);  // Connections of the service are opened while this reads.
    std::string value;
    char* message = nullptr;
    auto take = [](void* out, int, char** columns, char**) {
      *static_cast<std::string*>(out) = columns[0] == nullptr ? "NULL" : columns[0];
      return 0;
    };
    if (sqlite3_exec(db, statement.c_str(), take, &value, &message) != SQLITE_OK) value = message;
    sqlite3_free(message);
    sqlite3_close(db);
    return value;
  }

  metrics::registry registry_;
  service* service_ = nullptr;

 private:
  task<void> serve_while(db::database database, service_options options, std::function<task<void>()> body) {
    service s(std::move(database), std::move(options), &registry_);
    service_ = &s;
    co_await s.open();
    http::router routes;
    s.add_routes(routes);
    http::server server(std::move(routes));
    std::unique_ptr<net::listener> listener = net::listen(net::endpoint::parse("127.0.0.1:0"));
    where_ = listener->local_endpoint();
    co_await with_task_group([&](task_group& committing) -> task<void> {
      committing.start(s.run(), "service");
      std::exception_ptr failure;
      try {
        co_await with_task_group([&](task_group& serving) -> task<void> {
          serving.start(server.serve(*listener), "server");
          co_await body();
          server.stop();
        });
      } catch (...) {
        failure = std::current_exception();
      }
      s.stop();
      if (failure) std::rethrow_exception(failure);
    });
    service_ = nullptr;
  }

  std::string folder_;
  std::optional<net::endpoint> where_;
};

inline stream_definition whole_items() {
  stream_definition whole;
  whole.name = "items";
  whole.table = "processed_data";
  return whole;
}

inline service_options options_of(stream_definition stream) {
  service_options options;
  options.streams.push_back(std::move(stream));
  return options;
}

}  // namespace penstock::ingest

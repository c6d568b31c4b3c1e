#pragma once

// The clients of the ingest simulation: each sends its requests one after another, repeats what may be repeated until
// it is answered, and notes what it was told of each item.

#include "ingest_items.h"
#include <penstock/async/timeout.h>
#include <penstock/http/client.h>
#include <penstock/http/client_error.h>
#include <penstock/testing/network.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <simdjson.h>

namespace penstock::testing {

using namespace std::chrono_literals;

class ingest_client {
 public:
  // All of it outlives the client. Requests that may be repeated are given up at `until`.
  ingest_client(network& net, std::string host, random_stream& random, sent_so_far& sent)
      : host_(std::move(host)), client_(options_of(net, host_, random)), random_(random), sent_(sent) {}

  task<void> send_requests(std::size_t count, const bool& healed) {
    for (std::size_t i = 0; i < count; ++i) {
      co_await sleep_for(random_.between(0ms, 400ms));
      std::size_t number = sent_.requests.size();
      sent_.requests.push_back(new_request(random_, host_, sent_));
      task<void> sending = send(number, healed);
      co_await std::move(sending);
    }
    task<void> closing = client_.close();
    co_await std::move(closing);
  }

 private:
  static http::client_options options_of(network& net, const std::string& host, random_stream& random) {
    http::client_options options;
    options.request_timeout = random.chance(0.5) ? 40s : 3s;
    options.connect = net.connector(host);
    return options;
  }

  task<void> send(std::size_t number, const bool& healed) {
    duration pause = 50ms;
    for (int after_heal = 0; after_heal < 60;) {
      task<bool> trying = attempt(number);
      bool done = co_await std::move(trying);
      if (done || !sent_.requests[number].may_be_repeated()) co_return;
      co_await sleep_for(random_.between(pause / 2, pause));
      pause = std::min<duration>(pause * 2, 2s);
      after_heal += healed ? 1 : 0;
    }
    sent_.surprises.push_back("request " + std::to_string(number) + ", of " +
                              std::to_string(sent_.requests[number].ids.size()) +
                              " items, was not answered long after all was well; last: " + last_);
  }

  // True when there is a last word on every item.
  task<bool> attempt(std::size_t number) {
    sent_request r = sent_.requests[number];
    http::client_request request("POST", "http://server:80/v1/" + r.stream + "?results=all", body_of(r, sent_));
    request.headers.emplace_back("Content-Type", r.form == "lines" ? "application/x-ndjson" : "application/json");
    if (!r.idempotency_key.empty()) request.headers.emplace_back("Idempotency-Key", r.idempotency_key);
    std::optional<http::client_response> answer;
    told without = told::unknown;
    try {
      task<http::client_response> asking = client_.send(std::move(request));
      answer = co_await std::move(asking);
      last_ = std::to_string(answer->status) + " " + answer->body.substr(0, 300);
    } catch (const http::client_error& e) {
      last_ = e.what();
      if (e.errc() == http::client_errc::connect_failed || e.errc() == http::client_errc::resolve_failed)
        without = told::absent;
    }
    if (answer) co_return note(number, *answer);
    for (const std::string& id : r.ids) sent_.items[id].learn(without);
    co_return false;
  }

  bool note(std::size_t number, const http::client_response& answer) {
    sent_request& r = sent_.requests[number];
    simdjson::dom::parser parser;
    simdjson::padded_string padded(answer.body);
    simdjson::dom::element document;
    if (parser.parse(padded).get(document) != simdjson::SUCCESS) return surprise(number, answer, "is no JSON");
    if (answer.status == 422 && r.form == "one") {
      sent_.items[r.ids.front()].learn(told::rejected);
      return r.answered = true;
    }
    if (answer.status == 408) {  // the body came too slowly; what had come is stored
      for (const std::string& id : r.ids) sent_.items[id].learn(told::unknown);
      return false;
    }
    if (answer.status == 413 && !r.idempotency_key.empty()) {  // more than one transaction takes
      for (const std::string& id : r.ids) sent_.items[id].learn(told::rejected);
      return r.answered = true;
    }
    simdjson::dom::array results;
    if (document["results"].get(results) != simdjson::SUCCESS) {
      if (answer.status != 503) return surprise(number, answer, "has no results");
      for (const std::string& id : r.ids) sent_.items[id].learn(told::absent);
      return false;
    }
    if (answer.status != 200 && answer.status != 503) return surprise(number, answer, "has an odd status");
    bool has_only_counts = !r.idempotency_key.empty() && answer.status == 200 && results.size() == 0 &&
                           document["results_truncated"].error() == simdjson::SUCCESS;
    if (has_only_counts) return note_counts(number, answer, document);
    std::vector<bool> seen(r.ids.size(), false);
    for (simdjson::dom::element result : results) {
      std::uint64_t index = result["index"].get_uint64().value();
      if (index >= seen.size() || seen[index]) return surprise(number, answer, "has results of no item");
      seen[index] = true;
      learn(sent_.items[r.ids[index]], result);
    }
    if (std::find(seen.begin(), seen.end(), false) != seen.end()) return surprise(number, answer, "lacks results");
    return r.answered = answer.status == 200;
  }

  // The database refused the answer with its results.
  bool note_counts(std::size_t number, const http::client_response& answer, simdjson::dom::element document) {
    sent_request& r = sent_.requests[number];
    std::uint64_t stored = document["stored"].get_uint64().value() + document["duplicates"].get_uint64().value();
    std::uint64_t rejected = document["rejected"].get_uint64().value();
    if (stored + rejected != r.ids.size()) return surprise(number, answer, "counts other items");
    told fate = rejected == 0 ? told::stored : stored == 0 ? told::rejected : told::unknown;
    for (const std::string& id : r.ids) sent_.items[id].learn(fate);
    return r.answered = true;
  }

  static void learn(sent_item& item, simdjson::dom::element result) {
    std::string_view status = result["status"].get_string().value();
    if (status == "stored" || status == "duplicate") return item.learn(told::stored);
    if (status == "rejected") return item.learn(told::rejected);
    bool unknown = result["error"]["code"].get_string().value() == "ingest.outcome_unknown";
    item.learn(unknown ? told::unknown : told::absent);
  }

  bool surprise(std::size_t number, const http::client_response& answer, std::string_view what) {
    sent_.surprises.push_back("the answer to request " + std::to_string(number) + " " + std::string(what) + ": " +
                              std::to_string(answer.status) + " " + answer.body.substr(0, 300));
    for (const std::string& id : sent_.requests[number].ids) sent_.items[id].learn(told::unknown);
    return false;
  }

  std::string host_;
  http::client client_;
  random_stream& random_;
  sent_so_far& sent_;
  std::string last_;  // what came of the last attempt
};

}  // namespace penstock::testing

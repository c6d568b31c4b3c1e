#pragma once

// What the clients of the ingest simulation know of their items: which were sent, and what they were told of each.

#include <penstock/testing/random_stream.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::testing {

// What an item's client knows of it.
enum class told : std::uint8_t {
  nothing,   // never sent
  absent,    // rejected, or surely not stored by any attempt so far
  unknown,   // an attempt was not answered, or with "outcome unknown"
  rejected,  // for good
  stored,    // acknowledged
};

struct sent_item {
  std::string payload;
  bool good = true;  // as JSON for its stream
  told fate = told::nothing;

  // What an attempt has come to; one that says nothing does not take back that an earlier one may have stored it.
  void learn(told now) {
    if (fate == told::stored || fate == told::rejected) return;
    if (fate == told::unknown && now == told::absent) return;
    fate = now;
  }
};

// Items of one request, in order. Each id is unique in the run.
struct sent_request {
  std::string stream;  // "plain" without a key, "keyed" with a unique one
  std::string idempotency_key;
  std::string form;  // "one", "array" or "lines"
  std::vector<std::string> ids;
  bool answered = false;

  // Sent again until it is answered: no repeat is stored twice.
  bool may_be_repeated() const { return stream == "keyed" || !idempotency_key.empty(); }
};

// All that one run's clients have sent.
struct sent_so_far {
  std::map<std::string, sent_item> items;
  std::vector<sent_request> requests;
  std::vector<std::string> surprises;  // answers that no fault explains
};

inline std::string text_of(random_stream& from, std::size_t most) {
  std::string text(1 + from.below(most), ' ');
  for (char& c : text) c = static_cast<char>('a' + from.below(26));
  return text;
}

inline std::string json_of(const std::string& id, const sent_item& item) {
  // A number where the stream has a text.
  if (!item.good) return R"({"id":")" + id + R"(","payload":17})";
  return R"({"id":")" + id + R"(","payload":")" + item.payload + R"("})";
}

// The body of a request, in its form.
inline std::string body_of(const sent_request& r, const sent_so_far& sent) {
  std::string body;
  for (const std::string& id : r.ids) {
    if (!body.empty()) body += r.form == "lines" ? "\n" : ",";
    body += json_of(id, sent.items.at(id));
  }
  return r.form == "array" ? "[" + body + "]" : body;
}

// A request of a few new items; most of them good.
inline sent_request new_request(random_stream& from, const std::string& client, sent_so_far& sent) {
  sent_request r;
  r.stream = from.chance(0.5) ? "plain" : "keyed";
  if (from.chance(0.4)) r.idempotency_key = client + "-key-" + std::to_string(sent.requests.size());
  constexpr std::string_view forms[] = {"one", "array", "lines"};
  r.form = forms[from.below(3)];
  std::size_t most = from.chance(0.1) ? 150 : 12;  // several batches, in many runs
  std::size_t count = r.form == "one" ? 1 : 1 + from.below(most);
  for (std::size_t i = 0; i < count; ++i) {
    std::string id = client + "-" + std::to_string(sent.items.size());
    bool good = !from.chance(0.05);
    sent.items[id] = {text_of(from, from.chance(0.1) ? 4'000 : 60), good};
    r.ids.push_back(std::move(id));
  }
  return r;
}

}  // namespace penstock::testing

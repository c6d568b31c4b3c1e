// An item reaches the server byte for byte, save that line breaks between its tokens become spaces: a body of NDJSON
// has a line for each item.

#include "app/load/json_reader.h"

#include <cstring>
#include <string>

namespace penstock::app::load {

json_reader::json_reader(ingest::body_format format, std::size_t most_item_bytes)
    : splitter_(format, most_item_bytes), most_item_bytes_(most_item_bytes) {}

bool json_reader::fill(batch& into, const batch_limits& limits) {
  while (!into.full(limits)) {
    std::optional<ingest::body_item> item = splitter_.next();
    if (!item) {
      if (splitter_.error() && !error_told_) {
        error_told_ = true;
        const ingest::body_error& e = *splitter_.error();
        into.reject(load_errc::malformed, e.line, e.message + "; nothing from here on was read", {});
      }
      return false;
    }
    take(*item, into);
  }
  return true;
}

void json_reader::take(const ingest::body_item& item, batch& into) {
  if (item.too_large) {
    into.reject(load_errc::too_large, item.line,
                "the item is longer than --max-item-bytes (" + std::to_string(most_item_bytes_) + ")", item.text);
    return;
  }
  if (item.text.find('\n') == std::string_view::npos) return into.add(item.text, item.line);
  if (append_on_one_line(item.text, into.body)) return into.end_item(item.line);
  into.reject(load_errc::bad_item, item.line, "there is a line break inside a string", item.text);
}

bool append_on_one_line(std::string_view text, std::string& body) {
  std::size_t before = body.size();
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (in_string && c == '\\' && i + 1 < text.size()) {
      body.push_back(c);
      c = text[++i];
    } else if (c == '"') {
      in_string = !in_string;
    } else if (c == '\n' && !in_string) {
      c = ' ';
    }
    if (c == '\n') {
      body.resize(before);
      return false;
    }
    body.push_back(c);
  }
  return true;
}

}  // namespace penstock::app::load

#pragma once

// Reads NDJSON and JSON arrays. Items are cut out and passed on as they stand, good or bad; the server parses them.

#include "app/load/item_reader.h"
#include <penstock/ingest/item_splitter.h>

#include <optional>

namespace penstock::app::load {

/// Reads one JSON or NDJSON file.
class json_reader final : public item_reader {
 public:
  json_reader(ingest::body_format format, std::size_t most_item_bytes);

  void feed(std::string_view piece) override { splitter_.feed(piece); }
  void finish() override { splitter_.finish(); }
  bool fill(batch& into, const batch_limits& limits) override;
  bool given_up() const noexcept override { return splitter_.error().has_value(); }

 private:
  void take(const ingest::body_item& item, batch& into);

  ingest::item_splitter splitter_;
  std::size_t most_item_bytes_;
  bool error_told_ = false;
};

/// Appends JSON text to `body` with the line breaks between its tokens made spaces. False, with `body` as it was, when
/// there is one inside a string, which JSON forbids (RFC 8259, section 7).
bool append_on_one_line(std::string_view text, std::string& body);

}  // namespace penstock::app::load

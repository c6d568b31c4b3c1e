#pragma once

// The items of one request, with where each came from. Used again and again, so that nothing is allocated per item.
//
//   batch b;
//   b.add(R"({"id":1})", 17);
//   b.text_of(0);                 // {"id":1}

#include "app/load/error.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::app::load {

/// When a batch is full: once it holds so many items or bytes. The last item may go beyond.
struct batch_limits {
  std::size_t items = 10'000;
  std::size_t bytes = 1'000'000;
};

/// An item that was not stored, and why.
struct rejection {
  std::uint64_t line = 0;  ///< Where it begins in its file; 1 is the first.
  std::string code;
  std::string message;
  std::string pointer = {};  ///< Where in the item (RFC 6901).
  std::string item = {};     ///< As it stood in the file; for a CSV row that the server refused, as it was sent.
};

/// Items of one file in the form they are sent in, NDJSON.
class batch {
 public:
  void clear() {
    body.clear();
    items.clear();
    rejected.clear();
    file = 0;
    source_bytes = 0;
    last_line = 0;
  }
  bool empty() const noexcept { return items.empty() && rejected.empty(); }
  bool full(const batch_limits& limits) const noexcept {
    return items.size() >= limits.items || body.size() >= limits.bytes || rejected.size() >= limits.items;
  }
  /// Adds an item, which holds no line break.
  void add(std::string_view item, std::uint64_t line) {
    body.append(item);
    end_item(line);
  }
  /// Ends an item whose text was appended to `body`.
  void end_item(std::uint64_t line) {
    items.push_back({line, body.size()});
    body.push_back('\n');
    last_line = line;
  }
  /// Notes an item that is not worth sending.
  void reject(load_errc why, std::uint64_t line, std::string message, std::string_view item, std::string pointer = {}) {
    rejected.push_back({line, std::string(code_name(why)), std::move(message), std::move(pointer), std::string(item)});
    last_line = line;
  }

  std::string_view text_of(std::size_t index) const noexcept {
    return std::string_view(body).substr(begin_of(index), items[index].end - begin_of(index));
  }
  /// So many items from `first` on as a batch of their own. What was read beside the items goes with the first of them.
  batch part(std::size_t first, std::size_t count) const {
    batch b;
    std::size_t begin = begin_of(first);
    b.body = body.substr(begin, begin_of(first + count) - begin);
    b.items.reserve(count);
    for (std::size_t i = first; i < first + count; ++i) b.items.push_back({items[i].line, items[i].end - begin});
    b.file = file;
    b.last_line = items[first + count - 1].line;
    if (first > 0) return b;
    b.rejected = rejected;
    b.source_bytes = source_bytes;
    return b;
  }

  /// These items, and nothing that was read beside them, as a batch of their own.
  batch only(const std::vector<std::size_t>& indexes) const {
    batch b;
    b.file = file;
    for (std::size_t index : indexes) b.add(text_of(index), items[index].line);
    return b;
  }

  struct item {
    std::uint64_t line;  ///< Where it begins in its file.
    std::size_t end;     ///< Behind its last byte in `body`.
  };

  std::string body;
  std::vector<item> items;
  std::vector<rejection> rejected;  ///< Found bad while reading.
  std::size_t file = 0;             ///< The file's number among those given.
  std::uint64_t source_bytes = 0;   ///< Of the file as it lies on the disk, read for this batch.
  std::uint64_t last_line = 0;      ///< Of the last item, good or bad.

 private:
  std::size_t begin_of(std::size_t index) const noexcept { return index == 0 ? 0 : items[index - 1].end + 1; }
};

}  // namespace penstock::app::load

#include "binding.h"

#include "../cell_kinds.h"

#include <charconv>
#include <cmath>
#include <type_traits>

#include <sqlite3.h>

namespace penstock::db::sqlite {
namespace {

// SQLite takes a null pointer for NULL; what is empty still has a place.
const char* not_null(const char* data) { return data == nullptr ? "" : data; }

int bind_text(sqlite3_stmt* statement, int index, std::string_view text) {
  return sqlite3_bind_text64(statement, index, not_null(text.data()), text.size(), SQLITE_STATIC, SQLITE_UTF8);
}

int bind_timestamp(sqlite3_stmt* statement, int index, timestamp t, timestamp_texts& texts) {
  std::array<char, 32>& text = texts[static_cast<std::size_t>(index) - 1];
  std::size_t size = write_timestamp(t, text);
  return sqlite3_bind_text64(statement, index, text.data(), size, SQLITE_STATIC, SQLITE_UTF8);
}

// Where SQLite would write it itself, to fifteen digits.
int bind_real_as_text(sqlite3_stmt* statement, int index, double real, timestamp_texts& texts) {
  std::array<char, 32>& text = texts[static_cast<std::size_t>(index) - 1];
  char* end = std::to_chars(text.data(), text.data() + text.size(), real).ptr;
  auto size = static_cast<sqlite3_uint64>(end - text.data());
  return sqlite3_bind_text64(statement, index, text.data(), size, SQLITE_STATIC, SQLITE_UTF8);
}

// The whole of the text is one, and not infinite.
template <class Number>
bool is_number(std::string_view text, Number& n) noexcept {
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), n);
  return failed == std::errc() && end == text.data() + text.size() && std::isfinite(static_cast<double>(n));
}

// SQLite would read it itself: an overflow as infinity, and to fewer digits.
int bind_text_as(sqlite3_stmt* statement, int index, std::string_view text, column_type column) {
  std::int64_t whole = 0;
  double real = 0;
  if (column == column_type::integer && is_number(text, whole)) return sqlite3_bind_int64(statement, index, whole);
  if (column == column_type::real && is_number(text, real)) return sqlite3_bind_double(statement, index, real);
  return SQLITE_MISMATCH;
}

}  // namespace

int bind_cell_to(sqlite3_stmt* statement, int index, const cell& c, column_type column, timestamp_texts& texts) {
  bool is_numeric = column == column_type::integer || column == column_type::real || column == column_type::boolean;
  if (is_numeric && c.type == cell::kind::text) return bind_text_as(statement, index, c.text(), column);
  bool is_number = c.type == cell::kind::integer || c.type == cell::kind::real || c.type == cell::kind::boolean;
  if (column == column_type::timestamp && is_number) return SQLITE_MISMATCH;
  if (column == column_type::boolean && is_number && !is_truth(c)) return SQLITE_MISMATCH;
  if (column == column_type::real && c.type == cell::kind::integer && !is_exact_as_real(c.integer))
    return SQLITE_MISMATCH;
  bool is_text = column == column_type::text || column == column_type::json;
  if (is_text && c.type == cell::kind::real && std::isfinite(c.real))
    return bind_real_as_text(statement, index, c.real, texts);
  return bind_cell(statement, index, c, texts);
}

int bind_cell(sqlite3_stmt* statement, int index, const cell& c, timestamp_texts& texts) {
  switch (c.type) {
    case cell::kind::null:
      return sqlite3_bind_null(statement, index);
    case cell::kind::boolean:
    case cell::kind::integer:
      return sqlite3_bind_int64(statement, index, c.integer);
    case cell::kind::real:
      return sqlite3_bind_double(statement, index, c.real);
    case cell::kind::text:
      return bind_text(statement, index, c.text());
    case cell::kind::timestamp:
      return bind_timestamp(statement, index, timestamp(std::chrono::microseconds(c.integer)), texts);
    case cell::kind::blob:
      return sqlite3_bind_blob64(statement, index, not_null(c.data), c.size, SQLITE_STATIC);
  }
  return SQLITE_MISUSE;
}

int bind_value(sqlite3_stmt* statement, int index, const value& v, timestamp_texts& texts) {
  auto bind = [&](const auto& held) {
    using T = std::decay_t<decltype(held)>;
    if constexpr (std::is_same_v<T, std::monostate>)
      return sqlite3_bind_null(statement, index);
    else if constexpr (std::is_same_v<T, std::string>)
      return bind_text(statement, index, held);
    else if constexpr (std::is_same_v<T, double>)
      return sqlite3_bind_double(statement, index, held);
    else if constexpr (std::is_same_v<T, timestamp>)
      return bind_timestamp(statement, index, held, texts);
    else if constexpr (std::is_same_v<T, blob>)
      return sqlite3_bind_blob64(statement, index, not_null(reinterpret_cast<const char*>(held.bytes.data())),
                                 held.bytes.size(), SQLITE_STATIC);
    else
      return sqlite3_bind_int64(statement, index, static_cast<std::int64_t>(held));
  };
  return std::visit(bind, v);
}

value column_value(sqlite3_stmt* statement, int index) {
  switch (sqlite3_column_type(statement, index)) {
    case SQLITE_NULL:
      return std::monostate();
    case SQLITE_INTEGER:
      return static_cast<std::int64_t>(sqlite3_column_int64(statement, index));
    case SQLITE_FLOAT:
      return sqlite3_column_double(statement, index);
    case SQLITE_BLOB: {
      auto* data = static_cast<const std::byte*>(sqlite3_column_blob(statement, index));
      return blob{{data, data + sqlite3_column_bytes(statement, index)}};
    }
    default: {
      auto* data = reinterpret_cast<const char*>(sqlite3_column_text(statement, index));
      return std::string(data, static_cast<std::size_t>(sqlite3_column_bytes(statement, index)));
    }
  }
}

}  // namespace penstock::db::sqlite

#include "binding.h"

#include "calendar.h"
#include "penstock/db/error.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

// Strings are fetched in two steps: the row tells their length, then each is copied into a text of that size.

namespace penstock::db::mariadb {
namespace {

constexpr unsigned binary_charset = 63;

MYSQL_BIND bind_of(enum_field_types type, const void* data, std::size_t size) {
  MYSQL_BIND b{};
  b.buffer_type = type;
  b.buffer = const_cast<void*>(data == nullptr ? "" : data);  // the library only reads parameters
  b.buffer_length = b.length_value = size;
  b.length = nullptr;
  return b;
}

// A whole number when it is one; sums of integers are DECIMAL.
value decimal(std::string text) {
  std::int64_t whole = 0;
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), whole);
  if (failed == std::errc() && end == text.data() + text.size()) return whole;
  return text;
}

// BIT(n): up to 8 bytes, the highest first.
value bits(const std::string& bytes) {
  std::uint64_t number = 0;
  for (unsigned char byte : bytes) number = number << 8 | byte;
  if (number > INT64_MAX) return std::to_string(number);
  return static_cast<std::int64_t>(number);
}

}  // namespace

void bound_parameters::hold(parameters values) {
  values_ = std::move(values);
  times_.resize(values_.size());
  binds_.clear();
  bytes_ = 0;
  for (std::size_t i = 0; i < values_.size(); ++i) binds_.push_back(bind(values_[i], times_[i]));
}

std::string bound_parameters::kinds() const {
  std::string all(1, '\0');
  for (const MYSQL_BIND& b : binds_) all.push_back(static_cast<char>(b.buffer_type));
  return all;
}

MYSQL_BIND bound_parameters::bind(const value& v, MYSQL_TIME& time) {
  auto bind_held = [&](const auto& held) -> MYSQL_BIND {
    using T = std::decay_t<decltype(held)>;
    if constexpr (std::is_same_v<T, std::monostate>) {
      return bind_of(MYSQL_TYPE_NULL, nullptr, 0);
    } else if constexpr (std::is_same_v<T, std::int64_t>) {
      return bind_of(MYSQL_TYPE_LONGLONG, &held, sizeof(held));
    } else if constexpr (std::is_same_v<T, bool>) {
      return bind_of(MYSQL_TYPE_TINY, &held, sizeof(held));
    } else if constexpr (std::is_same_v<T, double>) {
      if (!std::isfinite(held))
        throw database_error(db_errc::data, "MariaDB and MySQL have no number that is infinite or no number");
      return bind_of(MYSQL_TYPE_DOUBLE, &held, sizeof(held));
    } else if constexpr (std::is_same_v<T, timestamp>) {
      std::optional<MYSQL_TIME> made = to_datetime(held);
      if (!made)
        throw database_error(db_errc::data, format_timestamp(held) + ": the years of MariaDB and MySQL are 1 to 9999");
      time = *made;
      return bind_of(MYSQL_TYPE_DATETIME, &time, sizeof(time));
    } else if constexpr (std::is_same_v<T, std::string>) {
      bytes_ += held.size();
      return bind_of(MYSQL_TYPE_STRING, held.data(), held.size());
    } else {
      bytes_ += held.bytes.size();
      return bind_of(MYSQL_TYPE_LONG_BLOB, held.bytes.data(), held.bytes.size());
    }
  };
  return std::visit(bind_held, v);
}

void row_reader::open(MYSQL_STMT* statement) {
  statement_ = statement;
  unsigned count = mysql_stmt_field_count(statement);
  names_.clear();
  columns_.assign(count, {});
  binds_.assign(count, {});
  // The statement's own list keeps the names that columns had when it was prepared.
  const MYSQL* session = statement->mysql;
  bool is_fresh = session->fields != nullptr && session->field_count == count;
  const MYSQL_FIELD* prepared = mariadb_stmt_fetch_fields(statement);
  const MYSQL_FIELD* fields = is_fresh ? session->fields : prepared;
  renamed_ = false;
  for (unsigned i = 0; i < count; ++i) {
    renamed_ = renamed_ || std::strcmp(fields[i].name, prepared[i].name) != 0;
    names_.emplace_back(fields[i].name, fields[i].name_length);
    column& c = columns_[i];
    c.type = fields[i].type;
    c.is_unsigned = (fields[i].flags & UNSIGNED_FLAG) != 0;
    c.is_binary = fields[i].charsetnr == binary_charset && fields[i].type != MYSQL_TYPE_JSON;
    c.is_boolean = fields[i].type == MYSQL_TYPE_TINY && fields[i].length == 1 && !c.is_unsigned;
    bind(c, binds_[i]);
  }
  mysql_stmt_bind_result(statement, binds_.data());
}

void row_reader::bind(column& c, MYSQL_BIND& to) {
  to.is_null = &c.is_null;
  to.length = &c.length;
  switch (c.type) {
    case MYSQL_TYPE_TINY:
    case MYSQL_TYPE_SHORT:
    case MYSQL_TYPE_INT24:
    case MYSQL_TYPE_LONG:
    case MYSQL_TYPE_LONGLONG:
    case MYSQL_TYPE_YEAR:
      to.buffer_type = MYSQL_TYPE_LONGLONG;
      to.buffer = &c.integer;
      to.is_unsigned = c.is_unsigned ? 1 : 0;
      break;
    case MYSQL_TYPE_FLOAT:
    case MYSQL_TYPE_DOUBLE:
      to.buffer_type = MYSQL_TYPE_DOUBLE;
      to.buffer = &c.real;
      break;
    case MYSQL_TYPE_DATE:
    case MYSQL_TYPE_TIME:
    case MYSQL_TYPE_DATETIME:
    case MYSQL_TYPE_TIMESTAMP:
      to.buffer_type = c.type;
      to.buffer = &c.time;
      to.buffer_length = sizeof(c.time);
      break;
    default:
      to.buffer_type = MYSQL_TYPE_STRING;
  }
}

std::vector<value> row_reader::row() {
  std::vector<value> read;
  read.reserve(columns_.size());
  for (std::size_t i = 0; i < columns_.size(); ++i) read.push_back(value_of(i));
  return read;
}

value row_reader::value_of(std::size_t index) {
  const column& c = columns_[index];
  if (c.is_null != 0) return std::monostate();
  switch (binds_[index].buffer_type) {
    case MYSQL_TYPE_LONGLONG:
      if (c.is_boolean && (c.integer == 0 || c.integer == 1)) return c.integer == 1;
      if (c.is_unsigned && c.integer < 0) return std::to_string(static_cast<std::uint64_t>(c.integer));
      return c.integer;
    case MYSQL_TYPE_DOUBLE:
      return c.real;
    case MYSQL_TYPE_DATETIME:
    case MYSQL_TYPE_TIMESTAMP:
      if (std::optional<timestamp> t = from_datetime(c.time)) return *t;
      return format_time(c.time, c.type);
    case MYSQL_TYPE_DATE:
    case MYSQL_TYPE_TIME:
      return format_time(c.time, c.type);
    default:
      break;
  }
  std::string bytes = bytes_of(index);
  if (c.type == MYSQL_TYPE_NEWDECIMAL || c.type == MYSQL_TYPE_DECIMAL) return decimal(std::move(bytes));
  if (c.type == MYSQL_TYPE_BIT) return bits(bytes);
  if (!c.is_binary) return bytes;
  auto* data = reinterpret_cast<const std::byte*>(bytes.data());
  return blob{{data, data + bytes.size()}};
}

std::string row_reader::bytes_of(std::size_t index) {
  std::string bytes(columns_[index].length, '\0');
  if (bytes.empty()) return bytes;
  MYSQL_BIND whole{};
  whole.buffer_type = MYSQL_TYPE_STRING;
  whole.buffer = bytes.data();
  whole.buffer_length = bytes.size();
  unsigned long length = 0;
  my_bool is_null = 0;
  whole.length = &length;
  whole.is_null = &is_null;
  mysql_stmt_fetch_column(statement_, &whole, static_cast<unsigned>(index), 0);
  return bytes;
}

}  // namespace penstock::db::mariadb

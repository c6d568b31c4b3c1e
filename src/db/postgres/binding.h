#pragma once

// Values in PostgreSQL's formats. Binary ones are big-endian; timestamps count microseconds since 2000-01-01.

#include "penstock/db/row_batch.h"
#include "penstock/db/value.h"

#include <cstdint>
#include <string>
#include <vector>

#include <libpq-fe.h>

namespace penstock::db::postgres {

// The type numbers of src/include/catalog/pg_type.dat, which never change.
enum known_oid : Oid {
  bool_oid = 16,
  bytea_oid = 17,
  name_oid = 19,
  int8_oid = 20,
  int2_oid = 21,
  int4_oid = 23,
  text_oid = 25,
  oid_oid = 26,
  json_oid = 114,
  float4_oid = 700,
  float8_oid = 701,
  unknown_oid = 705,
  bpchar_oid = 1042,
  varchar_oid = 1043,
  timestamp_oid = 1114,
  timestamptz_oid = 1184,
  void_oid = 2278,
  jsonb_oid = 3802,
};

constexpr std::int64_t from_1970_to_2000 = 946'684'800'000'000;  // microseconds

// How the values of a type travel; `other` as text, which the server reads.
enum class wire_type : std::uint8_t { boolean, int2, int4, int8, float4, float8, text, bytea, timestamp, other };
wire_type wire_type_of(Oid type) noexcept;

// Appends a value that is not null, as a value of `type`. Gives why it can't be one, empty when it can: what would be
// stored changed does not fit. A text is taken for a number when all of it is one.
std::string append_value(std::string& to, const cell& c, wire_type type);
void append_int32(std::string& to, std::int32_t v);
// Over the four bytes at `at`.
void write_size(std::string& to, std::size_t at, std::size_t size) noexcept;

// As PQsendQueryPrepared takes parameters.
struct bound_values {
  int count = 0;
  const char* const* values = nullptr;
  const int* lengths = nullptr;
  const int* formats = nullptr;
};

// Who makes a value of a type out of a text: the server, which knows more ways to write one, or the driver, as it must
// where values travel in binary arrays.
enum class text_reader : std::uint8_t { server, driver };

// The parameters of one execution; keeps its memory.
class arguments {
 public:
  void clear() noexcept;
  // Gives why the value does not fit; empty when it does. `c` need not outlive the call.
  std::string add(const cell& c, Oid type, text_reader texts);
  // Valid until the next change.
  bound_values bound();

 private:
  struct entry {
    std::size_t offset;
    bool null;
  };
  std::vector<entry> entries_;
  std::vector<const char*> pointers_;
  std::vector<int> lengths_;
  std::vector<int> formats_;
  std::string bytes_;
};

}  // namespace penstock::db::postgres

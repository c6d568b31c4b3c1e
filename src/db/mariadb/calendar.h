#pragma once

// Points in time as MariaDB's calendar has them: years 1 to 9999, without a zone; sessions are in UTC.

#include "penstock/db/value.h"

#include <optional>
#include <span>
#include <string>

#include <mysql.h>

namespace penstock::db::mariadb {

// Nothing for what no DATETIME(6) holds.
std::optional<MYSQL_TIME> to_datetime(timestamp t) noexcept;
// Nothing for a date that does not exist, such as 0000-00-00.
std::optional<timestamp> from_datetime(const MYSQL_TIME& t) noexcept;
// "2026-01-31 09:30:00.000000": 26 characters.
void write_datetime(const MYSQL_TIME& t, std::span<char, 26> to) noexcept;
// A DATE, DATETIME or TIME as the server writes it.
std::string format_time(const MYSQL_TIME& t, enum_field_types type);

}  // namespace penstock::db::mariadb

#pragma once

// Values to and from the binary protocol of prepared statements. What is bound stays where it is until the next
// binding, because a statement that was left by a cancellation may still read it.

#include "penstock/db/connection.h"

#include <cstdint>
#include <string>
#include <vector>

#include <mysql.h>

namespace penstock::db::mariadb {

// The parameters of a statement.
class bound_parameters {
 public:
  // Throws `db_errc::data` for what no column can hold.
  void hold(parameters values);
  std::vector<MYSQL_BIND>& binds() noexcept { return binds_; }
  // What tells apart statements that have equal texts on MySQL, which takes the kinds that a statement's parameters had
  // when it ran first for those of each later run, and converts what is given then
  // (https://dev.mysql.com/doc/refman/8.4/en/prepare.html). Never a zero but the first byte, so that no text with kinds
  // behind it is another one with others.
  std::string kinds() const;
  // Bytes of texts and blobs.
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  MYSQL_BIND bind(const value& v, MYSQL_TIME& time);

  parameters values_;
  std::vector<MYSQL_TIME> times_;
  std::vector<MYSQL_BIND> binds_;
  std::size_t bytes_ = 0;
};

// Reads the rows of a statement that was executed.
class row_reader {
 public:
  // Binds the statement's columns. A reader serves one statement at a time, and outlives the reading.
  void open(MYSQL_STMT* statement);
  const std::vector<std::string>& columns() const noexcept { return names_; }
  // True where the columns have other names by now than when the statement was prepared.
  bool renamed() const noexcept { return renamed_; }
  // The row that was fetched last.
  std::vector<value> row();

 private:
  struct column {
    enum_field_types type;
    bool is_unsigned;
    bool is_binary;
    bool is_boolean;
    my_bool is_null;
    unsigned long length;
    std::int64_t integer;
    double real;
    MYSQL_TIME time;
  };

  void bind(column& c, MYSQL_BIND& to);
  value value_of(std::size_t index);
  std::string bytes_of(std::size_t index);

  MYSQL_STMT* statement_ = nullptr;
  bool renamed_ = false;
  std::vector<std::string> names_;
  std::vector<column> columns_;
  std::vector<MYSQL_BIND> binds_;
};

}  // namespace penstock::db::mariadb

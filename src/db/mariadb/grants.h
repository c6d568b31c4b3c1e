#pragma once

// What an account may do to a table that is not there, and to the server as a whole, which the server can't be asked
// otherwise than by SHOW GRANTS.

#include <string>
#include <string_view>
#include <vector>

namespace penstock::db::mariadb {

class grants {
 public:
  // A line of SHOW GRANTS, whatever quotes its names are in.
  void add(std::string_view line);
  // Whether one of the lines gives the right ("CREATE") to such a table of the database, and none takes it away.
  bool give(std::string_view right, std::string_view database, std::string_view table) const;
  // Whether one of the lines gives the right ("SUPER") for all that the server has.
  bool give_everywhere(std::string_view right) const;

 private:
  struct privileges {
    std::vector<std::string> rights;
    std::string database;  // a pattern, as LIKE has it
    std::string table;     // "*" for all
    bool are_global = false;
  };
  static bool are_among(const privileges& some, std::string_view right);
  static bool are_for(const privileges& some, std::string_view right, std::string_view database,
                      std::string_view table);

  std::vector<privileges> given_;
  std::vector<privileges> revoked_;  // for single databases, by MySQL's partial_revokes
};

}  // namespace penstock::db::mariadb

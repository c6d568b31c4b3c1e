#include "../statement_effects.h"
#include "penstock/db/error.h"
#include "session.h"

#include <algorithm>
#include <charconv>
#include <string_view>

// What statements set for their session and we go by. The server tells of such changes with its answers, but not of
// what a procedure sets, nor MariaDB of `SET @@name = …` (seen with 10.11): before a batch, and the next statement, it
// is asked.

namespace penstock::db::mariadb {
namespace {

constexpr std::string_view our_characters = "utf8mb4";

// Without the first the server cuts values so that they fit; without the other it does not take the names in batches.
constexpr std::string_view modes_of_batches[] = {"STRICT_ALL_TABLES", "ANSI_QUOTES"};
constexpr std::string_view empty_is_null = "EMPTY_STRING_IS_NULL";
constexpr std::string_view no_limit = "18446744073709551615";

bool is_utc(std::string_view zone) noexcept { return zone == "+00:00" || zone == "UTC"; }

// What is wrong for batches with a setting's value; empty where nothing is. In another time zone moments are moved, and
// by a limit a row is not found to be there already.
std::string fault_for_batches(std::string_view name, const std::string& value) {
  if (name == "sql_mode")
    for (std::string_view mode : modes_of_batches)
      if (value.find(mode) == std::string::npos) return "lacks " + std::string(mode);
  if (name == "sql_mode" && value.find(empty_is_null) != std::string::npos) return "has " + std::string(empty_is_null);
  bool is_other = (name == "time_zone" && !is_utc(value)) || (name == "sql_select_limit" && value != no_limit);
  return is_other ? "is '" + value + "'" : std::string();
}

}  // namespace

// Of the statement that is about to run.
void session::note_traces() {
  if (!leaves_traces(text_)) return;
  altered_ = true;
  lock_wait_.reset();  // it may have been set to another
  settings_may_differ_ = true;
  set_without_word_ = set_without_word_ || (facts_.is_mariadb && text_.find("@@") != std::string::npos);
}

void session::note_settings() {
  for (const auto& [name, value] : wire_->settings_told()) note_setting(name, value);
}

void session::note_setting(std::string_view name, const std::string& value) {
  if (name == "auto_increment_increment")
    std::from_chars(value.data(), value.data() + value.size(), facts_.id_step);
  else if (name.starts_with("character_set_") && value != our_characters)
    other_characters_[std::string(name)] = value;
  else if (name.starts_with("character_set_"))
    other_characters_.erase(std::string(name));
  else if (std::string fault = fault_for_batches(name, value); !fault.empty())
    faults_for_batches_[std::string(name)] = std::move(fault);
  else
    faults_for_batches_.erase(std::string(name));
}

// By a sql_select_limit of 0 there would be no row; and in a character set such as UTF-16, names and values come with
// zero bytes between their letters.
task<void> session::look_at_settings() {
  constexpr std::string_view names[] = {"character_set_client",
                                        "character_set_connection",
                                        "character_set_results",
                                        "auto_increment_increment",
                                        "time_zone",
                                        "sql_mode",
                                        "sql_select_limit"};
  std::string text;
  for (std::string_view name : names) text.append(text.empty() ? "SELECT @@" : ", @@").append(name);
  task<void> asking = run_text(text + " LIMIT 1", "look at the session's settings");
  co_await std::move(asking);
  const text_result& told = answers_.front();
  if (told.rows.size() != 1 || told.rows[0].size() != std::size(names))
    throw database_error(db_errc::other, at_.to_string() + ": the server does not tell the session's settings");
  for (std::size_t i = 0; i < std::size(names); ++i) {
    std::string value = told.rows[0][i].value_or("");
    value.erase(std::remove(value.begin(), value.end(), '\0'), value.end());
    note_setting(names[i], value);
  }
  settings_may_differ_ = set_without_word_ = false;
}

// In other sets our texts are other ones, or none; and a byte of theirs may take the backslash in that is to keep a
// quote from ending its text.
void session::require_known_characters(const std::string& doing) const {
  if (other_characters_.empty()) return;
  const auto& [name, value] = *other_characters_.begin();
  throw database_error(db_errc::other, at_.to_string() + ", " + doing + ": texts would be garbled while the " +
                                           "session's " + name + " is '" + value +
                                           "': SET NAMES utf8mb4, or reset the session");
}

void session::require_settings_of_batches(const std::string& doing) const {
  require_known_characters(doing);
  if (faults_for_batches_.empty()) return;
  const auto& [name, fault] = *faults_for_batches_.begin();
  throw database_error(db_errc::other, at_.to_string() + ", " + doing + ": batches can't go in while the session's " +
                                           name + " " + fault + ": reset the session");
}

}  // namespace penstock::db::mariadb

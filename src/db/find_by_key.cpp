#include "key_search.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <span>
#include <utility>

// Values are looked up in lists of 1, 2, 4 … of them, the last one repeated, so that few different statements are
// prepared.

namespace penstock::db {
namespace {

constexpr std::size_t most_values_of_a_query = 1'024;

}  // namespace

task<result> connection::find_by_key(const table_definition& in, std::vector<std::string> columns, parameters first,
                                     std::vector<std::string> last) {
  require_start_of_key(in, first);
  const std::string start = "SELECT " + list_of_columns(columns) + " FROM " + quoted_table(in.name) + " WHERE " +
                            start_of_key(in) + quote_identifier(in.unique_key.back()) + " IN (";
  result found;
  for (std::span<std::string> rest(last); !rest.empty();) {
    std::span<std::string> some = rest.first(std::min(rest.size(), most_values_of_a_query));
    rest = rest.subspan(some.size());
    std::string sql = start;
    parameters values = first;
    for (std::size_t i = 0; i < std::bit_ceil(some.size()); ++i) {
      sql += i == 0 ? "?" : ", ?";
      values.emplace_back(some[std::min(i, some.size() - 1)]);
    }
    sql += ")";
    task<result> asking = query(std::move(sql), std::move(values));
    result more = co_await std::move(asking);
    found.columns = std::move(more.columns);
    std::move(more.rows.begin(), more.rows.end(), std::back_inserter(found.rows));
  }
  co_return found;
}

}  // namespace penstock::db

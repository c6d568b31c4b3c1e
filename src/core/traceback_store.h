#pragma once

// Where the traceback of an exception object is kept: a table beside the objects, since an exception may be of any
// type. Invariant: an entry exists only while its exception object lives. The first entry for an object replaces
// the destructor that the C++ runtime calls for it (Itanium C++ ABI, 2.2.1, `exceptionDestructor`) by one that
// drops the entry and then calls the original. Taking an exception's pointer keeps the object alive, so an entry is
// never looked up for a dead object or for another one at the same address.

#include "penstock/core/traceback.h"

#include <cstddef>
#include <exception>
#include <functional>
#include <string>
#include <vector>

namespace penstock::detail {

// Steps as they were crossed, innermost first. Of a very long way, such as a deep recursion's or that of an exception
// which is kept and thrown again and again, the first and the last steps are kept.
class traceback_steps {
 public:
  void add(traceback_frame frame);
  // Outermost first.
  std::vector<traceback_frame> list() const;

 private:
  static constexpr std::size_t most_first = 100;
  static constexpr std::size_t most_last = 100;
  std::vector<traceback_frame> first_;
  std::vector<traceback_frame> last_;  // a ring once it is full
  std::size_t beyond_first_ = 0;
};

struct traceback_record {
  traceback_steps steps;
  std::vector<std::exception_ptr> beside;
  std::string next_note;
  const void* newest_task = nullptr;
};

// Runs `visit` on the record of an exception under the table's lock, making the record first if `create`. Returns
// false when there is none. `visit` must not throw away the last reference to any exception.
bool with_traceback_record(const std::exception_ptr& error, bool create,
                           const std::function<void(traceback_record&)>& visit);

}  // namespace penstock::detail

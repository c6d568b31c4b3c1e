#pragma once

// Where the traceback of an exception object is kept: a table beside the objects, since an exception may be of any
// type. Invariant: an entry exists only while its exception object lives. The first entry for an object replaces
// the destructor that the C++ runtime calls for it (Itanium C++ ABI, 2.2.1, `exceptionDestructor`) by one that
// drops the entry and then calls the original. Taking an exception's pointer keeps the object alive, so an entry is
// never looked up for a dead object or for another one at the same address.

#include "penstock/core/traceback.h"

#include <exception>
#include <functional>
#include <string>
#include <vector>

namespace penstock::detail {

struct traceback_record {
  std::vector<traceback_frame> frames;  // innermost first, as they were crossed
  std::vector<std::exception_ptr> beside;
  std::string next_note;
  const void* newest_task = nullptr;
};

// Runs `visit` on the record of an exception under the table's lock, making the record first if `create`. Returns
// false when there is none. `visit` must not throw away the last reference to any exception.
bool with_traceback_record(const std::exception_ptr& error, bool create,
                           const std::function<void(traceback_record&)>& visit);

}  // namespace penstock::detail

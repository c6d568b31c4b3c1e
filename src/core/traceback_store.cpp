#include "traceback_store.h"

#include <cstddef>
#include <cstring>
#include <mutex>
#include <new>
#include <typeinfo>
#include <unordered_map>
#include <utility>

#include <unwind.h>

namespace penstock::detail {
namespace {

using exception_destructor = void (*)(void*);

// The header that the C++ runtime keeps before every exception object: Itanium C++ ABI, Exception Handling, 2.2.1.
struct exception_header {
  const std::type_info* type;
  exception_destructor destructor;
  void (*unexpected_handler)();
  void (*terminate_handler)();
  exception_header* next;
  int handler_count;
  int handler_switch_value;
  const unsigned char* action_record;
  const unsigned char* language_specific_data;
  _Unwind_Ptr catch_temp;
  void* adjusted_pointer;
  _Unwind_Exception unwind_header;
};

struct entry {
  traceback_record record;
  exception_destructor original = nullptr;
};

struct table {
  std::mutex mutex;
  std::unordered_map<void*, entry> entries;
};

// Never destroyed: exceptions may outlive every static object.
table& the_table() {
  static table* instance = new table;
  return *instance;
}

void* object_of(const std::exception_ptr& error) {
  static_assert(sizeof(std::exception_ptr) == sizeof(void*));
  void* object = nullptr;
  // The pointer inside is read, not the object copied.
  std::memcpy(static_cast<void*>(&object), static_cast<const void*>(&error), sizeof(object));
  return object;
}

exception_header& header_of(void* object) {
  return *reinterpret_cast<exception_header*>(static_cast<std::byte*>(object) - sizeof(exception_header));
}

void on_exception_destroyed(void* object) {
  table& t = the_table();
  entry dropped;  // Attached failures end outside the lock: their own destructors come here again.
  {
    std::lock_guard lock(t.mutex);
    auto found = t.entries.find(object);
    if (found != t.entries.end()) {
      dropped = std::move(found->second);
      t.entries.erase(found);
    }
  }
  if (dropped.original != nullptr) dropped.original(object);
}

// The layout above is the platform's business, not ours: believe it only after seeing it.
bool header_is_as_expected() {
  struct probe {
    ~probe() {}  // NOLINT(modernize-use-equals-default): it has to be there to be called.
  };
  auto pointer = std::make_exception_ptr(probe{});
  return *header_of(object_of(pointer)).type == typeid(probe) && header_of(object_of(pointer)).destructor != nullptr;
}

}  // namespace

void traceback_steps::add(traceback_frame frame) {
  if (first_.size() < most_first) {
    first_.push_back(std::move(frame));
    return;
  }
  if (last_.size() < most_last)
    last_.push_back(std::move(frame));
  else
    last_[beyond_first_ % most_last] = std::move(frame);
  ++beyond_first_;
}

std::vector<traceback_frame> traceback_steps::list() const {
  std::vector<traceback_frame> frames;
  frames.reserve(first_.size() + last_.size());
  for (std::size_t i = 1; i <= last_.size(); ++i) frames.push_back(last_[(beyond_first_ - i) % most_last]);
  if (std::size_t left_out = beyond_first_ - last_.size(); left_out > 0) {
    std::string& note = frames.back().note;
    if (!note.empty()) note += "; ";
    note += std::to_string(left_out) + " steps after this one left out";
  }
  frames.insert(frames.end(), first_.rbegin(), first_.rend());
  return frames;
}

bool with_traceback_record(const std::exception_ptr& error, bool create,
                           const std::function<void(traceback_record&)>& visit) try {
  static const bool usable = header_is_as_expected();
  void* object = object_of(error);
  if (!usable || object == nullptr) return false;
  table& t = the_table();
  std::lock_guard lock(t.mutex);
  auto found = t.entries.find(object);
  if (found == t.entries.end()) {
    if (!create) return false;
    found = t.entries.try_emplace(object).first;
    found->second.original = std::exchange(header_of(object).destructor, &on_exception_destroyed);
  }
  visit(found->second.record);
  return true;
} catch (const std::bad_alloc&) {
  return false;
}

}  // namespace penstock::detail

#include "penstock/ingest/json_pointer.h"

// What comes out has one token, whatever the name: neither of its marks is left unescaped.

namespace penstock::ingest {

std::string pointer_to_member(std::string_view name) {
  std::string pointer = "/";
  for (char c : name) {
    if (c == '~')
      pointer += "~0";
    else if (c == '/')
      pointer += "~1";
    else
      pointer += c;
  }
  return pointer;
}

}  // namespace penstock::ingest

#pragma once

#include "penstock/async/mutex.h"
#include "penstock/async/scheduler.h"
#include "penstock/async/task.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace penstock::http {

// The addresses of host names, kept for a while. Of many tasks that ask for one name at once, one looks it up.
class name_cache {
 public:
  // A host's addresses, joined by commas as CURLOPT_RESOLVE takes them; empty when the host is an address itself.
  // Throws `net_errc::resolve_failed`.
  task<std::string> addresses_of(std::string host);

 private:
  struct entry {
    mutex looking_up;
    std::string addresses;
    time_point expires = time_point::min();
  };
  std::shared_ptr<entry> entry_of(const std::string& host);

  std::map<std::string, std::shared_ptr<entry>, std::less<>> entries_;
};

}  // namespace penstock::http

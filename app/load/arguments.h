#pragma once

// What `penstock load` is asked to do, as its options say.

#include "app/load/batch_source.h"
#include "app/load/http_post.h"
#include "app/load/sender.h"

#include <memory>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace penstock::app::load {

/// Everything that can be said on the command line.
struct load_arguments {
  std::vector<std::string> files;
  source_options source;
  post_options to;
  send_options send;
  duration request_timeout = std::chrono::seconds(60);
  std::string ca_bundle;  ///< As the HTTP client takes it.
  std::string rejects;    ///< Where to; empty until `complete` gives it a name.
  bool quiet = false;
  bool json_summary = false;
};

/// Adds the options to `command`. Parsing them fills `into`, which outlives that.
void add_arguments(CLI::App& command, load_arguments& into);

/// Checks what the options say together, and fills in what depends on others. Throws `app_errc::bad_usage`.
void complete(load_arguments& a);

}  // namespace penstock::app::load

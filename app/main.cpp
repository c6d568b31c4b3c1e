// The penstock command. What it can do is in commands.h; how it says what went wrong, in command_line.cpp.

#include "app/command_line.h"
#include "app/heap.h"
#include "app/standard_streams.h"

#include <csignal>
#include <iostream>
#include <string>
#include <vector>

int main(int count, char** arguments) {
  penstock::app::hold_closed_streams();
  penstock::app::prepare_heap();
  // A reader that left and a file that may not grow are errors of one operation, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  std::vector<std::string> given(arguments + (count > 0 ? 1 : 0), arguments + count);
  return penstock::app::run_command_line(given, std::cout, std::cerr);
}

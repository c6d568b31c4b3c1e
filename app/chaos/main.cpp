// The penstock-chaos command; what it can do is in command.cpp.

#include "app/chaos/command.h"
#include "app/standard_streams.h"

#include <iostream>
#include <string>
#include <vector>

int main(int count, char** arguments) {
  penstock::app::hold_closed_streams();
  std::vector<std::string> given(arguments + (count > 0 ? 1 : 0), arguments + count);
  return penstock::app::chaos::run_command(given, std::cout, std::cerr);
}

// The penstock command. What it can do is in commands.h; how it says what went wrong, in command_line.cpp.

#include "app/command_line.h"

#include <iostream>
#include <string>
#include <vector>

int main(int count, char** arguments) {
  std::vector<std::string> given(arguments + (count > 0 ? 1 : 0), arguments + count);
  return penstock::app::run_command_line(given, std::cout, std::cerr);
}

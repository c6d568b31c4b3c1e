#include "app/printable.h"

namespace penstock::app {
namespace {

bool is_control(unsigned char c) noexcept { return c < 0x20 || c == 0x7f; }

bool begins_upper_control(std::string_view text) noexcept {
  return text.size() > 1 && text[0] == '\xc2' && static_cast<unsigned char>(text[1]) <= 0x9f;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string shown;
  shown.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    bool is_upper = begins_upper_control(text.substr(i));
    shown += is_upper || is_control(static_cast<unsigned char>(text[i])) ? '?' : text[i];
    if (is_upper) ++i;
  }
  return shown;
}

}  // namespace penstock::app

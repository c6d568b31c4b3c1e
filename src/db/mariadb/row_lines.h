#pragma once

// The lines of a LOAD DATA, written while the library sends them.

#include "penstock/db/row_batch.h"
#include "wire.h"

#include <cstdint>
#include <span>
#include <string>

namespace penstock::db::mariadb {

class row_lines final : public file_source {
 public:
  // Both must outlive the reading.
  void open(const row_batch& rows, std::span<const std::uint32_t> which) noexcept;
  std::size_t read(char* to, std::size_t most) noexcept override;

 private:
  void fill();

  const row_batch* rows_ = nullptr;
  std::span<const std::uint32_t> which_;
  std::string text_;
  std::size_t sent_ = 0;  // of the text
};

}  // namespace penstock::db::mariadb

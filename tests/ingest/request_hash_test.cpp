#include "ingest/request_hash.h"

#include <string>

#include <gtest/gtest.h>

namespace penstock::ingest {
namespace {

// The key of the reference's vectors, bytes 0 to 15; its messages are bytes 0, 1, 2 …
std::string hash_of_first(std::size_t bytes, std::size_t piece) {
  request_hash h(0x0706050403020100, 0x0f0e0d0c0b0a0908);
  std::string text;
  for (std::size_t i = 0; i < bytes; ++i) text += static_cast<char>(i);
  for (std::size_t at = 0; at < bytes; at += piece) h.add(std::string_view(text).substr(at, piece));
  return h.finish();
}

TEST(request_hash, gives_the_vectors_of_the_reference) {
  EXPECT_EQ(hash_of_first(0, 1), "a3817f04ba25a8e66df67214c7550293");
  EXPECT_EQ(hash_of_first(1, 1), "da87c1d86b99af44347659119b22fc45");
  EXPECT_EQ(hash_of_first(15, 15), "5493e99933b0a8117e08ec0f97cfc3d9");
  EXPECT_EQ(hash_of_first(63, 63), "5150d1772f50834a503e069a973fbd7c");
}

TEST(request_hash, does_not_depend_on_how_the_text_is_cut) {
  for (std::size_t bytes = 0; bytes < 40; ++bytes)
    for (std::size_t piece = 1; piece <= 17; ++piece)
      EXPECT_EQ(hash_of_first(bytes, piece), hash_of_first(bytes, 64)) << bytes << " in pieces of " << piece;
}

}  // namespace
}  // namespace penstock::ingest

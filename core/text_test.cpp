#include "core/text.hpp"

#include <gtest/gtest.h>

namespace bedplate {
namespace {

TEST(Text, LowersLettersOnly) {
  EXPECT_EQ(lower("Content-Type: A\xC3\x84"), "content-type: a\xC3\x84");
}

TEST(Text, TrimsBothEnds) {
  EXPECT_EQ(trimmed(" \tgzip, zstd\r\n"), "gzip, zstd");
  EXPECT_EQ(trimmed(" \r\n"), "");
  EXPECT_EQ(trimmed(""), "");
}

}  // namespace
}  // namespace bedplate

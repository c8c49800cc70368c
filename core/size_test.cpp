#include "core/size.hpp"

#include <gtest/gtest.h>

namespace bedplate {
namespace {

TEST(MediumSize, CountsAsLabelsDo) {
  EXPECT_EQ(*parse_medium_size("4.7G"), 4'700'000'000U);
  EXPECT_EQ(*parse_medium_size("512"), 512U);
  EXPECT_EQ(*parse_medium_size("1K"), 1000U);
  EXPECT_EQ(*parse_medium_size("2T"), 2'000'000'000'000U);
}

TEST(MediumSize, KnowsBinaryUnits) {
  EXPECT_EQ(*parse_medium_size("4Gi"), 4ULL << 30);
  EXPECT_EQ(*parse_medium_size("1.5Ki"), 1536U);
}

TEST(MediumSize, KnowsMediaByName) {
  EXPECT_EQ(*parse_medium_size("fat32"), (4ULL << 30) - 1);
  EXPECT_LT(*parse_medium_size("dvd"), 2'295'104ULL * 2048);
  EXPECT_LT(*parse_medium_size("dvd-dl"), 4'171'712ULL * 2048);
  EXPECT_LT(*parse_medium_size("bd"), 12'219'392ULL * 2048);
}

TEST(MediumSize, RefusesWhatIsNone) {
  for (const auto* text : {"", "G", "x", "4.7GB", "-1", "0", "4i", "4GG", "1e30", "nan"}) {
    const auto size = parse_medium_size(text);
    ASSERT_FALSE(size) << text;
    EXPECT_EQ(size.error().kind, ErrorKind::usage) << text;
  }
}

}  // namespace
}  // namespace bedplate
